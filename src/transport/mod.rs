//! The edge towards clients: HTTP, the WebSocket at `/ws`, the page, and health.

mod connection;
mod connections;
mod handshake;
mod health;
mod listener;
mod origin;
mod page;
mod pieces;
mod session_cookie;
mod settings;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use tower::util::MapResponseLayer;

pub use connections::Connections;
pub use health::{Hindrance, Readiness};
pub use listener::{Bound, bind, serve};
pub use page::{Development, MakeToken};
pub use session_cookie::{SameSite, Secure, SessionCookieSettings};
pub use settings::ServerSettings;

use crate::broker::OutboxSettings;
use crate::channel::InboundChannel;
use crate::login::LoginSessions;
use crate::session::SessionSettings;
use crate::shutdown::Shutdown;

/// Behind a proxy nothing else tells a client, or the proxy's log, which node it was.
const NODE: HeaderName = HeaderName::from_static("x-footfall-node");

/// What the routes share.
#[derive(Debug)]
pub struct Transport {
    pub server: ServerSettings,
    pub session: Arc<SessionSettings>,
    pub outbox: OutboxSettings,
    /// The cookie that may hold a token.
    pub token_cookie: Option<String>,
    pub logins: LoginSessions,
    pub channel: Arc<InboundChannel>,
    pub connections: Connections,
    pub readiness: Readiness,
    pub shutdown: Shutdown,
    /// Only in development mode.
    pub development: Option<Development>,
}

/// All routes of a node.
pub fn router(transport: Arc<Transport>) -> Router {
    let mut router = Router::new()
        .route(&transport.server.path, get(handshake::upgrade))
        .route("/", get(page::index))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/page/config.json", get(page::config))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));
    if transport.development.is_some() {
        router = router.route("/dev/token", post(page::token));
    }
    router.with_state(transport)
}

/// The same routes, each answer of which names its node. For the last step: what is refused or not there is named, too.
pub fn named(router: Router, node: &str) -> Router {
    let node = HeaderValue::from_str(node).ok();
    let named = move |mut response: Response| {
        if let Some(node) = &node {
            response.headers_mut().insert(NODE, node.clone());
        }
        response
    };
    router.layer(MapResponseLayer::new(named))
}
