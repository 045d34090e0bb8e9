//! What every node is told at once: who has to go.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{LoginKey, RegistryError};
use crate::message::{TokenId, UserName};

/// Something that happened to a user, a token or a session. It may be told twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It was revoked, or unregistered.
    TokenRevoked { token: TokenId },
    /// All tokens of the user with an `iat` below this (seconds since 1970), or with none, were revoked.
    UserRevoked { user: UserName, issued_before: u64 },
    /// It was registered with other roles or another end.
    TokenChanged { token: TokenId },
    /// A session is to end; it may be on any node, usually `node`.
    SessionEnded { user: UserName, session: Arc<str>, node: Arc<str>, why: Why },
    /// A login session was ended, and with it the sessions that belong to it: those of its user, if it has one.
    LoginEnded { login: LoginKey, user: Option<UserName> },
}

/// Why a session is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user came in once more than may be.
    PushedOut,
    /// Somebody asked for it.
    Asked,
}

/// What a reader of news finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewsEvent {
    News(News),
    /// News from before now may have been missed: the reader has just begun, it was away for too long, or the registry
    /// forgot. Whoever reads loads what it must know (what was revoked, which of its sessions still are there); all that
    /// happens from now on will be told.
    Lost,
}

/// One reader of news.
pub trait NewsReader: Debug + Send {
    /// The next event, in the order in which the changes were made, as a rule at once, and within 2 s when they can't be
    /// pushed. While the registry is away nothing comes, and nothing is missed. The only error is
    /// [`RegistryError::Closed`]. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Result<NewsEvent, RegistryError>>;
}
