//! How a node finds its log when it starts: waits for a broker, and looks at the topics before anything relies on them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::client::{self, Names};
use super::error::sentence;
use super::events::Standing;
use super::health::Health;
use super::lag::Lags;
use super::log::Log;
use super::marks::Marks;
use super::monitor::{self, Asking, Watched};
use super::producer::Producer;
use super::threads::Threads;
use super::{KafkaBus, KafkaError, KafkaSettings, topics};
use crate::shutdown::Shutdown;

/// Brokers and nodes may come up together.
const BROKERS_WITHIN: Duration = Duration::from_secs(20);

/// A broker that has just begun may not know a topic yet.
const TOPIC_WITHIN: Duration = Duration::from_secs(3);

const ANSWER: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(200);

impl KafkaBus {
    /// Finds the log and begins to watch it. `node` is this node's id; `reserved` tells the header names that no sender
    /// may choose, which sessions enforce and backends may not know.
    pub async fn connect(
        settings: &KafkaSettings,
        node: &str,
        reserved: fn(&str) -> bool,
        shutdown: &Shutdown,
    ) -> Result<Self, KafkaError> {
        if let Some((key, why)) = settings.problems().into_iter().next() {
            return Err(KafkaError::Settings(format!("bus.kafka.{key}: {why}")));
        }
        let names = Names::new(&settings.prefix, node);
        let (config, brokers, asked) = (client::asking(settings, node), settings.brokers.clone(), names.clone());
        let found = spawn_blocking(move || find(&config, &brokers, &asked)).await;
        let found = found.map_err(|_| KafkaError::Thread)??;
        if found.partitions != settings.partitions {
            return Err(KafkaError::Partitions { topic: names.events, is: found.partitions, set: settings.partitions });
        }
        for difference in topics::differences(settings, node).await {
            warn!(difference, "a topic is not as the settings say");
        }
        let log = Arc::new(Log {
            id: found.cluster.as_str().into(),
            events: names.events.as_str().into(),
            broadcast: names.broadcast.as_str().into(),
            partitions: found.partitions,
            reserved,
            health: Health::new(),
            lags: Lags::default(),
        });
        let producer = Producer::new(client::producer(settings, node), Arc::clone(&log))?;
        let (watched, standing) = (Arc::new(Watched::default()), Arc::new(Standing::default()));
        for comparing in [false, true] {
            // Each has a client of its own: a leader's silence must not delay the other's answer.
            let asking = Arc::new(Asking::new(&client::asking(settings, node), Arc::clone(&log))?);
            watch(shutdown, asking, comparing.then(|| (Arc::clone(&watched), Arc::clone(&standing))));
        }
        info!(cluster = %log.id, partitions = log.partitions, "connected to Kafka");
        let marks = Arc::new(Marks::new(client::marks(settings, node, &names.marks)));
        Ok(Self {
            settings: settings.clone(),
            node: node.to_owned(),
            names,
            log,
            producer,
            marks,
            threads: Threads::default(),
            reading_events: tokio::sync::Mutex::default(),
            standing,
            watched,
        })
    }
}

fn watch(shutdown: &Shutdown, asking: Arc<Asking>, compare_with: Option<(Arc<Watched>, Arc<Standing>)>) {
    let stopped = shutdown.clone();
    shutdown.spawn_essential("kafka monitor", async move {
        let held = Arc::clone(&asking);
        tokio::select! {
            () = async move {
                match compare_with {
                    Some((watched, standing)) => monitor::compare(asking, watched, standing).await,
                    None => monitor::look(asking).await,
                }
            } => {}
            () = stopped.stopped() => {}
        }
        // It waits for its threads.
        drop(spawn_blocking(move || drop(held)));
    });
}

struct Found {
    cluster: String,
    partitions: u32,
}

/// Waits for a broker that knows all three topics.
fn find(config: &ClientConfig, brokers: &str, names: &Names) -> Result<Found, KafkaError> {
    let client: BaseConsumer = config.create()?;
    let begun = Instant::now();
    let mut partitions = Vec::new();
    let mut answered = None;
    for topic in [&names.events, &names.broadcast, &names.dead_letters] {
        partitions.push(loop {
            let failure = match partitions_of(&client, topic) {
                Ok(count) => break count,
                Err(failure) => failure,
            };
            let missing = failure.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition);
            if missing && answered.get_or_insert_with(Instant::now).elapsed() > TOPIC_WITHIN {
                return Err(KafkaError::NoTopic(topic.clone()));
            }
            if begun.elapsed() > BROKERS_WITHIN {
                let (brokers, seconds) = (brokers.to_owned(), BROKERS_WITHIN.as_secs());
                return Err(KafkaError::Unreachable { brokers, seconds, why: sentence(&failure) });
            }
            drop(client.poll(RETRY));
        });
    }
    if partitions[0] != partitions[1] {
        return Err(KafkaError::Unequal(names.events.clone(), names.broadcast.clone()));
    }
    let cluster =
        client.client().fetch_cluster_id(ANSWER).ok_or_else(|| KafkaError::Refused("the brokers tell no cluster id".to_owned()))?;
    Ok(Found { cluster, partitions: partitions[0] })
}

pub(super) fn partitions_of(client: &BaseConsumer, topic: &str) -> Result<u32, ClientError> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Err(ClientError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
    };
    match found.error() {
        Some(error) => Err(ClientError::MetadataFetch(error.into())),
        None => Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)),
    }
}
