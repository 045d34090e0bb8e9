//! Which tokens count where only registered ones do (`auth.registry = "allow"`).

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::RegistryError;
use crate::message::{TokenId, UserName};

/// A token that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredToken {
    pub id: TokenId,
    pub user: UserName,
    /// The roles that count instead of those in the token.
    pub roles: Option<Arc<[Box<str>]>>,
    /// Seconds since 1970; from then on it is not registered any more.
    pub expires_at: u64,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    New,
    /// It was registered with other roles or another end; now as asked, and news.
    Changed,
    /// As it was.
    Same,
    /// It is registered for another user; nothing was written.
    Others,
}

/// Which tokens count. What the registry forgets counts no more, so everyone has to log in again: it fails closed.
pub trait Tokens {
    fn register(&self, token: RegisteredToken) -> BoxFuture<'_, Result<Registered, RegistryError>>;

    /// Its sessions end: it is news as [`super::News::TokenRevoked`]. Whether it was registered.
    fn unregister(&self, token: TokenId) -> BoxFuture<'_, Result<bool, RegistryError>>;

    /// The same for all tokens the user has now; how many there were.
    fn unregister_all_of(&self, user: UserName) -> BoxFuture<'_, Result<u64, RegistryError>>;

    /// A caller may use the answer for 30 s, if it drops what becomes news meanwhile.
    fn registered(&self, token: TokenId) -> BoxFuture<'_, Result<Option<RegisteredToken>, RegistryError>>;

    /// Those that end first come first.
    fn registered_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<RegisteredToken>, RegistryError>>;
}
