//! Names of keys; what each is for stands in `docs/redis.md`.

use crate::message::{TokenId, UserName};
use crate::registry::LoginKey;

/// All keys have one hash tag, so that a script may touch several of them wherever they are kept.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    tag: String,
    /// Channels belong to no database, so they name it.
    pub(super) channel: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, database: i64) -> Self {
        let tag = format!("{{{prefix}}}");
        Self { channel: format!("{tag}:news:{database}"), tag }
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.tag)
    }

    pub(super) fn sessions(&self, user: &UserName) -> String {
        format!("{}:sessions:{user}", self.tag)
    }

    pub(super) fn revoked(&self) -> String {
        format!("{}:revoked", self.tag)
    }

    /// Without a token a key that never is there.
    pub(super) fn token(&self, token: Option<&TokenId>) -> String {
        format!("{}:token:{}", self.tag, token.map_or("", TokenId::as_str))
    }

    pub(super) fn tokens(&self, user: &UserName) -> String {
        format!("{}:tokens:{user}", self.tag)
    }

    pub(super) fn login(&self, login: LoginKey) -> String {
        format!("{}:login:{login}", self.tag)
    }

    pub(super) fn logins(&self, user: &UserName) -> String {
        format!("{}:logins:{user}", self.tag)
    }

    pub(super) fn news(&self) -> String {
        format!("{}:news", self.tag)
    }
}
