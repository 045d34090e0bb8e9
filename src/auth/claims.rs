//! From claims whose signature is good to a user, or to the reason why not.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{AuthSettings, TokenRegistry};
use crate::message::{Code, Refusal, TokenId, User, UserName};

/// What is demanded of claims and where names and roles stand.
#[derive(Debug)]
pub(super) struct Demands {
    user_claim: Box<str>,
    roles_claim: Box<str>,
    leeway_s: u64,
    issuer: Option<Box<[Box<str>]>>,
    audience: Option<Box<[Box<str>]>>,
    /// In seconds; none where nothing is revoked.
    longest: Option<u64>,
}

impl Demands {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        let boxed = |texts: &Option<Vec<String>>| texts.as_ref().map(|texts| texts.iter().map(|text| text.as_str().into()).collect());
        Self {
            user_claim: settings.user_claim.as_str().into(),
            roles_claim: settings.roles_claim.as_str().into(),
            leeway_s: settings.leeway.as_secs(),
            issuer: boxed(&settings.issuer),
            audience: boxed(&settings.audience),
            longest: (settings.registry != TokenRegistry::Off).then_some(settings.longest_token.as_secs()),
        }
    }

    pub(super) fn user(&self, claims: Map<String, Value>, now_s: u64) -> Result<User, Refusal> {
        let expires_at = time(&claims, "exp")?.ok_or_else(|| invalid("The JWT must say when it expires (exp)."))?;
        // Who claims to come from the future is taken for as old as one that does not say: any logout covers it.
        let issued_at = time(&claims, "iat")?.filter(|issued_at| *issued_at <= now_s.saturating_add(self.leeway_s));
        let expires_at = self.last_second(expires_at, issued_at, now_s)?;
        let not_before = time(&claims, "nbf")?.unwrap_or(0);
        self.check_issuer(&claims)?;
        self.check_audience(&claims)?;
        // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted".
        if now_s >= expires_at.saturating_add(self.leeway_s) {
            return Err(Code::TokenExpired.into());
        }
        if now_s.saturating_add(self.leeway_s) < not_before {
            return Err(invalid("The JWT is not valid yet (nbf)."));
        }
        let name = find(&claims, &self.user_claim).and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("The JWT names no user."))?;
        let name = UserName::new(name)
            .map_err(|_| invalid("The name of the user in the JWT must have 1 to 256 bytes and no control characters."))?;
        let roles = roles(find(&claims, &self.roles_claim))?;
        let token = token_id(claims.get("jti"))?;
        Ok(User { name, roles, claims: Arc::new(Value::Object(claims)), expires_at: Some(expires_at), token, issued_at })
    }

    /// When a token ends at the latest: nobody remembers its revocation for longer.
    fn last_second(&self, expires_at: u64, issued_at: Option<u64>, now_s: u64) -> Result<u64, Refusal> {
        let Some(longest) = self.longest else { return Ok(expires_at) };
        match issued_at {
            Some(issued_at) => Ok(expires_at.min(issued_at.saturating_add(longest))),
            None if expires_at <= now_s.saturating_add(longest).saturating_add(self.leeway_s) => Ok(expires_at),
            None => Err(invalid("The JWT lives longer than this broker allows: it needs an earlier exp, or an iat.")),
        }
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let found = claims
            .get("iss")
            .map(|issuer| issuer.as_str().ok_or_else(|| invalid("The issuer of the JWT (iss) must be a string.")))
            .transpose()?;
        match &self.issuer {
            Some(known) if !found.is_some_and(|found| known.iter().any(|known| **known == *found)) => {
                Err(invalid("The JWT does not come from an issuer that this broker trusts (iss)."))
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let found: Option<Vec<&str>> = match claims.get("aud") {
            None => Some(Vec::new()),
            Some(Value::String(one)) => Some(vec![one]),
            Some(Value::Array(several)) => several.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        let found = found.ok_or_else(|| invalid("The audience of the JWT (aud) must be a string or a list of strings."))?;
        match &self.audience {
            Some(ours) if !ours.iter().any(|ours| found.contains(&&**ours)) => Err(invalid("The JWT is not meant for this broker (aud).")),
            _ => Ok(()),
        }
    }
}

pub(super) fn invalid(sentence: &'static str) -> Refusal {
    Refusal::with(Code::TokenInvalid, sentence)
}

/// Seconds since 1970 as a whole number that fits in 63 bits. Anything else is refused rather than rounded, since
/// "can't be read" must never become "not there" (CVE-2026-25537).
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_u64().filter(|seconds| i64::try_from(*seconds).is_ok());
    seconds.map(Some).ok_or_else(|| invalid("The times in the JWT (exp, nbf, iat) must be whole seconds since 1970."))
}

/// A token whose id can't be read could not be revoked by it, so it is refused.
fn token_id(claim: Option<&Value>) -> Result<Option<TokenId>, Refusal> {
    let Some(claim) = claim else { return Ok(None) };
    let id = claim.as_str().and_then(|id| TokenId::new(id).ok());
    id.map(Some).ok_or_else(|| invalid("The id of the JWT (jti) must be a string of 1 to 256 bytes without control characters."))
}

/// The claim of this very name, else the one that dots lead to.
pub(super) fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
}

fn roles(claim: Option<&Value>) -> Result<Arc<[Box<str>]>, Refusal> {
    let roles: Option<Vec<Box<str>>> = match claim {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => Some(text.split([' ', ',']).filter(|role| !role.is_empty()).map(Into::into).collect()),
        Some(Value::Array(list)) => list.iter().map(|role| role.as_str().map(Into::into)).collect(),
        Some(_) => None,
    };
    Ok(roles.ok_or_else(|| invalid("The roles in the JWT must be a list of strings, or one string."))?.into())
}
