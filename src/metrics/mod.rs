//! What the node counts of itself, and the page on which it says so, at a port of its own.
//!
//! Rooms are given handles and count; what is only known by looking comes as a [`Snapshot`] when somebody asks. No label
//! has a value that a client chose: every series there can be exists from the start. There is no global state, since one
//! process may run several nodes.

mod bus;
mod connections;
mod registry;
mod series;
mod server;
mod settings;
mod snapshot;
mod store;

use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use bus::{BusMetrics, TopicMetrics};
pub use connections::{ConnectionMetrics, ConnectionsMetrics, Dropped, Slow};
pub use registry::{AdmissionOutcome, RegistryMetrics};
pub use series::{ByWord, OTHER};
pub use server::{Bound, Look, bind, serve};
pub use settings::MetricsSettings;
pub use snapshot::{BUS_STATES, READINESS, RegistrySnapshot, Snapshot};
pub use store::{StoreMetrics, StoreOperation};

use series::Seconds;
use snapshot::Looked;

/// All metrics of one node. Cheap to clone; the clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Registry,
    connections: ConnectionsMetrics,
    bus: BusMetrics,
    store: StoreMetrics,
    registry: RegistryMetrics,
    looked: Looked,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        all.register("footfall_build", "Which footfall this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let started = Seconds::default();
        started.set(SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64()));
        all.register("footfall_start_time_seconds", "When the node started, in seconds since 1970", started);
        let connections = ConnectionsMetrics::new(&mut all);
        let bus = BusMetrics::new(&mut all);
        let store = StoreMetrics::new(&mut all);
        let registry = RegistryMetrics::new(&mut all);
        let looked = Looked::new(&mut all);
        Self(Arc::new(Inner { all, connections, bus, store, registry, looked }))
    }
}

impl Metrics {
    /// For whoever has connections.
    pub fn connections(&self) -> &ConnectionsMetrics {
        &self.0.connections
    }

    /// For whoever publishes.
    pub fn bus(&self) -> &BusMetrics {
        &self.0.bus
    }

    /// For whoever stores.
    pub fn store(&self) -> &StoreMetrics {
        &self.0.store
    }

    /// For whoever asks the registry whether somebody may come in.
    pub fn registry(&self) -> &RegistryMetrics {
        &self.0.registry
    }

    /// All of it as `OpenMetrics` text.
    pub fn page(&self, snapshot: &Snapshot) -> String {
        self.0.looked.take(snapshot);
        let mut page = String::new();
        // A String takes all that is written to it.
        encode(&mut page, &self.0.all).unwrap_or_default();
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Code;

    #[test]
    fn what_was_counted_is_on_the_page() {
        let metrics = Metrics::default();
        let mut connection = metrics.connections().opened();
        connection.refused(Code::SendDenied);
        connection.delivered();
        connection.delivered();
        connection.flush(5, 700);
        metrics.connections().denied(Code::TokenExpired);
        metrics.bus().events.failed("unknown");
        metrics.bus().events.failed("what nobody foresaw");
        metrics.store().failed(StoreOperation::Read, "late");
        let snapshot = Snapshot { outbox_bytes: 9, gates: 3, readiness: "draining", lag_events: Some(7), ..Snapshot::default() };
        let page = metrics.page(&snapshot);
        for line in [
            "footfall_connections_open 1",
            "footfall_refusals_total{code=\"send-denied\"} 1",
            "footfall_refusals_total{code=\"internal-error\"} 0",
            "footfall_connect_denials_total{code=\"token-expired\"} 1",
            "footfall_deliveries_total 2",
            "footfall_frames_sent_total{command=\"MESSAGE\"} 2",
            "footfall_received_bytes_total 5",
            "footfall_sent_bytes_total 700",
            "footfall_bus_publish_errors_total{topic=\"events\",error=\"unknown\"} 1",
            "footfall_bus_publish_errors_total{topic=\"events\",error=\"other\"} 1",
            "footfall_store_errors_total{operation=\"read\",error=\"late\"} 1",
            "footfall_outbox_bytes 9",
            "footfall_gates_open 3",
            "footfall_readiness{state=\"draining\"} 1",
            "footfall_readiness{state=\"ready\"} 0",
            "footfall_bus_lag_records{topic=\"events\"} 7.0",
            "footfall_bus_lag_records{topic=\"broadcast\"} NaN",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        drop(connection);
        let page = metrics.page(&Snapshot { readiness: "ready", ..Snapshot::default() });
        for line in ["footfall_connections_open 0", "footfall_connections_closed_total 1", "footfall_readiness{state=\"draining\"} 0"] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn nodes_of_one_process_count_apart() {
        let (one, other) = (Metrics::default(), Metrics::default());
        let _connection = one.connections().opened();
        assert!(other.page(&Snapshot::default()).contains("footfall_connections_open 0"));
    }
}
