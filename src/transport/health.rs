//! Whether this node lives, and whether it should be given clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Transport;

/// What a load balancer is told.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    pub fn set_ready(&self) {
        self.0.store(READY, Ordering::Release);
    }

    pub fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    fn state(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            STARTING => "starting",
            READY => "ready",
            _ => "draining",
        }
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
