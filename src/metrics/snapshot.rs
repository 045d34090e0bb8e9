//! What is not counted but looked at, when somebody asks for the page.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::series::{ByWord, Seconds, and_other, family};

/// Why a node is ready or not, in the words of `/health/ready`.
pub const READINESS: &[&str] = &[
    "ready",
    "starting",
    "draining",
    "bus-unavailable",
    "broadcast-behind",
    "partitions-changed",
    "log-refused",
    "partition-contested",
    "node-id-taken",
];

/// What the bus says of itself.
pub const BUS_STATES: &[&str] = &["ready", "bus-unavailable", "broadcast-behind", "partitions-changed"];

/// How the node is at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// What waits for clients or is half written, of all connections together.
    pub outbox_bytes: u64,
    pub gates: u64,
    /// One of [`READINESS`].
    pub readiness: &'static str,
    /// One of [`BUS_STATES`].
    pub bus: &'static str,
    /// Records that this node's readers have still to take; none if that is not known.
    pub lag_events: Option<u64>,
    pub lag_broadcast: Option<u64>,
    pub registry: RegistrySnapshot,
}

/// What is known of the registry without asking it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistrySnapshot {
    pub available: bool,
    pub pushed: bool,
    pub evicting: bool,
    /// How many this node has in its memory.
    pub revocations: u64,
}

impl RegistrySnapshot {
    /// Of a registry that is the node's own memory.
    pub const IN_MEMORY: Self = Self { available: true, pushed: true, evicting: false, revocations: 0 };
}

/// Where the latest snapshot stands until the page is written.
#[derive(Debug)]
pub(super) struct Looked {
    outbox_bytes: Gauge,
    gates: Gauge,
    readiness: ByWord<Gauge>,
    bus: ByWord<Gauge>,
    /// Of events and broadcast.
    lags: Vec<Seconds>,
    available: Gauge,
    pushed: Gauge,
    evicting: Gauge,
    revocations: Gauge,
}

impl Looked {
    pub(super) fn new(all: &mut Registry) -> Self {
        let [outbox_bytes, gates, available, pushed, evicting, revocations] = std::array::from_fn(|_| Gauge::default());
        all.register(
            "footfall_outbox_bytes",
            "What waits for clients or is half written, of all connections together",
            outbox_bytes.clone(),
        );
        all.register(
            "footfall_gates_open",
            "Stored destinations whose messages this node puts in order for its subscribers",
            gates.clone(),
        );
        let help = "1 for the word that /health/ready says now, 0 for all others";
        let readiness = states(all, "footfall_readiness", help, READINESS);
        let bus = states(all, "footfall_bus_state", "1 for what the bus says of itself now, 0 for all others", BUS_STATES);
        let labels = ["events", "broadcast"].map(|topic| [("topic", topic)]);
        let help = "Records that this node has still to take: of events those of its own partitions that are not stored and broadcast, of broadcast those not read; NaN while that is not known";
        let lags = family(all, "footfall_bus_lag_records", help, labels, Seconds::default);
        all.register("footfall_registry_available", "1 if the registry answered the last call", available.clone());
        all.register("footfall_registry_pushed", "1 if the registry's news come at once, 0 if they are polled for", pushed.clone());
        all.register(
            "footfall_registry_evicting",
            "1 if the registry throws entries away when it is full, and so can't be relied upon",
            evicting.clone(),
        );
        all.register(
            "footfall_registry_revocations",
            "Tokens and users that count no more, as this node has them in its memory",
            revocations.clone(),
        );
        Self { outbox_bytes, gates, readiness, bus, lags, available, pushed, evicting, revocations }
    }

    pub(super) fn take(&self, snapshot: &Snapshot) {
        self.outbox_bytes.set(i64::try_from(snapshot.outbox_bytes).unwrap_or(i64::MAX));
        self.gates.set(i64::try_from(snapshot.gates).unwrap_or(i64::MAX));
        say(&self.readiness, READINESS, snapshot.readiness);
        say(&self.bus, BUS_STATES, snapshot.bus);
        for (gauge, lag) in self.lags.iter().zip([snapshot.lag_events, snapshot.lag_broadcast]) {
            gauge.set(lag.map_or(f64::NAN, |lag| f64::from(u32::try_from(lag).unwrap_or(u32::MAX))));
        }
        let RegistrySnapshot { available, pushed, evicting, revocations } = snapshot.registry;
        self.revocations.set(i64::try_from(revocations).unwrap_or(i64::MAX));
        for (gauge, is) in [(&self.available, available), (&self.pushed, pushed), (&self.evicting, evicting)] {
            gauge.set(i64::from(is));
        }
    }
}

fn states(all: &mut Registry, name: &str, help: &str, words: &'static [&'static str]) -> ByWord<Gauge> {
    ByWord::new(words, family(all, name, help, and_other(words).map(|state| [("state", state)]), Gauge::default))
}

fn say(states: &ByWord<Gauge>, words: &[&str], now: &str) {
    let now = if words.contains(&now) { now } else { super::OTHER };
    for (word, gauge) in states.iter() {
        gauge.set(i64::from(word == now));
    }
}
