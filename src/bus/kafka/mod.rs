//! The bus of a cluster: both topics in Kafka. Everything that is Kafka's (groups, offsets, clients) stays in this room.
//!
//! Reading has threads of its own, one a consumer; they poll whatever happens, and meet the node's tasks in bounded
//! buffers. Publishing needs none but the producer's.

mod admin;
mod broadcast;
mod client;
mod cloud_event;
mod connect;
mod error;
mod events;
mod groups;
mod health;
mod lag;
mod letter;
mod log;
mod marks;
mod monitor;
mod offsets;
mod positions;
mod producer;
mod properties;
mod room;
mod settings;
mod size;
mod threads;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{debug, warn};

pub use self::error::KafkaError;
pub use self::settings::{KafkaProperty, KafkaSettings};
pub use self::topics::{Finding, TopicReport, TopicState, Weight, check_topics, create_topics};

use self::broadcast::BroadcastConsumer;
use self::client::Names;
use self::cloud_event::encode;
use self::events::{EventsConsumer, Leaving, Standing};
use self::log::Log;
use self::marks::Marks;
use self::monitor::Watched;
use self::producer::{Outgoing, Producer};
use self::threads::Threads;
use super::partitioner::partition_of;
use super::{Audience, Bus, BusError, BusState, Consumer, DeadLetter, Durable, GoneFor, Lag, Partition, Record, Topic};
use crate::message::{Destination, Mark};

/// What `close` takes at most for each of its steps.
const FINISH: Duration = Duration::from_secs(3);
const THREADS_END: Duration = Duration::from_secs(5);

/// Both hops through Kafka.
pub struct KafkaBus {
    settings: KafkaSettings,
    node: String,
    names: Names,
    log: Arc<Log>,
    producer: Producer,
    marks: Arc<Marks>,
    threads: Threads,
    /// The latest reader of events.
    reading_events: tokio::sync::Mutex<Leaving>,
    standing: Arc<Standing>,
    watched: Arc<Watched>,
}

impl KafkaBus {
    async fn produce(&self, topic: Topic, record: &Record) -> Result<Durable, BusError> {
        let encoded = encode(record, &self.node);
        if !encoded.fits(topic) {
            // Readers would not take it, so it is not taken here.
            warn!(destination = encoded.key, ?topic, "a message is larger than records may be");
            return Err(BusError::TooLarge);
        }
        self.producer
            .send(Outgoing {
                topic: match topic {
                    Topic::Events => &self.names.events,
                    Topic::Broadcast => &self.names.broadcast,
                },
                partition: Some(partition_of(encoded.key.as_bytes(), self.log.partitions)),
                key: Some(encoded.key.as_bytes()),
                value: Some(encoded.value.clone()),
                headers: encoded.headers.iter().map(|(name, value)| (&**name, Some(&**value))).collect(),
            })
            .await
    }

    async fn put_away(&self, letter: DeadLetter) -> Result<(), BusError> {
        let written = letter::write(&letter, &self.node);
        let outgoing = Outgoing {
            topic: &self.names.dead_letters,
            partition: None,
            key: written.key.as_deref(),
            value: written.value.clone(),
            headers: written.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        };
        self.producer.send(outgoing).await?.await
    }
}

impl Bus for KafkaBus {
    fn publish(&self, topic: Topic, record: Record) -> BoxFuture<'_, Result<Durable, BusError>> {
        async move { self.produce(topic, &record).await }.boxed()
    }

    /// *Events* can be read by `OneNode` only and *broadcast* by `EveryNode` only: nothing in footfall asks otherwise.
    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>> {
        async move {
            if self.log.health.is_closed() {
                return Err(BusError::Closed);
            }
            match (topic, audience) {
                (Topic::Events, Audience::OneNode) => {
                    let mut before = self.reading_events.lock().await;
                    before.done(THREADS_END).await;
                    let config = client::events(&self.settings, &self.node, &self.names.persistence);
                    let offsets = client::offsets(&self.settings, &self.node, &self.names.persistence);
                    let consumer = EventsConsumer::join(&config, &offsets, Arc::clone(&self.log), &self.threads).map_err(|failure| {
                        warn!(%failure, "events can't be read");
                        BusError::Unavailable
                    })?;
                    *before = consumer.leaving();
                    self.standing.follow(&consumer);
                    Ok(Box::new(consumer) as Box<dyn Consumer>)
                }
                (Topic::Broadcast, Audience::EveryNode) => {
                    let config = client::broadcast(&self.settings, &self.node, &self.names.node_group);
                    let consumer = BroadcastConsumer::open(config, Arc::clone(&self.log), &self.threads).await?;
                    self.watched.add(consumer.progress());
                    Ok(Box::new(consumer) as Box<dyn Consumer>)
                }
                _ => Err(BusError::Unavailable),
            }
        }
        .boxed()
    }

    fn partition_of(&self, destination: &Destination) -> Partition {
        self.log.events_partition(partition_of(destination.as_str().as_bytes(), self.log.partitions))
    }

    fn mark(&self, partition: &Partition, offset: u64) -> BoxFuture<'_, Result<Option<Mark>, BusError>> {
        let reading = Arc::clone(&self.marks).read(Arc::clone(&partition.topic), partition.number, offset);
        async move {
            reading.await.ok_or(BusError::Closed)?.map_err(|failure| {
                warn!(%failure, offset, "a record that is to be compared could not be read");
                BusError::Unavailable
            })
        }
        .boxed()
    }

    fn ends(&self, partition: &Partition) -> BoxFuture<'_, Result<(u64, u64), BusError>> {
        let number = partition.number;
        async move { self.ends_of(number).await.map_err(|_| BusError::Unavailable) }.boxed()
    }

    fn dead_letter(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), BusError>> {
        self.put_away(letter).boxed()
    }

    fn sweep(&self, gone: GoneFor) -> BoxFuture<'_, Result<Vec<String>, BusError>> {
        async move {
            if self.log.health.is_closed() {
                return Err(BusError::Closed);
            }
            groups::sweep(&self.settings, &self.node, &self.names, gone).await.map_err(|failure| {
                debug!(failure, "groups of nodes that are gone can't be swept now");
                BusError::Unavailable
            })
        }
        .boxed()
    }

    fn state(&self) -> BusState {
        self.log.health.state()
    }

    fn lag(&self) -> Lag {
        self.log.lags.get()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.log.health.close();
            self.producer.finish(FINISH).await;
            self.threads.end(THREADS_END).await;
            self.marks.close();
            groups::delete_own(&self.settings, &self.node, &self.names).await;
        }
        .boxed()
    }
}

impl std::fmt::Debug for KafkaBus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("KafkaBus").field("node", &self.node).field("log", &self.log).finish_non_exhaustive()
    }
}
