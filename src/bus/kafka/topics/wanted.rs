//! How each topic should be, and how one that exists differs from that.

use super::Topic;
use crate::bus::kafka::KafkaSettings;
use crate::bus::kafka::client::Names;
use crate::bus::kafka::size::{EVENTS_BATCH, ONWARD_BATCH};
use crate::message::HumanDuration;

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) partitions: u32,
    /// A node does not start with another number.
    pub(super) fixed_partitions: bool,
    pub(super) replication_factor: u16,
    pub(super) properties: Vec<(&'static str, String)>,
}

/// Retention takes whole segments only, and of one that is written to nothing at all; so a short one needs short segments.
const SEGMENTS: u64 = 6;

/// Otherwise a broker's own `message.max.bytes`, by which each topic would take what the next one may not.
const BATCH: &str = "max.message.bytes";

pub(super) fn wanted(settings: &KafkaSettings) -> [Wanted; 3] {
    let names = Names::new(&settings.prefix, "");
    let topic = |name: String, partitions: u32, retention: HumanDuration, batch: usize| Wanted {
        name,
        partitions,
        fixed_partitions: true,
        replication_factor: settings.replication_factor,
        properties: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("min.insync.replicas", settings.min_insync_replicas.to_string()),
            ("retention.ms", retention.as_millis().to_string()),
            // The broker's clock, not the sender's: a backend's wrong one would delete records early or late, and the time
            // by which a log is recognised is one that this log alone gave.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            (BATCH, batch.to_string()),
        ],
    };
    let mut broadcast = topic(names.broadcast, settings.partitions, settings.broadcast_retention, ONWARD_BATCH);
    broadcast.properties.push(("segment.ms", (settings.broadcast_retention.as_millis() / SEGMENTS).to_string()));
    [
        topic(names.events, settings.partitions, settings.events_retention, EVENTS_BATCH),
        broadcast,
        Wanted { fixed_partitions: false, ..topic(names.dead_letters, 1, settings.dead_letters_retention, ONWARD_BATCH) },
    ]
}

impl Wanted {
    pub(super) fn differences(&self, found: &Topic) -> Vec<String> {
        let name = &self.name;
        let mut differences = Vec::new();
        let mut differs = |what: &str, is: &str, set: &str| {
            if is != set {
                differences.push(format!("Topic {name} has {what} {is}, and by the settings it is {set}."));
            }
        };
        differs("replication factor", &found.replication_factor.to_string(), &self.replication_factor.to_string());
        for (property, set) in &self.properties {
            // A broker that does not tell is not contradicted.
            if let Some(is) = found.property(property) {
                differs(property, is, set);
            }
        }
        differences
    }

    /// What the topic refuses of that which footfall writes to it.
    pub(super) fn too_small(&self, found: &Topic) -> Option<String> {
        let set = self.properties.iter().find(|(property, _)| *property == BATCH)?.1.parse::<u64>().ok()?;
        let is = found.property(BATCH)?.parse::<u64>().ok().filter(|is| *is < set)?;
        let name = &self.name;
        Some(format!("Topic {name} has {BATCH} {is}, so it refuses records that footfall writes: set it to {set} at least."))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_topic_as_it_should_be_does_not_differ() {
        let settings = KafkaSettings::default();
        for wanted in wanted(&settings) {
            let properties: BTreeMap<_, _> = wanted.properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            let found = Topic { partitions: wanted.partitions, replication_factor: 3, properties };
            assert_eq!(wanted.differences(&found), [""; 0]);
            assert_eq!(wanted.too_small(&found), None);
            let mut other = found;
            other.properties.insert(BATCH.into(), "1048587".into());
            assert!(wanted.too_small(&other).unwrap().contains("1048587"));
            other.properties.remove(BATCH);
            assert_eq!(wanted.too_small(&other), None, "a broker that does not tell is not contradicted");
            other.replication_factor = 1;
            other.properties.insert("retention.ms".into(), "5".into());
            let differences = wanted.differences(&other);
            assert!(
                differences.len() == 2 && differences[0].contains("replication factor 1") && differences[1].contains("retention.ms 5"),
                "{differences:?}"
            );
        }
    }

    #[test]
    fn names_come_from_the_prefix() {
        let settings = KafkaSettings { prefix: "chat".into(), partitions: 7, ..KafkaSettings::default() };
        let names = wanted(&settings).map(|wanted| (wanted.name, wanted.partitions));
        assert_eq!(names, [("chat.events".into(), 7), ("chat.broadcast".into(), 7), ("chat.dead-letters".into(), 1)]);
    }
}
