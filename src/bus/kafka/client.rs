//! How footfall's Kafka clients are set up, one function per role, and what its topics and groups are called.

use rdkafka::ClientConfig;

use super::KafkaSettings;
use super::size::{SEVERAL, WRITTEN};

/// The topics and groups of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) events: String,
    pub(super) broadcast: String,
    pub(super) dead_letters: String,
    /// The one fixed group.
    pub(super) persistence: String,
    /// The group of this node, which exists for Kafka's tools to show how far it has read.
    pub(super) node_group: String,
    /// Never seen in Kafka: it commits nothing. librdkafka wants a name before it reads a partition.
    pub(super) marks: String,
}

impl Names {
    pub(super) fn new(prefix: &str, node: &str) -> Self {
        Self {
            events: format!("{prefix}.events"),
            broadcast: format!("{prefix}.broadcast"),
            dead_letters: format!("{prefix}.dead-letters"),
            persistence: format!("{prefix}-persistence"),
            node_group: format!("{prefix}-broadcast-{node}"),
            marks: format!("{prefix}-marks"),
        }
    }
}

/// What all clients have in common. Properties of the operator's come last, so that they count.
fn common(settings: &KafkaSettings, node: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", format!("footfall-{node}"))
        // A stopped broker answers nothing and closes nothing: 60 s by default.
        .set("socket.timeout.ms", "10000")
        .set("socket.keepalive.enable", "true")
        // Batches are made by linger.ms; waiting once more for the peer's ACK would cost 40 ms.
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // It has no statistics but the producer's; librdkafka's own lines come through `tracing`.
        .set("statistics.interval.ms", "0");
    config
}

fn with_properties(mut config: ClientConfig, settings: &KafkaSettings, role: Role) -> ClientConfig {
    for (property, value) in &settings.properties {
        if role.takes(property) {
            config.set(property, value.expose());
        }
    }
    config
}

/// librdkafka warns of a property that is for the other kind of client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Producer,
    Consumer,
}

impl Role {
    fn takes(self, property: &str) -> bool {
        const PRODUCER: [&str; 5] = ["compression.", "linger.", "batch.", "queue.buffering.", "message.copy."];
        const CONSUMER: [&str; 5] = ["fetch.", "max.partition.fetch.", "check.crcs", "heartbeat.", "receive.message."];
        let begins = |with: &[&str]| with.iter().any(|prefix| property.starts_with(prefix));
        match self {
            Self::Producer => !begins(&CONSUMER[..4]),
            Self::Consumer => !begins(&PRODUCER),
        }
    }
}

/// Once, in order, on all in-sync replicas, or known to be in doubt within 8 s.
pub(super) fn producer(settings: &KafkaSettings, node: &str) -> ClientConfig {
    let mut config = common(settings, node);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "8000")
        .set("linger.ms", "1")
        .set("message.max.bytes", WRITTEN.to_string())
        .set("batch.size", SEVERAL.to_string())
        // Above what `Room` lets in, which is what bounds the queue and waits in order.
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "131072")
        .set("statistics.interval.ms", "5000");
    with_properties(config, settings, Role::Producer)
}

fn reading(settings: &KafkaSettings, node: &str, group: &str) -> ClientConfig {
    let mut config = common(settings, node);
    config
        .set("group.id", group)
        // Both are on by default, and would commit what is not stored yet.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // A backend's transaction is not waited for: a hung one would stop all readers of its partition.
        .set("isolation.level", "read_uncommitted")
        // A long poll, which is answered at once when there is something.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("check.crcs", "true");
    config
}

/// A member of the fixed group.
pub(super) fn events(settings: &KafkaSettings, node: &str, group: &str) -> ClientConfig {
    let mut config = reading(settings, node, group);
    config
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
        // Each member hears of each of the two steps of a rebalance by its next heart-beat; until then partitions stand still.
        .set("heartbeat.interval.ms", (settings.session_timeout.as_millis() / 12).min(500).to_string())
        .set("max.poll.interval.ms", settings.max_poll_interval.as_millis().to_string())
        // Never `latest`, which passes over what came meanwhile. That the position jumped is seen by the reader.
        .set("auto.offset.reset", "earliest")
        // What was fetched ahead is thrown away when a partition is paused, so it is little.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "262144");
    with_properties(config, settings, Role::Consumer)
}

/// Reads given partitions from given offsets, and says when it has come to their ends.
pub(super) fn broadcast(settings: &KafkaSettings, node: &str, group: &str) -> ClientConfig {
    let mut config = reading(settings, node, group);
    config
        // A lost position is for the reader to handle and to say.
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "4096");
    with_properties(config, settings, Role::Consumer)
}

/// Reads single records.
pub(super) fn marks(settings: &KafkaSettings, node: &str, group: &str) -> ClientConfig {
    let mut config = reading(settings, node, group);
    config
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", "65536");
    with_properties(config, settings, Role::Consumer)
}

/// Asks about the cluster and its topics; reads no record.
pub(super) fn asking(settings: &KafkaSettings, node: &str) -> ClientConfig {
    let mut config = common(settings, node);
    config.set("allow.auto.create.topics", "false").set("topic.metadata.refresh.interval.ms", "-1");
    with_properties(config, settings, Role::Consumer)
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::producer::BaseProducer;

    use super::*;

    #[test]
    fn librdkafka_takes_every_role() {
        let mut settings = KafkaSettings { brokers: "localhost:1".into(), ..KafkaSettings::default() };
        settings.properties.insert("client.rack".to_owned(), "a".into());
        producer(&settings, "n").create::<BaseProducer>().unwrap();
        for config in [events(&settings, "n", "g"), broadcast(&settings, "n", "g"), marks(&settings, "n", "g")] {
            assert_eq!(config.get("enable.auto.commit"), Some("false"));
            assert_eq!(config.get("enable.auto.offset.store"), Some("false"));
            assert_eq!(config.get("client.rack"), Some("a"));
            config.create::<BaseConsumer>().unwrap();
        }
        asking(&settings, "n").create::<BaseConsumer>().unwrap();
    }

    #[test]
    fn a_property_reaches_the_clients_it_is_for() {
        let mut settings = KafkaSettings { brokers: "localhost:1".into(), ..KafkaSettings::default() };
        settings.properties.insert("linger.ms".to_owned(), "5".into());
        settings.properties.insert("fetch.wait.max.ms".to_owned(), "7".into());
        assert_eq!(producer(&settings, "n").get("linger.ms"), Some("5"));
        assert_eq!(producer(&settings, "n").get("fetch.wait.max.ms"), None);
        assert_eq!(broadcast(&settings, "n", "g").get("linger.ms"), None);
        assert_eq!(broadcast(&settings, "n", "g").get("fetch.wait.max.ms"), Some("7"));
    }
}
