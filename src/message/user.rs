//! Who is at the other end of a session.

use std::fmt;
use std::sync::Arc;

use super::TokenId;

/// A user's name as other users see it: 1 to 256 bytes, no control characters, since CONNECTED can't escape
/// them in any STOMP version and a log line must stay one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

/// A text that can't be a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A user name has 1 to 256 bytes and no control characters.")]
pub struct BadUserName;

impl UserName {
    pub const MAX_BYTES: usize = 256;

    pub fn new(name: &str) -> Result<Self, BadUserName> {
        if name.is_empty() || name.len() > Self::MAX_BYTES || name.chars().any(char::is_control) {
            return Err(BadUserName);
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What a verified token says of its bearer.
#[derive(Clone)]
pub struct User {
    pub name: UserName,
    pub roles: Arc<[Box<str>]>,
    /// All claims of the token, for rules.
    pub claims: Arc<serde_json::Value>,
    /// When the token ends (seconds since 1970), without leeway; the session ends with it.
    pub expires_at: Option<u64>,
    /// The token's `jti`, by which it can be revoked.
    pub token: Option<TokenId>,
    /// The token's `iat` (seconds since 1970).
    pub issued_at: Option<u64>,
}

// Claims may hold what is not for logs.
impl fmt::Debug for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("User").field("name", &self.name).field("roles", &self.roles).finish_non_exhaustive()
    }
}
