//! The way into Kafka: one idempotent producer, whose queue is bounded and whose answers find their sender.
//!
//! A record is *accepted* once it stands in the producer's queue, whose order Kafka's log keeps, and *durable* once all
//! in-sync replicas have it. What fails in between may have been written all the same: of a record that is in the queue
//! nobody but the broker can say that it was not, so it ends as `Unknown`, also when the queue is purged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error, warn};

use super::cloud_event::Header as RawHeader;
use super::error::{KafkaError, sentence};
use super::log::Log;
use super::room::{Permit, Room};
use super::size::record_size;
use crate::bus::{ANSWER_WITHIN, BusError, Durable};

/// Records that are on their way, by their bytes: a second's worth of a fast network, and little enough to lose.
pub(super) const ON_THEIR_WAY: usize = 16 * 1024 * 1024;

/// A record as it goes to librdkafka.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    /// None leaves it to the partitioner, which hashes the key as Java does.
    pub(super) partition: Option<u32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<RawHeader<'a>>,
}

impl Outgoing<'_> {
    fn size(&self) -> usize {
        record_size(self.key, self.value.as_deref(), self.headers.iter().copied())
    }
}

pub(super) struct Producer {
    config: ClientConfig,
    log: Arc<Log>,
    room: Room,
    /// None once it is closed.
    current: ArcSwapOption<ThreadedProducer<Answers>>,
    /// Held while a dead producer is replaced.
    replacing: Mutex<()>,
}

impl Producer {
    pub(super) fn new(config: ClientConfig, log: Arc<Log>) -> Result<Self, KafkaError> {
        let first = Self::client(&config, &log)?;
        Ok(Self { config, log, room: Room::new(ON_THEIR_WAY), current: ArcSwapOption::from_pointee(first), replacing: Mutex::default() })
    }

    fn client(config: &ClientConfig, log: &Arc<Log>) -> Result<ThreadedProducer<Answers>, ClientError> {
        config.create_with_context(Answers { log: Arc::clone(log), dead: AtomicBool::new(false) })
    }

    /// Takes the record into the queue; the order of these is the order in the log.
    pub(super) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Durable, BusError> {
        // The sender's patience begins here, however long it then waits for room.
        let answer_by = Instant::now() + ANSWER_WITHIN;
        self.log.health.may_publish()?;
        let room = self.room.take(outgoing.size()).await?;
        // From here to the queue without a wait, or the order would be another.
        self.log.health.may_publish()?;
        let (answer, answered) = oneshot::channel();
        self.enqueue(&outgoing, Box::new(Sent { answer, _room: room }))?;
        Ok(async move {
            match timeout_at(answer_by, answered).await {
                Ok(Ok(result)) => result,
                // Kafka is slow, or the producer was dropped with the record in it.
                Ok(Err(_)) | Err(_) => Err(BusError::Unknown),
            }
        }
        .boxed())
    }

    fn enqueue(&self, outgoing: &Outgoing<'_>, sent: Box<Sent>) -> Result<(), BusError> {
        let client = self.living()?;
        let mut headers = OwnedHeaders::new_with_capacity(outgoing.headers.len());
        for (key, value) in &outgoing.headers {
            headers = headers.insert(Header { key, value: *value });
        }
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(outgoing.topic, sent).headers(headers);
        record.key = outgoing.key;
        record.payload = outgoing.value.as_deref();
        record.partition = outgoing.partition.and_then(|number| i32::try_from(number).ok());
        let failure = match client.send(record) {
            Ok(()) => return Ok(()),
            // The first to meet a dead producer, before its own thread has heard of it.
            Err((failure, record)) if failure.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                client.context().look_at(failure.rdkafka_error_code());
                match self.living()?.send(record) {
                    Ok(()) => return Ok(()),
                    Err((failure, _)) => failure,
                }
            }
            Err((failure, _)) => failure,
        };
        // It is not in the queue, so nobody will ever read it.
        warn!(error = sentence(&failure), topic = outgoing.topic, "a record was not taken by the producer");
        match failure.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Err(BusError::TooLarge),
            _ => Err(BusError::Unavailable),
        }
    }

    /// A fatal error ends a producer for good: what it had in flight is in doubt, and a new one takes over.
    fn living(&self) -> Result<Arc<ThreadedProducer<Answers>>, BusError> {
        let alive = || self.current.load_full().filter(|client| !client.context().is_dead());
        if let Some(client) = alive() {
            return Ok(client);
        }
        let _replacing = self.replacing.lock();
        if let Some(client) = alive() {
            return Ok(client);
        }
        let next = Self::client(&self.config, &self.log).map_err(|failure| {
            error!(error = sentence(&failure), "no new producer could be made");
            BusError::Unavailable
        })?;
        warn!("the producer is replaced by a new one after a fatal error");
        let next = Arc::new(next);
        drop_aside(self.current.swap(Some(Arc::clone(&next))));
        Ok(next)
    }

    /// Waits for answers to what was accepted, until the deadline has passed.
    pub(super) async fn finish(&self, deadline: Duration) {
        if timeout(deadline, self.room.empty()).await.is_err() {
            warn!("the bus is closed with records whose senders have no answer");
        }
    }
}

