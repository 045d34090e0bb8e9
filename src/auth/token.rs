//! Verifies a JWT: the form, the header, the signature, then the claims, in this order, so that nothing is believed
//! before it is proven.
//!
//! The token never chooses what it is checked with. Its `alg` must stand in our key's own list, its `kid` only selects
//! among our keys, and a header that brings or points to keys is refused.

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::claims::{Demands, invalid};
use super::json::strict_object;
use super::{AuthError, AuthSettings, JwtAlgorithm, Key, TokenRegistry, install_crypto};
use crate::message::{HumanDuration, Refusal, User};

/// Header parameters that change what is checked, or with what.
const REFUSED_HEADERS: [&str; 9] = ["crit", "b64", "jwk", "jku", "x5c", "x5u", "enc", "zip", "epk"];

/// Tokens that may live no longer than this would be refused as soon as clocks differ.
const LEAST_LONGEST: HumanDuration = HumanDuration::from_secs(60);

/// Longer than any identity provider makes them.
const MAX_KID_BYTES: usize = 256;

/// Verifies tokens. Its keys can be replaced while it works.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: ArcSwap<Vec<Key>>,
    demands: Demands,
}

impl TokenVerifier {
    /// A token has at most this many bytes.
    pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

    /// Loads all keys; fails with the first thing that is wrong.
    pub fn new(settings: &AuthSettings) -> Result<Self, AuthError> {
        if let Some(problem) = wrong_demands(settings).into_iter().next() {
            return Err(problem);
        }
        install_crypto();
        let keys: Result<Vec<_>, _> = settings.keys.iter().enumerate().map(|(index, key)| Key::load(index, key)).collect();
        Ok(Self { keys: ArcSwap::from_pointee(keys?), demands: Demands::new(settings) })
    }

    /// Everything that is wrong with the settings: no secret is shown, weak ones are among it.
    pub fn problems(settings: &AuthSettings) -> Vec<AuthError> {
        let mut problems = wrong_demands(settings);
        problems.extend(settings.keys.iter().enumerate().filter_map(|(index, key)| Key::load(index, key).err()));
        problems
    }

    /// From now on tokens are verified with these keys only.
    pub fn replace_keys(&self, keys: Vec<Key>) {
        self.keys.store(keys.into());
    }

    /// Who bears this token now (seconds since 1970).
    pub fn verify(&self, token: &str, now_s: u64) -> Result<User, Refusal> {
        if token.len() > Self::MAX_TOKEN_BYTES {
            return Err(invalid("The JWT is too long."));
        }
        // A JWE has five parts, a detached JWS an empty one.
        let (message, signature) = token.rsplit_once('.').ok_or_else(no_jwt)?;
        let (header, payload) = message.split_once('.').ok_or_else(no_jwt)?;
        if [header, payload, signature].iter().any(|part| part.is_empty() || part.contains('.')) {
            return Err(no_jwt());
        }
        let header = object(header)?;
        let (algorithm, kid) = read_header(&header)?;
        if !self.is_signed(message, signature, algorithm, kid) {
            return Err(invalid("The JWT is not signed with a key that this broker trusts."));
        }
        self.demands.user(object(payload)?, now_s)
    }

    fn is_signed(&self, message: &str, signature: &str, algorithm: JwtAlgorithm, kid: Option<&str>) -> bool {
        let keys = self.keys.load();
        let known = kid.filter(|kid| keys.iter().any(|key| key.kid.as_deref() == Some(kid)));
        let selected = |key: &&Key| match (known, kid) {
            (Some(kid), _) => key.kid.as_deref() == Some(kid),
            // A kid that is none of ours may still be of a key that we know without one.
            (None, Some(_)) => key.kid.is_none(),
            (None, None) => true,
        };
        keys.iter()
            .filter(selected)
            .filter(|key| key.algorithms.contains(&algorithm))
            .any(|key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.decoding, algorithm.into()).unwrap_or(false))
    }
}

fn wrong_demands(settings: &AuthSettings) -> Vec<AuthError> {
    let mut problems = Vec::new();
    if settings.keys.is_empty() {
        problems.push(AuthError::NoKeys);
    }
    if settings.leeway > AuthSettings::MAX_LEEWAY {
        problems.push(AuthError::Leeway);
    }
    if settings.registry_grace > AuthSettings::MAX_REGISTRY_GRACE {
        problems.push(AuthError::RegistryGrace);
    }
    if settings.registry == TokenRegistry::Off && settings.max_sessions_per_user.is_some() {
        problems.push(AuthError::Uncounted);
    }
    if settings.longest_token < LEAST_LONGEST {
        problems.push(AuthError::LongestToken);
    }
    let fine = |token: &str| token.len() >= AuthSettings::MIN_SERVICE_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic());
    let tokens = settings.service_tokens.iter().enumerate();
    problems.extend(tokens.filter(|(_, token)| !fine(token.expose_secret())).map(|(index, _)| AuthError::ServiceToken(index)));
    for (name, path) in [("user_claim", &settings.user_claim), ("roles_claim", &settings.roles_claim)] {
        if path.split('.').any(str::is_empty) {
            problems.push(AuthError::Claim(name));
        }
    }
    for (name, list) in [("issuer", &settings.issuer), ("audience", &settings.audience)] {
        if list.as_ref().is_some_and(Vec::is_empty) {
            problems.push(AuthError::EmptyList(name));
        }
    }
    problems
}

fn no_jwt() -> Refusal {
    invalid("This is no signed JWT: three parts in base64url with dots between them.")
}

/// base64url without padding (RFC 7515 §2), in its one spelling, of a JSON object.
fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| no_jwt())?;
    strict_object(&bytes).ok_or_else(|| invalid("The parts of a JWT are JSON objects in which each name stands once."))
}

fn read_header(header: &Map<String, Value>) -> Result<(JwtAlgorithm, Option<&str>), Refusal> {
    if REFUSED_HEADERS.iter().any(|name| header.contains_key(*name)) {
        return Err(invalid("The header of the JWT demands something, or brings or names a key, which this broker never follows."));
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(JwtAlgorithm::named);
    let algorithm = algorithm.ok_or_else(|| invalid("The JWT is not signed with an algorithm that this broker knows."))?;
    // RFC 8725 §3.11: a token made for something else (a logout, an event) is no access token.
    let is_access_token = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    };
    if header.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(is_access_token)) {
        return Err(invalid("The JWT is not an access token (typ)."));
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID_BYTES => Some(kid.as_str()),
        Some(_) => return Err(invalid("The key id of the JWT (kid) must be a short string.")),
    };
    Ok((algorithm, kid))
}
