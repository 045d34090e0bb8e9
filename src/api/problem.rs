//! What an answer says that is not what was asked for: problem details (RFC 9457), with a stable code.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::admission::OrderError;
use crate::message::{Code, Refusal};

/// After how many seconds it is worth to ask a server again that is away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

macro_rules! kinds {
    ($($variant:ident $code:literal $status:ident $title:literal;)*) => {
        /// Why a request was not done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind { $($variant,)* }

        impl Kind {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What programs look at.
            pub(super) fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

kinds! {
    BadRequest "bad-request" BAD_REQUEST "The request can't be understood.";
    TokenInvalid "token-invalid" BAD_REQUEST "The JWT is not one that this broker accepts.";
    TokenExpired "token-expired" BAD_REQUEST "The token has expired.";
    Unauthorized "unauthorized" UNAUTHORIZED "A service token is needed.";
    NotFound "not-found" NOT_FOUND "It is not there.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "This path does not take this method.";
    BodyTimeout "body-timeout" REQUEST_TIMEOUT "The body did not come in time.";
    RegistryOff "registry-off" CONFLICT "Tokens are not revoked here.";
    NotRegistering "not-registering" CONFLICT "Tokens are not registered here.";
    Others "registered-for-another-user" CONFLICT "The token is registered for another user.";
    TokenRevoked "token-revoked" CONFLICT "The token was revoked.";
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE "The body is too large.";
    NotJson "not-json" UNSUPPORTED_MEDIA_TYPE "The body is not JSON.";
    Internal "internal-error" INTERNAL_SERVER_ERROR "The broker failed to do it.";
    RegistryUnavailable "registry-unavailable" SERVICE_UNAVAILABLE "The registry can't be reached now.";
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE "The store can't be reached now.";
    TooLate "too-late" SERVICE_UNAVAILABLE "It took too long.";
}

/// An answer that is not what was asked for. Its detail holds nothing that the request brought.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = json!({
            "type": format!("urn:footfall:problem:{}", self.kind.code()),
            "title": self.kind.title(),
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.kind.code(),
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            // RFC 9110 §11.6.1: "A server generating a 401 response MUST send a WWW-Authenticate header field".
            StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, RETRY_AFTER),
            _ => None,
        };
        response
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match &error {
            OrderError::Off => Self::new(Kind::RegistryOff, "With auth.registry = \"off\" every good token counts until it expires."),
            OrderError::NotRegistering => Self::new(Kind::NotRegistering, "Tokens are registered with auth.registry = \"allow\" only."),
            OrderError::Revoked => Self::new(Kind::TokenRevoked, "A token that was revoked stays so; register a new one."),
            OrderError::Expired => Self::new(Kind::TokenExpired, "expires_at is over; it is in seconds since 1970."),
            OrderError::TooLong => {
                Self::new(Kind::BadRequest, "expires_at is further away than auth.longest_token; it is in seconds since 1970.")
            }
            OrderError::Registry(_) if error.is_away() => {
                tracing::debug!(%error, "an order was not carried out");
                Self::new(Kind::RegistryUnavailable, "Nothing was changed, or not all of it; ask again.")
            }
            OrderError::Store(_) if error.is_away() => {
                tracing::debug!(%error, "an order was not carried out");
                Self::new(Kind::StoreUnavailable, "A revocation must be stored before it is told; ask again.")
            }
            OrderError::Registry(_) | OrderError::Store(_) => {
                tracing::error!(%error, "an order was not carried out");
                Self::new(Kind::Internal, "The broker's log says more.")
            }
        }
    }
}

/// A JWT that is not good.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = if refusal.code == Code::TokenExpired { Kind::TokenExpired } else { Kind::TokenInvalid };
        Self::new(kind, refusal.sentence)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io;

    use super::*;
    use crate::registry::RegistryError;

    #[test]
    fn every_code_is_one_kebab_case_word_and_its_own() {
        let codes: HashSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }

    #[test]
    fn what_servers_say_of_themselves_is_not_shown() {
        let away = RegistryError::Unavailable(Box::new(io::Error::other("canary")));
        for (error, kind) in [
            (OrderError::Registry(away), Kind::RegistryUnavailable),
            (OrderError::Registry(RegistryError::NotFilled), Kind::RegistryUnavailable),
            (OrderError::Registry(RegistryError::Corrupt("canary".into())), Kind::Internal),
            (OrderError::Registry(RegistryError::Closed), Kind::RegistryUnavailable),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.kind, kind);
            assert!(!problem.detail.contains("canary"));
        }
    }
}
