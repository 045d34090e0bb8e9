//! The port between nodes: records go to a topic, and come back in order, partition by partition.
//!
//! It speaks of meaning (who is to get a record), never of a server's groups and offsets files; those stay in the
//! adapter. Knows no store and no subscriber.

mod kafka;
mod measured;
mod memory;
mod partitioner;
mod record;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::message::{Destination, Mark};
pub use kafka::{
    Finding, KafkaBus, KafkaError, KafkaProperty, KafkaSettings, TopicReport, TopicState, Weight, check_topics, create_topics,
};
pub use measured::MeasuredBus;
pub use memory::{MemoryBus, MemoryBusSettings};
pub use record::{Kind, Record};

/// The two hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Hop 1: what senders ask to be stored.
    Events,
    /// Hop 2: what subscribers get.
    Broadcast,
}

/// Who gets the records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Exactly one node of the cluster, partition by partition; what it has not committed comes again.
    OneNode,
    /// Each node, from the moment it subscribed.
    EveryNode,
}

/// One partition of one topic of one log. A log that was made anew has another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The identity of the log: Kafka's cluster id, or `memory`.
    pub log: Arc<str>,
    pub topic: Arc<str>,
    pub number: u32,
}

/// A partition that this consumer is to read from now on. It reads nothing before [`Consumer::start`] says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub partition: Partition,
    /// The next record to read by what was committed; none if nothing ever was.
    pub committed: Option<u64>,
    /// The oldest record that is still there, and the end of the log: the offset the next record will get. A log in
    /// memory has no offsets until it is first started, and so no end (`u64::MAX`).
    pub log_start: u64,
    pub log_end: u64,
}

/// Some records of one partition in order, with their offsets, which rise but need not be dense.
#[derive(Debug, Clone)]
pub struct Batch {
    pub partition: Partition,
    pub records: Vec<(u64, Record)>,
    /// What stands between them and is no record of ours.
    pub unreadable: Vec<Unreadable>,
    /// Where the next batch begins; what is committed once this one is done.
    pub end: u64,
    /// Of record `end - 1`, if the log can tell.
    pub mark: Option<Mark>,
}

/// A record that can't be read as one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub offset: u64,
    /// A sentence for whoever looks into the dead-letter topic.
    pub reason: String,
    pub raw: RawRecord,
}

/// A record as it stood in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawRecord {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// A header without a value is not one with an empty value.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// A record of *events* that can't be taken, for the dead-letter topic.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub partition: Partition,
    pub offset: u64,
    /// A sentence that says what is wrong with it.
    pub reason: String,
    pub record: Dead,
}

/// What is kept of it.
#[derive(Debug, Clone)]
pub enum Dead {
    /// It could not be read.
    Raw(RawRecord),
    /// It could be read and not be stored.
    Record(Record),
}

/// Whether a node with this bus should be given clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    Ready,
    /// A word for the readiness page, as `bus-unavailable` or `broadcast-behind`.
    NotReady(&'static str),
}

/// How many records this node's readers have still to take; none where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Of the partitions that are read here: not committed.
    pub events: Option<u64>,
    /// Not read.
    pub broadcast: Option<u64>,
}

/// Whether anyone on this node has to do with a record, by its key and the id of its message; asked before the rest of
/// the record is read.
pub type Wanted = Arc<dyn Fn(&str, Uuid) -> bool + Send + Sync>;

/// What a consumer has to act on, in order.
#[derive(Debug)]
pub enum Event {
    Assigned(Vec<Assignment>),
    /// Another node reads these now; what of them is unfinished is not this one's to finish.
    Revoked(Vec<Partition>),
    /// At most one batch a partition, of at most [`MAX_BATCH`] records each, unreadable ones included.
    Records(Vec<Batch>),
}

/// For how long the node of this name has had no lease; none if it has one.
pub type GoneFor = Arc<dyn Fn(&str) -> Option<Duration> + Send + Sync>;

/// What a bus keeps of a node goes when the node has had no lease for so long: far longer than a node that lives can be
/// without one.
pub const SWEEP_AFTER: Duration = Duration::from_mins(10);

/// How many records a batch has at most; a batch is what arrived while the previous one was worked on.
pub const MAX_BATCH: usize = 500;

