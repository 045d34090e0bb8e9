//! What an operator may say about Kafka, and what of it can't work.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::properties;
use crate::message::HumanDuration;

/// Where Kafka is, how footfall's topics are made there, and how soon a silent node's partitions move.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Brokers to begin with, as Kafka writes them: `kafka-1:9092,kafka-2:9092`. The others are learnt from these.
    pub brokers: String,
    /// What footfall's topics and groups are named after: topics `<prefix>.events`, `<prefix>.broadcast` and
    /// `<prefix>.dead-letters`, groups `<prefix>-persistence` and `<prefix>-broadcast-<node>`.
    pub prefix: String,
    /// Into how many partitions events and broadcast are divided. Fixed once the topics are made: with another number,
    /// destinations would change their partition and lose their order.
    #[schemars(range(min = 1))]
    pub partitions: u32,
    /// How many brokers keep each record. 1 is for trying things out: a lost broker's disk is then lost messages.
    #[schemars(range(min = 1))]
    pub replication_factor: u16,
    /// How many of them must have a record before its sender gets a receipt.
    #[schemars(range(min = 1))]
    pub min_insync_replicas: u16,
    /// For how long events are kept, stored or not: the longest that the database may be away.
    pub events_retention: HumanDuration,
    /// For how long records on broadcast are kept; nobody reads older ones.
    pub broadcast_retention: HumanDuration,
    /// For how long dead letters are kept.
    pub dead_letters_retention: HumanDuration,
    /// After how long a silence of a node its partitions go to others. Brokers allow 6s and more by default.
    pub session_timeout: HumanDuration,
    /// After how long a node whose reading thread hangs is put out of its group.
    pub max_poll_interval: HumanDuration,
    /// Further properties of librdkafka, such as `security.protocol` or `sasl.password`, as they are. They come last,
    /// but those that a guarantee rests on can't be set.
    pub properties: BTreeMap<String, KafkaProperty>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            prefix: "footfall".to_owned(),
            partitions: 12,
            replication_factor: 3,
            min_insync_replicas: 2,
            events_retention: HumanDuration::from_secs(7 * DAY),
            broadcast_retention: HumanDuration::from_secs(3600),
            dead_letters_retention: HumanDuration::from_secs(30 * DAY),
            session_timeout: HumanDuration::from_secs(8),
            max_poll_interval: HumanDuration::from_secs(300),
            properties: BTreeMap::new(),
        }
    }
}

const DAY: u64 = 24 * 3600;

/// The value of a property. It may be a password, so it is shown nowhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct KafkaProperty(SecretString);

impl KafkaProperty {
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for KafkaProperty {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

/// For a settings page that shows defaults; a value that was set stays hidden.
impl Serialize for KafkaProperty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[hidden]")
    }
}

impl KafkaSettings {
    /// Keys that can't work, and why.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, sentence: &str| problems.push((key.to_owned(), sentence.to_owned()));
        if self.brokers.trim().is_empty() {
            wrong("brokers", "Name at least one broker, as in `kafka-1:9092,kafka-2:9092`.");
        }
        // Kafka's names have at most 249 characters, and the longest of ours adds a dozen.
        let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        if self.prefix.is_empty() || self.prefix.len() > 200 || !self.prefix.chars().all(legal) || self.prefix.starts_with('.') {
            wrong("prefix", "It has letters, digits and - _ . as Kafka's topics have, at most 200, and does not begin with a dot.");
        }
        if self.partitions == 0 || self.partitions > MOST_PARTITIONS {
            wrong("partitions", "It is at least 1 and at most 10000.");
        }
        if self.replication_factor == 0 {
            wrong("replication_factor", "It is at least 1.");
        }
        if self.min_insync_replicas == 0 || self.min_insync_replicas > self.replication_factor {
            wrong("min_insync_replicas", "It is at least 1 and at most replication_factor, or no message could be accepted.");
        }
        if self.events_retention < HumanDuration::from_secs(3600) {
            wrong("events_retention", "It is at least 1h: messages that are not stored by then are lost.");
        }
        if !(HumanDuration::from_secs(3600)..=HumanDuration::from_secs(DAY)).contains(&self.broadcast_retention) {
            wrong("broadcast_retention", "It is between 1h and 24h.");
        }
        if self.dead_letters_retention < HumanDuration::from_secs(DAY) {
            wrong("dead_letters_retention", "It is at least 1d, so that somebody can look at them.");
        }
        if !(HumanDuration::from_secs(6)..=HumanDuration::from_secs(300)).contains(&self.session_timeout) {
            wrong("session_timeout", "It is between 6s and 5m, which is what brokers allow by default.");
        }
        if self.max_poll_interval < self.session_timeout || self.max_poll_interval > HumanDuration::from_secs(DAY) {
            wrong("max_poll_interval", "It is at least session_timeout and at most 24h.");
        }
        for (property, value) in &self.properties {
            if let Some(why) = properties::problem(property, value.expose()) {
                problems.push((format!("properties.\"{property}\""), why));
            }
        }
        problems
    }
}

const MOST_PARTITIONS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> KafkaSettings {
        KafkaSettings { brokers: "localhost:9092".into(), ..KafkaSettings::default() }
    }

    fn wrong_keys(settings: &KafkaSettings) -> Vec<String> {
        settings.problems().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn defaults_lack_only_the_brokers() {
        assert_eq!(wrong_keys(&KafkaSettings::default()), ["brokers"]);
        assert_eq!(wrong_keys(&working()), [""; 0]);
    }

    type Change = fn(&mut KafkaSettings);

    #[test]
    fn what_can_not_work_is_named() {
        let cases: [(&str, Change); 12] = [
            ("brokers", |it| it.brokers = " ".into()),
            ("prefix", |it| it.prefix = "a b".into()),
            ("prefix", |it| it.prefix = "..".into()),
            ("partitions", |it| it.partitions = 0),
            ("replication_factor", |it| (it.replication_factor, it.min_insync_replicas) = (0, 0)),
            ("min_insync_replicas", |it| it.min_insync_replicas = 4),
            ("events_retention", |it| it.events_retention = HumanDuration::from_secs(1)),
            ("broadcast_retention", |it| it.broadcast_retention = HumanDuration::from_secs(60)),
            ("broadcast_retention", |it| it.broadcast_retention = HumanDuration::from_secs(2 * DAY)),
            ("dead_letters_retention", |it| it.dead_letters_retention = HumanDuration::from_secs(60)),
            ("session_timeout", |it| it.session_timeout = HumanDuration::from_secs(1)),
            ("max_poll_interval", |it| it.max_poll_interval = HumanDuration::from_secs(1)),
        ];
        for (key, change) in cases {
            let mut settings = working();
            change(&mut settings);
            assert!(wrong_keys(&settings).contains(&key.to_owned()), "{key}: {:?}", wrong_keys(&settings));
        }
    }

    #[test]
    fn a_property_that_would_break_a_guarantee_is_named() {
        let mut settings = working();
        settings.properties.insert("enable.auto.commit".to_owned(), "x".into());
        settings.properties.insert("security.protocol".to_owned(), "SASL_SSL".into());
        assert_eq!(wrong_keys(&settings), ["properties.\"enable.auto.commit\""]);
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let settings: KafkaSettings = toml::from_str("[properties]\n'sasl.password' = 'hunter2'").unwrap();
        assert_eq!(settings.properties["sasl.password"].expose(), "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("hunter2"));
        assert!(!format!("{:?}", settings.problems()).contains("hunter2"));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<KafkaSettings>("broker = 'x'").is_err());
    }
}
