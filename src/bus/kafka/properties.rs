//! Which of librdkafka's properties an operator may set: all but those that a guarantee rests on. Gone through by the list
//! of 2.12 (`CONFIGURATION.md`), hidden ones too.

use super::producer::ON_THEIR_WAY;
use super::size::SEVERAL;

/// Properties that are footfall's to set, by what would break. Aliases of librdkafka count too.
const OWN: [(&[&str], &str); 15] = [
    (&["bootstrap.servers", "metadata.broker.list"], "Brokers are named by `brokers`."),
    (
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
        "Offsets are committed after the message is stored and broadcast, never before, or a crash would lose messages.",
    ),
    (
        &[
            "enable.idempotence",
            "enable.gapless.guarantee",
            "acks",
            "request.required.acks",
            "retries",
            "message.send.max.retries",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "queuing.strategy",
            "transactional.id",
            "transaction.timeout.ms",
        ],
        "A receipt means that all in-sync replicas have the message, once and in order.",
    ),
    (
        &["delivery.report.only.error", "enabled_events"],
        "Every receipt rests on a report from librdkafka; with this there would be none, and every SEND would end as unknown.",
    ),
    (
        &["message.max.bytes"],
        "What one topic takes the next one has to take, so sizes are fixed; a frame's limit is `max_frame` under [server].",
    ),
    (
        &["partitioner", "sticky.partitioning.linger.ms"],
        "A destination's partition is given by its name, by the same rule in every node and every backend.",
    ),
    (
        &["group.id", "group.instance.id", "group.protocol", "group.remote.assignor", "group.protocol.type"],
        "Groups are named by `prefix`, and their members are dynamic, so that a stopped node's partitions move at once.",
    ),
    (&["partition.assignment.strategy"], "All nodes must agree on it, or their group falls apart."),
    (
        &["auto.offset.reset", "enable.partition.eof", "isolation.level", "queued.min.messages", "queued.max.messages.kbytes"],
        "Where and how far a node reads is decided by footfall, or records could be passed over.",
    ),
    (&["session.timeout.ms", "heartbeat.interval.ms"], "Use `session_timeout`."),
    (&["max.poll.interval.ms"], "Use `max_poll_interval`."),
    (&["topic.blacklist"], "It would hide topics that footfall needs."),
    (
        &["allow.auto.create.topics"],
        "`footfall topics create` makes topics; a broker would make them with other partitions and fewer replicas.",
    ),
    (
        &["api.version.request", "api.version.fallback.ms", "broker.version.fallback"],
        "Brokers say what they can; for old ones librdkafka would leave out a record's headers, and with them all but its body.",
    ),
    (&["log.queue"], "What librdkafka logs is in footfall's log; in a queue nobody would read it."),
];

/// What no text can be the value of: places in a program's memory.
const POINTERS: [&str; 5] = ["opaque", "default_topic_conf", "interceptors", "msg_order_cmp", "ssl_engine_callback_data"];

/// Numbers that may only be so large, and why. Senders have an answer within 9 s.
const AT_MOST: [(&str, usize, &str); 7] = [
    ("linger.ms", 1000, "a SEND is answered within 9 s"),
    ("queue.buffering.max.ms", 1000, "a SEND is answered within 9 s"),
    ("batch.size", SEVERAL, "a larger batch would be refused by the topic, with all that is in it"),
    ("fetch.wait.max.ms", 5000, "a node waits for the first answer of each partition before it is ready"),
    ("fetch.queue.backoff.ms", 5000, "a node that reads so late counts as behind"),
    ("fetch.error.backoff.ms", 5000, "a node that reads so late counts as behind"),
    ("retry.backoff.max.ms", 5000, "a SEND is answered within 9 s"),
];

/// Numbers that have to be so large, since what footfall lets in must find room; there are 256 bytes for each of the
/// messages. 0 stands for no limit at all where that is allowed.
const AT_LEAST: [(&str, usize, bool); 2] =
    [("queue.buffering.max.messages", ON_THEIR_WAY / 256, true), ("queue.buffering.max.kbytes", ON_THEIR_WAY / 1024, false)];

