//! Which nodes there are.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::problem::Problem;
use crate::registry::NodeSeen;

/// `GET /api/nodes`
pub(super) async fn all(State(api): State<Arc<Api>>) -> Result<Json<Value>, Problem> {
    let nodes = api.admissions.nodes().await?;
    let seen: Vec<_> = nodes.seen.iter().map(shown).collect();
    Ok(Json(json!({ "nodes": seen, "remembers_ms": millis(nodes.remembers) })))
}

fn shown(node: &NodeSeen) -> Value {
    let lease = &node.lease;
    json!({
        "id": &*lease.node.name,
        "started_ms": lease.node.started_ms,
        "address": &*lease.address,
        "connections": lease.connections,
        "version": &*lease.version,
        "live": node.holds_for.is_some(),
        "gone_for_ms": millis(node.gone_for),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