/// Dropping a producer waits for its thread, and up to half a second for its queue.
fn drop_aside(producer: Option<Arc<ThreadedProducer<Answers>>>) {
    let started = std::thread::Builder::new().name("kafka-producer-end".to_owned()).spawn(move || drop(producer));
    if let Err(failure) = started {
        warn!(%failure, "a producer is dropped where others may have to wait for it");
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        drop_aside(self.current.swap(None));
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Producer").field("room", &self.room).finish_non_exhaustive()
    }
}

/// What librdkafka keeps beside a record until it has been delivered or not.
#[derive(Debug)]
pub(super) struct Sent {
    answer: oneshot::Sender<Result<(), BusError>>,
    /// Given back with the answer.
    _room: Permit,
}

pub(super) struct Answers {
    log: Arc<Log>,
    dead: AtomicBool,
}

impl Answers {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn look_at(&self, code: Option<RDKafkaErrorCode>) {
        match code {
            Some(RDKafkaErrorCode::Fatal) if !self.dead.swap(true, Ordering::Relaxed) => error!("the producer has a fatal error"),
            Some(RDKafkaErrorCode::AllBrokersDown) => self.log.health.failure(),
            _ => {}
        }
    }
}

impl ClientContext for Answers {
    fn error(&self, failure: ClientError, reason: &str) {
        self.look_at(failure.rdkafka_error_code());
        debug!(error = sentence(&failure), reason, "the producer reports");
    }

    fn stats(&self, statistics: Statistics) {
        let brokers_up = statistics.brokers.values().filter(|broker| broker.state == "UP").count();
        debug!(queued = statistics.msg_cnt, sent = statistics.txmsgs, brokers_up, "producer");
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let answer = match result {
            Ok(_) => {
                self.log.health.contact();
                Ok(())
            }
            Err((failure, _)) => {
                let code = failure.rdkafka_error_code();
                self.look_at(code);
                Err(outcome(code))
            }
        };
        // Nobody may wait for it any more; then nobody needs the answer.
        let _nobody_waits = sent.answer.send(answer);
    }
}

/// What a failed delivery says of the record. An earlier attempt may have been written and only its answer lost, so
/// only what would have failed every time says that it was not.
fn outcome(code: Option<RDKafkaErrorCode>) -> BusError {
    match code {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => BusError::TooLarge,
        Some(RDKafkaErrorCode::InvalidRecord) => BusError::Unavailable,
        _ => BusError::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::bus::kafka::health::Health;
    use crate::bus::kafka::lag::Lags;
    use crate::bus::kafka::{KafkaSettings, client};

    #[test]
    fn what_was_produced_is_in_doubt_unless_no_broker_could_ever_take_it() {
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::PurgeQueue,
            RDKafkaErrorCode::PurgeInflight,
            RDKafkaErrorCode::Fatal,
            RDKafkaErrorCode::NotEnoughReplicasAfterAppend,
            RDKafkaErrorCode::TopicAuthorizationFailed,
        ] {
            assert_eq!(outcome(Some(code)), BusError::Unknown, "{code}");
        }
        assert_eq!(outcome(None), BusError::Unknown);
        assert_eq!(outcome(Some(RDKafkaErrorCode::MessageSizeTooLarge)), BusError::TooLarge);
        assert_eq!(outcome(Some(RDKafkaErrorCode::InvalidRecord)), BusError::Unavailable);
    }

    #[tokio::test]
    async fn a_fatal_error_puts_what_is_in_flight_in_doubt_and_a_new_producer_takes_over() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t.events", 1, 1).unwrap();
        let settings = KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() };
        let log = Log {
            id: "mock".into(),
            events: "t.events".into(),
            broadcast: "t.broadcast".into(),
            partitions: 1,
            reserved: |_| false,
            health: Health::new(),
            lags: Lags::default(),
        };
        let producer = Producer::new(client::producer(&settings, "n"), Arc::new(log)).unwrap();
        let send = async || {
            let outgoing = Outgoing { topic: "t.events", partition: Some(0), key: Some(b"k"), value: None, headers: Vec::new() };
            producer.send(outgoing).await.unwrap().await
        };
        assert_eq!(send().await, Ok(()));
        let first = Arc::as_ptr(&producer.current.load_full().unwrap());
        // No number follows the one that the broker says it has: order and once can't be promised any more.
        cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
        assert_eq!(send().await, Err(BusError::Unknown));
        assert_eq!(send().await, Ok(()));
        assert_ne!(Arc::as_ptr(&producer.current.load_full().unwrap()), first);
        producer.finish(Duration::from_secs(1)).await;
    }
}
