//! Who is connected where: each user's live sessions, and how many of them there may be.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{NodeRun, RegisteredToken, RegistryError};
use crate::message::{TokenId, UserName};

/// How often a node keeps its sessions ([`Sessions::keep`]).
pub const KEEP_EVERY: Duration = Duration::from_mins(15);

/// A node without a lease for so long is taken for dead, and its sessions count no more. Until then it may only have been
/// silent, or the registry was: its sessions still count towards how many a user may have, though they are the first to
/// be pushed out.
pub(super) const SILENT_FOR: Duration = Duration::from_mins(1);

/// A session between CONNECT and its end. It lives as long as the lease of the start of the node that has it: nobody has
/// to clear up after a node that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    pub user: UserName,
    /// The id in CONNECTED; no line ends.
    pub id: Arc<str>,
    pub node: NodeRun,
    /// The token it came with, if that has an id.
    pub token: Option<TokenId>,
    /// When it was admitted, in milliseconds since 1970 by the registry's clock: what "the oldest" is judged by.
    pub since_ms: u64,
}

/// What a token must be for its bearer to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Its signature was enough.
    Nothing,
    /// Neither it nor its user was revoked.
    NotRevoked,
    /// It is registered for this user; a token without an id never is.
    Registered,
}

/// A CONNECT whose token was verified.
#[derive(Debug, Clone)]
pub struct Admission {
    pub user: UserName,
    pub session: Arc<str>,
    pub node: NodeRun,
    pub token: Option<TokenId>,
    /// The token's `iat` in seconds since 1970. Without one it counts as older than any revocation of its user.
    pub issued_at: Option<u64>,
    pub demand: Demand,
    /// More than so many sessions this user may not have.
    pub max_sessions: Option<NonZeroU32>,
}

/// What became of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    In {
        since_ms: u64,
        /// Whom this one displaced; they are news too ([`super::News::SessionEnded`]), which is what ends them. An admission
        /// that is made again after an error may not name them again.
        pushed_out: Vec<LiveSession>,
        /// As it is registered, for [`Demand::Registered`].
        registered: Option<RegisteredToken>,
    },
    /// For [`Demand::NotRevoked`].
    Revoked,
    /// For [`Demand::Registered`].
    NotRegistered,
}

/// Who is connected where.
pub trait Sessions {
    /// In one step: judges the token, adds the session, and pushes out so many of the user's others that no more are left
    /// than may be, those of nodes without a lease first, then the oldest. A session that is there already is not added
    /// twice. [`RegistryError::NotFilled`] if what was revoked is not known.
    ///
    /// Whoever can end the session must be able to find it *before* this is called: a revocation that comes after this step
    /// is news, and it may be read sooner than the answer.
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Admitted, RegistryError>>;

    /// The session ended. No news.
    fn leave(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Puts these back as they were, or keeps them: after [`super::Renewal::Anew`], and otherwise every [`KEEP_EVERY`], as
    /// the registry forgets what nobody kept for four times as long. At most
    /// [`super::MAX_BATCH`] a call. No news.
    fn keep(&self, sessions: Vec<LiveSession>) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// The user's sessions on nodes that hold a lease, the oldest first.
    fn sessions_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<LiveSession>, RegistryError>>;

    /// Has a session ended by the node that has it: it is gone from here, and news. Whether it was there.
    fn end(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<bool, RegistryError>>;
}
