//! Which of the texts that came with CONNECT and with the handshake is the token.

use std::fmt;

use crate::message::{Code, Refusal};

/// All places where a token may stand; none if there was nothing.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The STOMP header `Authorization` of CONNECT.
    pub authorization: Option<&'a str>,
    /// The STOMP header `passcode` of CONNECT.
    pub passcode: Option<&'a str>,
    /// The HTTP header `Authorization` of the handshake.
    pub handshake_authorization: Option<&'a str>,
    /// The value of the cookie that the settings name.
    pub cookie: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The one token that counts. If it is bad, no other is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Picked<'a> {
    pub token: &'a str,
    pub source: Source,
}

impl fmt::Debug for Picked<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Picked").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Where a token stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Authorization,
    Passcode,
    HandshakeAuthorization,
    /// A browser sends it by itself, also for a foreign page: it counts only with an allowed Origin.
    Cookie,
}

impl<'a> Credentials<'a> {
    /// The first token there is. An `Authorization` that is no Bearer is a bad one; an empty passcode or cookie is none.
    pub fn pick(&self) -> Result<Picked<'a>, Refusal> {
        let (token, source) = if let Some(header) = self.authorization {
            (bearer(header)?, Source::Authorization)
        } else if let Some(passcode) = self.passcode.filter(|passcode| !passcode.is_empty()) {
            (passcode, Source::Passcode)
        } else if let Some(header) = self.handshake_authorization {
            (bearer(header)?, Source::HandshakeAuthorization)
        } else if let Some(cookie) = self.cookie.filter(|cookie| !cookie.is_empty()) {
            (cookie, Source::Cookie)
        } else {
            return Err(Code::TokenMissing.into());
        };
        Ok(Picked { token, source })
    }
}

/// RFC 6750 §2.1: `Bearer`, a space or more, the token. RFC 9110 §11.1: the scheme's case does not matter.
fn bearer(header: &str) -> Result<&str, Refusal> {
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Refusal::with(Code::TokenInvalid, "Authorization must be the word Bearer, a space and the JWT."));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick<'a>(
        authorization: Option<&'a str>,
        passcode: Option<&'a str>,
        handshake: Option<&'a str>,
        cookie: Option<&'a str>,
    ) -> Result<(&'a str, Source), Code> {
        let credentials = Credentials { authorization, passcode, handshake_authorization: handshake, cookie };
        credentials.pick().map(|picked| (picked.token, picked.source)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_first_token_counts() {
        let all = pick(Some("Bearer a"), Some("b"), Some("Bearer c"), Some("d"));
        assert_eq!(all, Ok(("a", Source::Authorization)));
        assert_eq!(pick(None, Some("b"), Some("Bearer c"), Some("d")), Ok(("b", Source::Passcode)));
        assert_eq!(pick(None, Some(""), Some("bearer  c"), Some("d")), Ok(("c", Source::HandshakeAuthorization)));
        assert_eq!(pick(None, None, None, Some("d")), Ok(("d", Source::Cookie)));
        assert_eq!(pick(None, Some(""), None, Some("")), Err(Code::TokenMissing));
        assert_eq!(pick(None, None, None, None), Err(Code::TokenMissing));
    }

    #[test]
    fn an_authorization_that_is_no_bearer_is_final() {
        for header in ["", "Bearer", "Bearer ", "Bearer   ", "Basic YTpi", "a.b.c", " Bearer a", "Bearer\ta", "BearerX a", "Token a"] {
            assert_eq!(pick(Some(header), Some("good"), Some("Bearer good"), Some("good")), Err(Code::TokenInvalid), "{header:?}");
            assert_eq!(pick(None, None, Some(header), Some("good")), Err(Code::TokenInvalid), "{header:?}");
        }
        for header in ["Bearer a", "bearer a", "BEARER a", "bEaReR   a"] {
            assert_eq!(pick(Some(header), None, None, None), Ok(("a", Source::Authorization)), "{header:?}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let canary = "canary-7f3a";
        let credentials =
            Credentials { authorization: None, passcode: Some(canary), handshake_authorization: Some(canary), cookie: Some(canary) };
        assert!(!format!("{credentials:?} {:?}", credentials.pick()).contains(canary));
    }
}
