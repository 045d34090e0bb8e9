//! A token's name, and what makes tokens count no more.

use std::fmt;
use std::sync::Arc;

use super::UserName;

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

/// What no longer counts. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One token; `until` is its `exp` and the leeway, after which it need not be remembered.
    Token { token: TokenId, until: u64 },
    /// All of a user's tokens whose `iat` is below `issued_before`, or that have none. A logout at second `s` means `s + 1`,
    /// since a token of that very second may be an old one. `until` is when the last of them must have expired.
    User { user: UserName, issued_before: u64, until: u64 },
}

/// What a revocation is about; a list of revocations has one for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revoked {
    Token(TokenId),
    User(UserName),
}

impl Revocation {
    pub fn about(&self) -> Revoked {
        match self {
            Self::Token { token, .. } => Revoked::Token(token.clone()),
            Self::User { user, .. } => Revoked::User(user.clone()),
        }
    }

    /// From when on it need not be remembered.
    pub fn until(&self) -> u64 {
        match self {
            Self::Token { until, .. } | Self::User { until, .. } => *until,
        }
    }
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