/// Why a record could not be published or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Refused before it was produced: it will never be delivered.
    #[error("the bus takes no records now")]
    Unavailable,
    /// Refused, and so it will be whenever it is published: never try it again.
    #[error("the message is larger than a record of the bus may be")]
    TooLarge,
    /// Produced, and no answer came in time: it may or may not be delivered.
    #[error("the bus did not say in time whether it has the record")]
    Unknown,
    #[error("the bus is closed")]
    Closed,
}

/// Resolves when a record that the bus accepted can't be lost any more, at the latest [`ANSWER_WITHIN`] after it was
/// published.
pub type Durable = BoxFuture<'static, Result<(), BusError>>;

/// How long a bus may be full before it refuses ([`BusError::Unavailable`]); until then publishers wait for room.
pub const ACCEPT_WITHIN: Duration = Duration::from_secs(2);

/// When a record without an answer counts as [`BusError::Unknown`], from the moment it was published.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// The way between nodes.
pub trait Bus: Debug + Send + Sync {
    /// In two steps, so that senders keep their order and yet need not wait for each other. The outer future accepts
    /// the record into the log; records of one destination stand there in the order in which these futures resolved.
    /// What it gives resolves when the record is durable. To *events*: every in-sync replica has it (Kafka), or the
    /// `OneNode` consumer has committed it (memory). To *broadcast*: every consumer of `EveryNode` will read it, and
    /// all in the same order for one destination. After [`BusError::Unavailable`] or [`BusError::TooLarge`] none will.
    /// What was read from *events* is never too large for *broadcast* where topics are as `topics create` makes them.
    fn publish(&self, topic: Topic, record: Record) -> BoxFuture<'_, Result<Durable, BusError>>;

    /// A reader of the topic. For `EveryNode` the position is fixed before this resolves: every record published
    /// afterwards will be read.
    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>>;

    /// The events partition that holds all records of this destination, and so owns its numbering.
    fn partition_of(&self, destination: &Destination) -> Partition;

    /// What marks the record at this offset of an events partition; none if it is not in the log (any more).
    fn mark(&self, partition: &Partition, offset: u64) -> BoxFuture<'_, Result<Option<Mark>, BusError>>;

    /// Where an events partition begins and ends now, as [`Assignment::log_start`] and [`Assignment::log_end`] were.
    fn ends(&self, partition: &Partition) -> BoxFuture<'_, Result<(u64, u64), BusError>>;

    /// Puts away a record of *events* that can't be taken, with the reason and where it stood; durable when this
    /// resolves. What does not fit is cut, and the letter says so. The memory bus has nowhere to put it, so it says so in the log, and the sender gets no receipt.
    fn dead_letter(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), BusError>>;

    /// Deletes what other nodes of this cluster left behind, once they are gone for [`SWEEP_AFTER`]: with Kafka, the groups
    /// that show how far each has read; their names. What lives, what is another cluster's and what is none of ours stays.
    /// Ends within half a minute and holds nobody up; doing it twice is doing it once.
    fn sweep(&self, gone: GoneFor) -> BoxFuture<'_, Result<Vec<String>, BusError>>;

    /// What is known now; never waits.
    fn state(&self) -> BusState;

    /// How far behind this node is, as it was last seen; never waits.
    fn lag(&self) -> Lag;

    /// Finishes what was begun, leaves what was joined, and closes; consumers were dropped before.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// One reader. Dropping it gives its partitions back.
pub trait Consumer: Debug + Send {
    /// The next event. Cancel safe: an event is given out or kept, never lost.
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>>;

    /// Read an assigned partition from this offset on; also used to read a part again. Its first batch may come now.
    fn start(&mut self, partition: &Partition, offset: u64);

    /// The next batch of this partition may come. Of a partition of `OneNode` one batch is out at a time, so that those
    /// who are busy with one partition get the others' batches; what arrives meanwhile makes the next one.
    fn more(&mut self, partition: &Partition);

    /// Drops what nobody here wants before it is read whole, for `EveryNode`. It still counts as read.
    fn only(&mut self, wanted: Wanted);

    /// All before `next` is done with. Order matters: the store first, then broadcast, then this.
    fn commit(&mut self, partition: &Partition, next: u64);
}
