//! What stands in a path, percent-decoded: names and ids.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::problem::{Kind, Problem};
use crate::message::{TokenId, UserName};
use crate::registry::LoginKey;

/// As long as a token's id.
const MOST_SESSION_BYTES: usize = 256;

/// The variable parts of a path.
#[derive(Debug)]
pub(super) struct Params(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let decoded = RawPathParams::from_request_parts(parts, state).await;
        decoded.map(Self).map_err(|_| bad("Names and ids in a path are UTF-8, percent-encoded."))
    }
}

impl Params {
    pub(super) fn user(&self) -> Result<UserName, Problem> {
        UserName::new(self.get("name")).map_err(|error| bad(error.to_string()))
    }

    pub(super) fn token(&self) -> Result<TokenId, Problem> {
        TokenId::new(self.get("jti")).map_err(|error| bad(error.to_string()))
    }

    pub(super) fn login(&self) -> Result<LoginKey, Problem> {
        LoginKey::parse(self.get("id")).ok_or_else(|| bad("A login session's id has 64 hexadecimal digits in small letters."))
    }

    pub(super) fn session(&self) -> Result<Arc<str>, Problem> {
        let id = self.get("id");
        if id.is_empty() || id.len() > MOST_SESSION_BYTES || id.chars().any(char::is_control) {
            return Err(bad("A session's id has 1 to 256 bytes and no control characters."));
        }
        Ok(id.into())
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}
