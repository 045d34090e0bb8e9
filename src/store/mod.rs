//! The port for kept messages: one transaction stores a batch, numbers it, and moves the partition's position.
//! And for what must outlive Redis: which tokens no longer count.
//!
//! Knows no bus and no policy: partitions, owners and retention come as arguments.

mod error;
mod looked;
mod measured;
mod postgres;
mod shared_reads;
mod sql;
mod sqlite;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::message::{Destination, Epoch, Mark, Message, Revocation, Revoked};
pub use looked::{Looked, Schema};
pub use measured::MeasuredStore;
pub use postgres::{PostgresSettings, PostgresStore};
pub use shared_reads::SharedReads;
pub use sqlite::{SqliteSettings, SqliteStore};

/// A partition of the events log, in the words of the store: `log` names one incarnation of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    pub log: Arc<str>,
    pub topic: Arc<str>,
    pub number: u32,
}

/// What proves that a writer owns a partition; each claim makes the ones before it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub Uuid);

/// What a new owner finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The offset after the last one stored; 0 if nothing ever was.
    pub next: u64,
    pub epoch: Epoch,
    /// Of record `next - 1`, if it was told.
    pub mark: Option<Mark>,
}

/// A batch of one partition, offsets rising.
#[derive(Debug, Clone)]
pub struct Append {
    pub partition: PartitionKey,
    pub owner: Owner,
    pub messages: Vec<(u64, Arc<Message>)>,
    /// The offset after the last record of the batch, also if that record holds no message to store.
    pub end: u64,
    /// Of record `end - 1`.
    pub mark: Option<Mark>,
    /// Where this owner knows the partition to stand at least: what it stored before was answered. A store that stands
    /// behind it was put back to an older copy.
    pub at_least: u64,
}

/// What became of one message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored now, or stored from this very offset before (the batch is read again after a crash): broadcast it.
    Stored { epoch: Epoch, sequence: u64 },
    /// Its id was stored from another offset: a client's retry.
    Known { epoch: Epoch, sequence: u64 },
    /// Below the partition's position and its id is not known (any more): passed over before, or its id outlived the window.
    PassedOver,
}

/// What is kept of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub epoch: Epoch,
    /// The sequence of the newest message ever stored; 0 if none ever was. Outlives the messages.
    pub head: u64,
    /// The oldest sequence from which on all messages up to `head` are kept; `head + 1` if none is.
    pub first: u64,
}

/// Which messages of a destination stay. What goes, goes from the oldest end, so that what stays has no hole: a
/// message that is too old stays as long as one before it in sequence, stamped later by another clock, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// At most this many, the newest.
    pub count: Option<u64>,
    /// None that is older than this (milliseconds since 1970).
    pub not_before_ms: Option<u64>,
}

/// How much one read returns at most; at least one message if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    pub messages: usize,
    pub bytes: usize,
}

impl PageLimit {
    /// What replay reads at once (design: pages of ≤ 300 messages and ≤ 256 KiB).
    pub const REPLAY: Self = Self { messages: 300, bytes: 256 * 1024 };
}

/// A part of what no longer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPage {
    pub revocations: Vec<Revocation>,
    /// The store's time, before it looked (milliseconds since 1970).
    pub now_ms: u64,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another owner claimed the partition; nothing of the batch was written.
    #[error("another node owns this partition now")]
    Fenced,
    /// The store stands before what this owner was told it had stored; nothing was written.
    #[error("the store was put back to an older copy")]
    Behind,
    /// A message of the batch can never be stored, and nothing was written; which one is found by trying smaller batches.
    #[error("a message can't be stored: {0}")]
    Rejected(String),
    /// The store was filled from another log, and nobody said that this one takes its place ([`Store::adopt`]).
    #[error("the store was filled from another log ({0}); `footfall topics adopt` accepts this one")]
    OtherLog(String),
    /// The store is away, busy or out of space; the same call may work later.
    #[error("the store can't be reached now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not get through in time, whether it hangs or what was asked is too much for it now. The same call may work
    /// later; of an append, half of the batch may work at once, and only that ever will if the whole is too much.
    #[error("the store did not get through in time")]
    Late(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the store holds is not what footfall wrote there.
    #[error("the store holds something unexpected: {0}")]
    Corrupt(String),
    /// Found when it was opened; a human has to act.
    #[error("the store can't be opened: {0}")]
    Unusable(String),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Late(_))
    }
}

