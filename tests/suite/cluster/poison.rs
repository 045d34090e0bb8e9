//! F19, ten records among ten thousand that nobody can store, and ten on the broadcast topic that nobody can read: they
//! stop nobody, and who looks into the dead-letter topic finds what was wrong with each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::message::Headers;
use rdkafka::producer::future_producer::Delivery;
use tokio::time::interval;
use uuid::Uuid;

use super::broker::{BROADCAST, DEAD_LETTERS, EVENTS, Foreign};
use super::row::{Load, Row};
use super::world::World;
use crate::driver::What;

const GOOD: usize = 9_990;
const SOURCE: &str = "/a-service-of-somebody-else";
/// Records at once, and how often: 1,000 a second.
const AT_ONCE: usize = 100;
const EVERY: Duration = Duration::from_millis(100);
/// What is said of a dead letter.
const TOLD: [&str; 4] = ["footfall_reason", "footfall_topic", "footfall_partition", "footfall_offset"];

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F19", Load::STANDARD).await;
    row.has_larger_load();
    let before = world.broker.end(DEAD_LETTERS);
    let journal = row.crowd.journal("a service");
    journal.write(What::Connected { node: 0 });
    let channel = row.channels[0].clone();
    let mut good = HashSet::from([id(channel.as_str(), "0")]);
    journal.write(What::Sent { destination: channel.as_str().into(), id: id(channel.as_str(), "0") });
    let partition = world.broker.write(EVENTS, &message(channel.as_str(), "0")).await;
    let poison = poison(channel.as_str(), partition);
    let mut written = Vec::new();

    row.until_fault().await;
    for record in poison.iter().map(|(record, _)| record).chain([&no_position(channel.as_str())]) {
        world.broker.write(BROADCAST, record).await;
    }
    let mut poison = poison.into_iter().chain([no_text(channel.as_str())]);
    let mut ticks = interval(EVERY);
    for first in (1..GOOD).step_by(AT_ONCE) {
        ticks.tick().await;
        let mut under_way = Vec::new();
        for number in first..GOOD.min(first + AT_ONCE) {
            if number % (GOOD / 11) == 0 {
                under_way.extend(poison.next().map(|(record, reason)| (Record::Poison(reason), world.broker.begin(EVENTS, &record))));
            }
            let channel = row.channels[row.random.index(row.channels.len())].as_str();
            let id = id(channel, &number.to_string());
            good.insert(id);
            journal.write(What::Sent { destination: channel.into(), id });
            under_way.push((Record::Good(id), world.broker.begin(EVENTS, &message(channel, &number.to_string()))));
        }
        for (record, delivery) in under_way {
            let Delivery { partition, offset, .. } = delivery.await.unwrap().unwrap();
            match record {
                Record::Good(id) => journal.write(What::Receipted { id }),
                Record::Poison(reason) => written.push((partition, offset, reason)),
            }
        }
    }
    assert_eq!((poison.count(), written.len()), (0, 10), "all of them were written");
    let since = row.clock();

    let mut finished = row.finish().await;
    let stored = finished.run.database.rows.values().flatten().filter(|row| good.contains(&row.id)).count();
    finished.figures.count("stored", GOOD, stored);
    finished.figures.count("dead letters", 10, world.broker.end(DEAD_LETTERS) - before);
    finished.caught_up(Duration::from_secs(5), since);
    let letters = world.broker.read(DEAD_LETTERS, |record| record.headers().map(told).unwrap_or_default());
    for (partition, offset, reason) in written {
        let place = [EVENTS, &partition.to_string(), &offset.to_string()];
        let reasons: Vec<_> = letters.iter().filter(|told| told[1..] == place).map(|told| told[0].as_str()).collect();
        if !matches!(reasons[..], [one] if one.contains(reason)) {
            finished.figures.wrong(format!("of {place:?} one dead letter is to say {reason:?}, and there are {reasons:?}"));
        }
    }
    finished.clean();
}

/// What was written, and not yet acknowledged.
enum Record {
    Good(Uuid),
    /// A word of why nobody can store it.
    Poison(&'static str),
}

fn told(headers: &impl Headers) -> [String; 4] {
    let value = |name| headers.iter().find(|header| header.key == name).and_then(|header| header.value);
    TOLD.map(|name| String::from_utf8_lossy(value(name).unwrap_or_default()).into_owned())
}

/// As any service can write it: CloudEvents in binary mode.
pub(super) fn message(channel: &str, id: &str) -> Foreign {
    let headers = [
        ("content-type", "text/plain"),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", SOURCE),
        ("ce_type", "footfall.message.v1"),
        ("ce_subject", channel),
    ];
    let headers = headers.map(|(name, value)| (name, value.as_bytes().to_vec())).to_vec();
    Foreign { key: Some(channel.into()), headers, body: format!("the {id}th").into_bytes(), partition: None }
}

/// The id under which such a record is stored, as the wire has it: the same for the same source, destination and id.
pub(super) fn id(channel: &str, id: &str) -> Uuid {
    let foreign = Uuid::from_u128(0x8e1f_27b4_6c0a_4d53_b5d2_91e4_3a7f_c08d);
    Uuid::new_v5(&foreign, format!("{}:{SOURCE}{}:{channel}{id}", SOURCE.len(), channel.len()).as_bytes())
}

/// The same record with another value for a header, or without it.
fn with(channel: &str, name: &'static str, value: Option<&[u8]>) -> Foreign {
    let mut record = message(channel, "poison");
    record.headers.retain(|(header, _)| *header != name);
    record.headers.extend(value.map(|value| (name, value.to_vec())));
    record
}

/// Nine that are no records of footfall's on either topic, and a word of why. This channel's records go to this partition.
fn poison(channel: &str, partition: i32) -> [(Foreign, &'static str); 9] {
    let good = message(channel, "poison");
    [
        (Foreign { headers: Vec::new(), body: vec![0xFF, 0, 0xFF], ..good.clone() }, "no header ce_specversion"),
        (with(channel, "ce_specversion", Some(b"9.9")), "ce_specversion with the value 1.0"),
        (with(channel, "ce_type", Some(b"footfall.message.v9")), "ce_type is of a version"),
        (with(channel, "ce_id", None), "no ce_id"),
        (with(channel, "ce_subject", Some(b"/topic/rooms.another")), "ce_subject is not its key"),
        (with(channel, "ce_sender", Some(b"\xC3\x28")), "ce_sender is no UTF-8"),
        (Foreign { partition: Some((partition + 1) % 12), ..good.clone() }, "lies in partition"),
        (Foreign { key: None, ..good.clone() }, "no key"),
        (Foreign { key: Some(b"no destination".to_vec()), ..good }, "key is no destination"),
    ]
}

/// The tenth on the events topic: it can be read, and PostgreSQL has no NUL in a text.
fn no_text(channel: &str) -> (Foreign, &'static str) {
    (with(channel, "content-type", Some(b"text/\0plain")), "NUL")
}

/// The tenth on the broadcast topic: as of a node, and with a sequence that is no number.
fn no_position(channel: &str) -> Foreign {
    let mut record = with(channel, "ce_source", Some(b"footfall/no-node"));
    record.headers.retain(|(name, _)| *name != "ce_id");
    record.headers.push(("ce_id", Uuid::nil().to_string().into_bytes()));
    record.headers.push(("ce_sequence", b"seven".to_vec()));
    record
}
