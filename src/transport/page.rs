//! The page at `/`: chat in two tabs, and a console that shows the frames. Built by the build, when Node was there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Transport;
use super::origin::{self, Origin};
use crate::message::UserName;

const INDEX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page/index.html"));
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page/page.js"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page/page.css"));

/// Makes tokens for anyone who asks from this machine, so that two tabs can chat at once.
pub struct Development {
    /// A token for this user with these roles.
    pub token: Box<dyn Fn(&UserName, &[String]) -> Option<String> + Send + Sync>,
}

impl std::fmt::Debug for Development {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Development")
    }
}

pub(super) async fn index() -> Response {
    file("text/html; charset=utf-8", INDEX)
}

pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

fn file(content_type: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The files have no version in their names.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, bytes).into_response()
}

/// What the page must know of this node.
pub(super) async fn config(State(transport): State<Arc<Transport>>) -> Response {
    let config = json!({
        "development": transport.development.is_some(),
        "endpoint": transport.server.path,
        "version": env!("CARGO_PKG_VERSION"),
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(config)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    user: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// `POST /dev/token`: development mode only, for this machine only, and for no page of another origin.
pub(super) async fn token(
    State(transport): State<Arc<Transport>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(request): Json<TokenRequest>,
) -> Response {
    let denied = |sentence: &str| (StatusCode::FORBIDDEN, Json(json!({ "message": sentence }))).into_response();
    let Some(development) = transport.development.as_ref().filter(|_| peer.ip().to_canonical().is_loopback()) else {
        return denied("Tokens are made for this machine only.");
    };
    // A name that leads to this machine today need not be ours: only names that can't be anyone else's count.
    if !is_local_host(&headers) || matches!(origin::judge(&headers, &[]), Origin::Denied) {
        return denied("Tokens are made for pages of this machine only.");
    }
    let Ok(user) = UserName::new(&request.user) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "message": "A user name has 1 to 256 bytes and no control characters." }))).into_response();
    };
    match (development.token)(&user, &request.roles) {
        Some(token) => ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "token": token }))).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn is_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for (host, expected) in [
            ("localhost:8080", true), ("127.0.0.1:8080", true), ("127.0.0.1", true), ("[::1]:8080", true), ("localhost", true),
            ("localhost.evil.example", false), ("evil.example:8080", false), ("127.0.0.1.evil.example", false), ("10.0.0.1", false), ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_local_host(&headers), expected, "{host}");
        }
    }
}
