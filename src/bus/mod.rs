//! The port between nodes: records go to a topic, and come back in order, partition by partition.
//!
//! It speaks of meaning (who is to get a record), never of a server's groups and offsets files; those stay in the
//! adapter. Knows no store and no subscriber.

mod memory;
mod partitioner;
mod record;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::message::Destination;
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
    /// memory has no offsets, and both are 0, until it is first started.
    pub log_start: u64,
    pub log_end: u64,
}

/// Some records of one partition in order, with their offsets, which rise but need not be dense.
#[derive(Debug, Clone)]
pub struct Batch {
    pub partition: Partition,
    pub records: Vec<(u64, Record)>,
}

impl Batch {
    /// Where the next batch begins; what is committed once this one is done.
    pub fn end(&self) -> u64 {
        self.records.last().map_or(0, |(offset, _)| offset + 1)
    }
}

/// What a consumer has to act on, in order.
#[derive(Debug)]
pub enum Event {
    Assigned(Vec<Assignment>),
    /// Another node reads these now; what of them is unfinished is not this one's to finish.
    Revoked(Vec<Partition>),
    /// At most one batch a partition, of at most [`MAX_BATCH`] records each.
    Records(Vec<Batch>),
}

/// How many records a batch has at most; a batch is what arrived while the previous one was worked on.
pub const MAX_BATCH: usize = 500;

/// Why a record could not be published or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Refused before it was produced: it will never be delivered.
    #[error("the bus takes no records now")]
    Unavailable,
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
    /// all in the same order for one destination. After [`BusError::Unavailable`] none will.
    fn publish(&self, topic: Topic, record: Record) -> BoxFuture<'_, Result<Durable, BusError>>;

    /// A reader of the topic. For `EveryNode` the position is fixed before this resolves: every record published
    /// afterwards will be read.
    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>>;

    /// The events partition that holds all records of this destination, and so owns its numbering.
    fn partition_of(&self, destination: &Destination) -> Partition;
}

/// One reader. Dropping it gives its partitions back.
pub trait Consumer: Debug + Send {
    /// The next event. Cancel safe: an event is given out or kept, never lost.
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>>;

    /// Read an assigned partition from this offset on; also used to read a part again.
    fn start(&mut self, partition: &Partition, offset: u64);

    /// All before `next` is done with. Order matters: the store first, then broadcast, then this.
    fn commit(&mut self, partition: &Partition, next: u64);
}
