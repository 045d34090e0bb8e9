//! What is counted of publishing.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::{ByWord, and_other, family, latency};

const TOPICS: [&str; 2] = ["events", "broadcast"];

/// Why a record could not be published, as the bus says it.
const ERRORS: &[&str] = &["unavailable", "too-large", "unknown", "closed"];

/// Both topics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BusMetrics {
    pub events: TopicMetrics,
    pub broadcast: TopicMetrics,
}

#[derive(Debug, Clone)]
pub struct TopicMetrics {
    seconds: Histogram,
    errors: ByWord<Counter>,
}

impl BusMetrics {
    pub(super) fn new(all: &mut Registry) -> Self {
        let help = "From publishing a record until it can't be lost any more: of events what a SEND waits for its RECEIPT, of broadcast transient SENDs and stored messages on their way to all nodes";
        let seconds = family(all, "footfall_bus_publish_seconds", help, TOPICS.map(|topic| [("topic", topic)]), latency);
        let labels = TOPICS.into_iter().flat_map(|topic| and_other(ERRORS).map(move |error| [("topic", topic), ("error", error)]));
        let help = "Records that were not published, or of which the bus did not say in time whether it has them";
        let errors = family(all, "footfall_bus_publish_errors", help, labels, Counter::default);
        let topic = |index: usize| {
            let each = ERRORS.len() + 1;
            let errors = ByWord::new(ERRORS, errors[index * each..][..each].to_vec());
            TopicMetrics { seconds: seconds[index].clone(), errors }
        };
        Self { events: topic(0), broadcast: topic(1) }
    }
}

impl TopicMetrics {
    /// A record is durable, so long after it was published.
    pub fn durable(&self, after: Duration) {
        self.seconds.observe(after.as_secs_f64());
    }

    /// A record was not published, or nobody knows, for this reason.
    pub fn failed(&self, error: &str) {
        if let Some(counter) = self.errors.of(error) {
            counter.inc();
        }
    }
}
