//! The port for what nodes must agree on besides messages: which of them live, who is connected where, and whose
//! tokens still count.
//!
//! All of it is soft but for revocations, whose durable copy is the store's: a registry that comes back empty is filled
//! again by those who use it. Knows no bus, no store and no session's inside.

mod leases;
mod logins;
mod memory;
mod news;
mod redis;
mod revocations;
mod sessions;
mod tokens;

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::redis::{RedisLooked, RedisRegistry, RedisSettings};
pub use leases::{Lease, Leases, NodeRun, NodeSeen, Nodes, Renewal};
pub use logins::{Login, LoginKey, Logins, TooLong};
pub use memory::{Clock, MemoryRegistry, MemoryRegistrySettings};
pub use news::{News, NewsEvent, NewsReader, Why};
pub use revocations::{Refill, Revocations};
pub use sessions::{Admission, Admitted, Demand, KEEP_EVERY, LiveSession, Sessions};
pub use tokens::{Registered, RegisteredToken, Tokens};

/// At the latest after this every call has ended, whatever became of the server.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How many entries one call takes at most where it takes many: [`Sessions::keep`], [`Revocations::refill`].
pub const MAX_BATCH: usize = 500;

/// What of a call failed. Nothing else is said of it: what the caller asked for may have been done all the same, and
/// every call may be made again.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Away, silent, starting, full, or no longer the one that may write; the same call may work later.
    #[error("the registry can't be reached now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It is empty, or forgot: whether a token was revoked it can't tell before somebody filled it ([`Revocations::begin_refill`]).
    #[error("the registry does not know yet what was revoked")]
    NotFilled,
    /// What the registry holds is not what footfall wrote there.
    #[error("the registry holds something unexpected: {0}")]
    Corrupt(String),
    /// A human has to act.
    #[error("the registry can't be used: {0}")]
    Unusable(String),
    #[error("the registry is closed")]
    Closed,
}

impl RegistryError {
    /// Whether the same call may work later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotFilled)
    }
}

/// What is known of a registry without asking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryState {
    /// The last call was answered.
    pub available: bool,
    /// News come at once; if not, within a second or so.
    pub pushed: bool,
    /// It throws away what is not asked for when it is full, and so can't be relied upon; an operator should be told.
    pub evicting: bool,
}

/// What nodes must agree on.
///
/// Every call ends within [`ANSWER_WITHIN`], with [`RegistryError::Unavailable`] if need be, and at once while the registry
/// is known to be away. Each call is one step that others see as a whole or not at all, and doing it twice is doing it
/// once: after an error whoever called may simply call again. What a call changes for others becomes news with it, in the
/// same step. The registry's own clock decides what has lapsed, so a node's wrong clock harms nobody.
pub trait Registry: Leases + Sessions + Tokens + Revocations + Logins + Debug + Send + Sync {
    /// A reader of everything that becomes news from a moment on that it tells by its first event, which is
    /// [`NewsEvent::Lost`]: whoever loads what it needs after that event misses nothing. Never fails and never waits; while
    /// the registry is away the reader waits for it.
    fn news(&self) -> Box<dyn NewsReader>;

    /// What is known now; never waits.
    fn state(&self) -> RegistryState;

    /// Closes it: further calls fail with [`RegistryError::Closed`], and so do readers of news.
    fn close(&self) -> BoxFuture<'_, ()>;
}