/// Kept messages. Every call ends within the adapter's own time limit, [`StoreError::Unavailable`] or [`StoreError::Late`]
/// if need be. Three go on as long as there is something to remove, in transactions that each end within that limit: whoever
/// calls them drops them when it has to stop.
pub trait Store: Debug + Send + Sync {
    /// Makes `owner` the one writer of this partition, and tells where it is to go on. Durable. [`StoreError::OtherLog`]
    /// if this topic's partition of that number is known by another log only.
    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>>;

    /// In one transaction that ends durably: checks the owner, moves the partition's position to at least `end`, and
    /// stores each message at or after the old position unless its id is known, numbered per destination without
    /// holes in the order given. Answers one [`Appended`] per message, in order. An id that comes twice in one batch is
    /// `Stored`, then `Known`. All or nothing: on any error no message of the batch was stored, but for one case. The
    /// answer to a commit can be lost, so after an error that is retryable it may have been stored after all; the same
    /// call again stores it or tells that it was. After [`StoreError::Late`] the caller appends halves instead, each with
    /// an `end` of its own, until they get through: a batch that is too much would otherwise be tried for ever. Without
    /// the position in the same transaction a crash would store twice or lose.
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>>;

    /// Gives the partition a new epoch, since its numbering went back: sequences go on from the heads that are left, and
    /// are not to be taken for those given before.
    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>>;

    /// Goes on with this log, from `next`, where the topic's partition of that number stood in the log before, whichever
    /// that was; its numbering stays. Whoever owned it owns it no more.
    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether `owner` still is the one writer.
    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// What is kept of a destination whose numbering belongs to `partition`. A partition that nobody claimed yet gets
    /// its epoch now.
    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>>;

    /// The messages with `after < sequence <= through` that are kept, oldest first, at most a page of them, all from
    /// one moment.
    /// A hole in the answer (or a first message that is not `after + 1`) means that retention took them.
    fn page(
        &self,
        partition: PartitionKey,
        destination: Destination,
        after: u64,
        through: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Arc<Message>>, StoreError>>;

    /// Destinations with messages, in the order of their bytes, after the given one; for whoever applies retention.
    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>>;

    /// Whether the caller is to apply retention now, for all nodes that share this store: if so, the store's time
    /// (milliseconds since 1970), by which ages are to be judged. None if one of them began within `every` before.
    fn retention_turn(&self, every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>>;

    /// Removes what `keep` does not keep, oldest first, in as many short transactions as that takes; appends go first
    /// between two of them. What another node is just removing is left to it. Answers how many went.
    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Forgets ids that were stored so long ago, by the clock that stamped them: the end of the idempotency window.
    /// In as many short transactions as that takes. Answers how many.
    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Remembers, durably, that these no longer count. For one that is there already the later times win.
    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Revocations that were written or changed at or after `since_ms` (0: all), and whose time is not over, in the order of
    /// what they are about, after `after`; at most `limit`. Whoever asks for what is new gives the `now_ms` of an earlier
    /// answer less a minute, since a change may become visible a little later than it is stamped.
    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>>;

    /// Removes the revocations whose time is over, by the store's clock, in as many short transactions as that takes. Answers
    /// how many.
    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Whether the store answers now. A node is ready without it: SENDs are accepted and wait, and so do deliveries.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Finishes what was begun and closes.
    fn close(&self) -> BoxFuture<'_, ()>;
}
