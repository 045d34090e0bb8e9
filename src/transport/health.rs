//! Whether this node lives, and whether it should be given clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Transport;

/// Why a node that is up should be given no clients now, in a word; asked at each look, so it never waits.
pub type Hindrance = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// What a load balancer is told.
#[derive(Clone)]
pub struct Readiness {
    state: Arc<AtomicU8>,
    hindrance: Hindrance,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    pub fn new(hindrance: Hindrance) -> Self {
        Self { state: Arc::new(AtomicU8::new(STARTING)), hindrance }
    }

    pub fn set_ready(&self) {
        self.state.store(READY, Ordering::Release);
    }

    pub fn set_draining(&self) {
        self.state.store(DRAINING, Ordering::Release);
    }

    /// `ready`, or a word that says why it is not.
    pub fn state(&self) -> &'static str {
        match self.state.load(Ordering::Acquire) {
            STARTING => "starting",
            READY => (self.hindrance)().unwrap_or("ready"),
            _ => "draining",
        }
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Readiness").field("state", &self.state()).finish()
    }
}

/// This process answers; nothing more.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// 200 while clients should come here, 503 else.
pub(super) async fn ready(State(transport): State<Arc<Transport>>) -> (StatusCode, Json<Value>) {
    let state = transport.readiness.state();
    let status = if state == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": state, "connections": transport.connections.count() })))
}
