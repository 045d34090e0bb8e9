//! Whether a request comes from a backend that may give orders.

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The service tokens, as hashes: how long a comparison takes says nothing of a token, and none of them lies about.
pub(super) struct ServiceTokens(Box<[[u8; 32]]>);

impl ServiceTokens {
    /// None if there is no token.
    pub(super) fn new(tokens: &[SecretString]) -> Option<Self> {
        let hashes: Box<[_]> = tokens.iter().map(|token| hash(token.expose_secret().as_bytes())).collect();
        if hashes.is_empty() { None } else { Some(Self(hashes)) }
    }

    /// RFC 6750 §2.1: `Authorization: Bearer`, a space or more, the token; the scheme in any case. One such header only.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let value = value.as_bytes();
        let Some(space) = value.iter().position(|byte| *byte == b' ') else { return false };
        let (scheme, token) = value.split_at(space);
        let presented = hash(token.trim_ascii_start());
        // All are compared, whichever fits.
        let fitting = self.0.iter().filter(|known| **known == presented).count();
        scheme.eq_ignore_ascii_case(b"bearer") && fitting > 0
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl std::fmt::Debug for ServiceTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ServiceTokens").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn admits(values: &[&str]) -> bool {
        let tokens = ServiceTokens::new(&["first-token".into(), "second-token".into()]).unwrap();
        let headers = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        tokens.admit(&headers.collect::<HeaderMap>())
    }

    #[test]
    fn each_of_the_tokens_is_good_and_nothing_else() {
        for good in ["Bearer first-token", "Bearer second-token", "bearer   first-token", "BEARER second-token"] {
            assert!(admits(&[good]), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer first-toke",
            "Bearer first-tokenn",
            "Bearer First-Token",
            "Bearer first-token ",
            "Bearer first-token second-token",
            "Basic first-token",
            "first-token",
            " first-token",
            "Bearer\tfirst-token",
        ] {
            assert!(!admits(&[bad]), "{bad:?}");
        }
        assert!(!admits(&[]));
        assert!(!admits(&["Bearer first-token", "Bearer first-token"]), "which of them counts?");
    }

    #[test]
    fn without_tokens_there_is_nothing_to_ask() {
        assert!(ServiceTokens::new(&[]).is_none());
        assert!(!format!("{:?}", ServiceTokens::new(&["canary".into()])).contains("canary"));
    }
}
