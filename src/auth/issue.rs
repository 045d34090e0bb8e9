//! Makes tokens, for `footfall token` and for development; a real system has an identity provider for it.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::keys::secret;
use super::{AuthError, AuthSettings, install_crypto};
use crate::message::{UserName, new_id};

/// Signs tokens with the first secret of the settings, so that the same settings accept them.
pub struct Issuer {
    key: EncodingKey,
    header: Header,
    user_claim: Box<str>,
    roles_claim: Box<str>,
    iss: Option<String>,
    aud: Option<String>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Issuer").finish_non_exhaustive()
    }
}

impl Issuer {
    pub fn new(settings: &AuthSettings) -> Result<Self, AuthError> {
        install_crypto();
        for (index, entry) in settings.keys.iter().enumerate() {
            let found = secret(entry).map_err(|(key, problem)| AuthError::Key { index, key, problem })?;
            let (Some(secret), Some(algorithm)) = (found, entry.algorithms.first()) else { continue };
            let header = Header { kid: entry.kid.clone(), ..Header::new((*algorithm).into()) };
            let first = |list: &Option<Vec<String>>| list.as_ref().and_then(|list| list.first().cloned());
            return Ok(Self {
                key: EncodingKey::from_secret(secret.expose_secret()),
                header,
                user_claim: settings.user_claim.as_str().into(),
                roles_claim: settings.roles_claim.as_str().into(),
                iss: first(&settings.issuer),
                aud: first(&settings.audience),
            });
        }
        Err(AuthError::NoSecret)
    }

    /// A token for this user, good from now (seconds since 1970) for `lifetime`. What it says of user, roles and times
    /// goes before `extra`.
    pub fn issue(
        &self,
        user: &UserName,
        roles: &[String],
        extra: Map<String, Value>,
        lifetime: Duration,
        now_s: u64,
    ) -> Result<String, AuthError> {
        let mut claims = extra;
        put(&mut claims, &self.user_claim, user.as_str().into());
        if !roles.is_empty() {
            put(&mut claims, &self.roles_claim, roles.into());
        }
        for (name, value) in [("iss", &self.iss), ("aud", &self.aud)] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value.as_str().into());
            }
        }
        claims.insert("iat".to_owned(), now_s.into());
        claims.insert("exp".to_owned(), now_s.saturating_add(lifetime.as_secs()).into());
        claims.entry("jti").or_insert_with(|| new_id().to_string().into());
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| AuthError::Signing)
    }
}

/// Puts a claim where `claims::find` finds it.
fn put(claims: &mut Map<String, Value>, path: &str, value: Value) {
    claims.remove(path);
    match path.split_once('.') {
        None => {
            claims.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let nested = claims.entry(first).or_insert_with(|| Map::new().into());
            if !nested.is_object() {
                *nested = Map::new().into();
            }
            if let Some(nested) = nested.as_object_mut() {
                put(nested, rest, value);
            }
        }
    }
}
