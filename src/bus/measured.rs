//! A bus whose publishing is timed and whose failures are counted. It belongs here and not in the adapters, which are all
//! measured alike, and not with those who publish, of whom there are several.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Audience, Bus, BusError, BusState, Consumer, DeadLetter, Durable, GoneFor, Lag, Partition, Record, Topic};
use crate::message::{Destination, Mark};
use crate::metrics::{BusMetrics, TopicMetrics};

/// Decorates a bus.
#[derive(Debug)]
pub struct MeasuredBus {
    bus: Arc<dyn Bus>,
    metrics: BusMetrics,
}

impl MeasuredBus {
    pub fn new(bus: Arc<dyn Bus>, metrics: BusMetrics) -> Self {
        Self { bus, metrics }
    }

    async fn measure(&self, topic: Topic, record: Record) -> Result<Durable, BusError> {
        let begun = Instant::now();
        let metrics = match topic {
            Topic::Events => &self.metrics.events,
            Topic::Broadcast => &self.metrics.broadcast,
        };
        let durable = self.bus.publish(topic, record).await.inspect_err(|error| failed(metrics, error))?;
        let metrics = metrics.clone();
        Ok(async move {
            let ended = durable.await;
            match &ended {
                Ok(()) => metrics.durable(begun.elapsed()),
                Err(error) => failed(&metrics, error),
            }
            ended
        }
        .boxed())
    }
}

fn failed(metrics: &TopicMetrics, error: &BusError) {
    metrics.failed(match error {
        BusError::Unavailable => "unavailable",
        BusError::TooLarge => "too-large",
        BusError::Unknown => "unknown",
        BusError::Closed => "closed",
    });
}

impl Bus for MeasuredBus {
    fn publish(&self, topic: Topic, record: Record) -> BoxFuture<'_, Result<Durable, BusError>> {
        self.measure(topic, record).boxed()
    }

    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>> {
        self.bus.subscribe(topic, audience)
    }

    fn partition_of(&self, destination: &Destination) -> Partition {
        self.bus.partition_of(destination)
    }

    fn mark(&self, partition: &Partition, offset: u64) -> BoxFuture<'_, Result<Option<Mark>, BusError>> {
        self.bus.mark(partition, offset)
    }

    fn ends(&self, partition: &Partition) -> BoxFuture<'_, Result<(u64, u64), BusError>> {
        self.bus.ends(partition)
    }

    fn dead_letter(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.dead_letter(letter)
    }

    fn sweep(&self, gone: GoneFor) -> BoxFuture<'_, Result<Vec<String>, BusError>> {
        self.bus.sweep(gone)
    }

    fn state(&self) -> BusState {
        self.bus.state()
    }

    fn lag(&self) -> Lag {
        self.bus.lag()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus.close()
    }
}
