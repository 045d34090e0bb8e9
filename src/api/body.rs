//! A request's body: JSON, short, and there in time.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Kind, Problem};

/// A JWT has at most half of it.
const MOST_BYTES: usize = 16 * 1024;
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Reads it; `form` says what it has to be.
pub(super) async fn json<T: DeserializeOwned>(request: Request, form: &'static str) -> Result<T, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(Kind::NotJson, "Content-Type must be application/json."));
    }
    let reading = Limited::new(request.into_body(), MOST_BYTES).collect();
    let Ok(read) = timeout(READ_WITHIN, reading).await else {
        return Err(Problem::new(Kind::BodyTimeout, "The body must be there within 5 s."));
    };
    let body = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(Kind::BodyTooLarge, "The body has at most 16 KiB.")
        } else {
            Problem::new(Kind::BadRequest, "The body ended too soon.")
        }
    })?;
    // What serde says of it quotes the body, in which there may be a token.
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        let place = format!("{form} It is not from line {}, column {} on.", error.line(), error.column());
        Problem::new(Kind::BadRequest, place)
    })
}
