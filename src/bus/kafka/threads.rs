//! The threads that read: each owns its client, since dropping one waits until its group has let it go.

use std::thread;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::error::KafkaError;

#[derive(Debug, Default, Clone)]
pub(super) struct Threads(TaskTracker);

impl Threads {
    pub(super) fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), KafkaError> {
        let token = self.0.token();
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Last of all, when everything the work owned is dropped.
            let _token = token;
            work();
        });
        started.map(drop).map_err(|failure| {
            error!(%failure, name, "a thread could not be started");
            KafkaError::Thread
        })
    }

    /// Waits for all that were told to end.
    pub(super) async fn end(&self, deadline: Duration) {
        self.0.close();
        if timeout(deadline, self.0.wait()).await.is_err() {
            warn!(threads = self.0.len(), "not every reader of Kafka ended in time");
        }
    }
}
