//! What is counted of the store.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::{ByWord, and_other, family, latency};

/// What was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    Append,
    /// Heads and pages.
    Read,
    /// Ownership, upkeep, revocations.
    Other,
}

const OPERATIONS: [&str; 3] = ["append", "read", "other"];

/// Why it was not done, as the store says it.
const ERRORS: &[&str] = &["unavailable", "late", "fenced", "behind", "rejected", "other-log", "corrupt", "unusable", "closed"];

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    append_seconds: Histogram,
    append_messages: Histogram,
    read_seconds: Histogram,
    /// By operation.
    errors: Vec<ByWord<Counter>>,
}

impl StoreMetrics {
    pub(super) fn new(all: &mut Registry) -> Self {
        let (append_seconds, read_seconds) = (latency(), latency());
        let append_messages = Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        all.register("footfall_store_append_seconds", "What storing a batch took, when it was stored", append_seconds.clone());
        let help = "Messages in a batch that was stored; a batch is what came while the one before was stored";
        all.register("footfall_store_append_messages", help, append_messages.clone());
        all.register("footfall_store_read_seconds", "What reading a head or a page of history took", read_seconds.clone());
        let labels =
            OPERATIONS.into_iter().flat_map(|operation| and_other(ERRORS).map(move |error| [("operation", operation), ("error", error)]));
        let help = "Calls of the store that failed; what is retryable was tried again";
        let errors = family(all, "footfall_store_errors", help, labels, Counter::default);
        let errors = errors.chunks(ERRORS.len() + 1).map(|of_one| ByWord::new(ERRORS, of_one.to_vec())).collect();
        Self { append_seconds, append_messages, read_seconds, errors }
    }

    /// A batch of so many messages was stored. One without messages only moves a position.
    pub fn appended(&self, messages: usize, took: Duration) {
        if messages > 0 {
            self.append_seconds.observe(took.as_secs_f64());
            self.append_messages.observe(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
        }
    }

    pub fn read(&self, took: Duration) {
        self.read_seconds.observe(took.as_secs_f64());
    }

    pub fn failed(&self, operation: StoreOperation, error: &str) {
        if let Some(counter) = self.errors.get(operation as usize).and_then(|errors| errors.of(error)) {
            counter.inc();
        }
    }
}