/// Why this property can't be set, or not to this value. The value is not in the sentence: it may be a password.
pub(super) fn problem(property: &str, value: &str) -> Option<String> {
    let not_own = |why: &str| Some(format!("This property is footfall's to set. {why}"));
    // librdkafka takes the properties of a topic with this before them, too; others really begin with it.
    let plain = property.strip_prefix("topic.").unwrap_or(property);
    let is = |name: &str| name == property || name == plain;
    if let Some((_, why)) = OWN.iter().find(|(names, _)| names.iter().any(|name| is(name))) {
        return not_own(why);
    }
    if plain.ends_with("_cb") || plain.starts_with("ut_") || POINTERS.iter().any(|name| is(name)) {
        return not_own("Its value is a place in a program's memory.");
    }
    if plain.starts_with("test.") {
        return not_own("It is for tests of librdkafka, with brokers that are none.");
    }
    // What is no number is refused by librdkafka.
    let number = value.trim().parse::<f64>().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "these are small")]
    let (below, above) = (|least: usize| number < least as f64, |most: usize| number > most as f64);
    if let Some((_, most, why)) = AT_MOST.iter().find(|(name, most, _)| is(name) && above(*most)) {
        return Some(format!("It is at most {most}: {why}."));
    }
    let (_, least, _) = AT_LEAST.iter().find(|(name, least, zero)| is(name) && below(*least) && !(*zero && number == 0.0))?;
    Some(format!("It is at least {least}, or messages that a node has let in would find no room in librdkafka."))
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::BaseProducer;

    use super::*;

    #[test]
    fn what_would_break_a_guarantee_is_refused() {
        for property in [
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.idempotence",
            "acks",
            "topic.acks",
            "request.required.acks",
            "partitioner",
            "partitioner_cb",
            "group.id",
            "group.instance.id",
            "partition.assignment.strategy",
            "auto.offset.reset",
            "message.timeout.ms",
            "isolation.level",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "delivery.report.only.error",
            "dr_cb",
            "dr_msg_cb",
            "enabled_events",
            "test.mock.num.brokers",
            "ut_handle_ProduceResponse",
            "topic.blacklist",
            "message.max.bytes",
            "allow.auto.create.topics",
            "queuing.strategy",
            "api.version.request",
            "broker.version.fallback",
            "log.queue",
            "default_topic_conf",
        ] {
            assert!(problem(property, "true").is_some_and(|why| why.starts_with("This property is footfall's")), "{property}");
        }
    }

    #[test]
    fn what_breaks_nothing_is_the_operators() {
        for property in [
            "security.protocol",
            "sasl.password",
            "client.rack",
            "compression.type",
            "topic.compression.level",
            "topic.metadata.refresh.sparse",
            "socket.timeout.ms",
            "queue.buffering.backpressure.threshold",
        ] {
            assert_eq!(problem(property, "1"), None, "{property}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for (property, value, good) in [
            ("linger.ms", "0.5", true),
            ("linger.ms", "1000", true),
            ("linger.ms", "1001", false),
            ("queue.buffering.max.ms", "900000", false),
            ("batch.size", "1000000", true),
            ("batch.size", "1000001", false),
            ("fetch.wait.max.ms", "300000", false),
            ("queue.buffering.max.messages", "0", true),
            ("queue.buffering.max.messages", "65535", false),
            ("queue.buffering.max.messages", "65536", true),
            ("queue.buffering.max.kbytes", "0", false),
            ("queue.buffering.max.kbytes", "16383", false),
            ("queue.buffering.max.kbytes", "16384", true),
            ("linger.ms", "hunter2", true),
        ] {
            assert_eq!(problem(property, value).is_none(), good, "{property} = {value}");
        }
    }

    #[test]
    fn librdkafka_has_what_is_refused() {
        for property in OWN.iter().flat_map(|(names, _)| *names).chain(AT_MOST.iter().map(|(name, ..)| name)) {
            let mut config = ClientConfig::new();
            config.set(*property, "hunter2");
            let unknown = match config.create::<BaseProducer>() {
                Err(rdkafka::error::KafkaError::ClientConfig(_, why, _, _)) => why.contains("No such configuration property"),
                _ => false,
            };
            assert!(!unknown, "{property}");
        }
    }
}
