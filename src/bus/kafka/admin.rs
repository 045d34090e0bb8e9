//! An administrator's client: what it is asked has a time limit, and it is dropped aside, since that waits for its thread.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::{Client, DefaultClientContext};
use tokio::task::spawn_blocking;

use super::{KafkaError, KafkaSettings, client};

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    /// For each question.
    answer: Duration,
}

impl Admin {
    pub(super) fn new(settings: &KafkaSettings, node: &str, answer: Duration) -> Result<Self, KafkaError> {
        Ok(Self { client: Arc::new(client::asking(settings, node).create()?), answer })
    }

    pub(super) fn client(&self) -> &AdminClient<DefaultClientContext> {
        &self.client
    }

    /// For questions that wait.
    pub(super) fn inner(&self) -> &Client<DefaultClientContext> {
        self.client.inner()
    }

    pub(super) fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.answer)).operation_timeout(Some(self.answer))
    }

    pub(super) async fn close(self) {
        drop(spawn_blocking(move || drop(self)).await);
    }
}
