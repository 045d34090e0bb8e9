//! Which tokens count where only registered ones do (`auth.registry = "allow"`).

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::RegistryError;
use crate::message::UserName;

/// A token's `jti`: 1 to 256 bytes, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(Arc<str>);

/// A text that can't be a token's id here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A token id has 1 to 256 bytes and no control characters.")]
pub struct BadTokenId;

impl TokenId {
    pub const MAX_BYTES: usize = 256;

    pub fn new(id: &str) -> Result<Self, BadTokenId> {
        if id.is_empty() || id.len() > Self::MAX_BYTES || id.chars().any(char::is_control) {
            return Err(BadTokenId);
        }
        Ok(Self(id.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_one_line() {
        for id in ["", "a\nb", "a\0", &"x".repeat(257)] {
            assert_eq!(TokenId::new(id), Err(BadTokenId));
        }
        assert_eq!(TokenId::new(&"ü".repeat(128)).unwrap().as_str().len(), 256);
    }
}
