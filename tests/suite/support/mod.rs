//! What tests that talk to a whole node share: the node, and a client that can break every rule.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up fails")]

pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod orders;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod servers;
pub(crate) mod stomp;
pub(crate) mod websocket;

use std::time::Duration;

/// How long something that must come may take. Whoever waits longer waits for something that won't come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|late| panic!("{what} did not come: {late}"))
}
