//! Has the bus clear up after nodes that are gone, as the registry knows which those are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bus::Bus;
use crate::registry::{Nodes, Registry};
use crate::shutdown::Shutdown;

const EVERY: Duration = Duration::from_mins(1);

/// Until the node stops. Every node does it, since any may be the last; twice is once.
pub async fn sweep(bus: Arc<dyn Bus>, registry: Arc<dyn Registry>, shutdown: Shutdown) {
    let unlisted = Arc::new(Unlisted::default());
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = shutdown.draining() => return,
        }
        unlisted.forget();
        let turn = async {
            let nodes = match registry.nodes().await {
                Ok(nodes) => nodes,
                Err(error) => return tracing::debug!(%error, "which nodes live is not known, so nothing is swept"),
            };
            let unlisted = Arc::clone(&unlisted);
            if let Err(error) = bus.sweep(Arc::new(move |node: &str| unlisted.gone_for(&nodes, node, Instant::now()))).await {
                tracing::debug!(%error, "what dead nodes left could not be swept");
            }
        };
        tokio::select! {
            () = turn => {}
            () = shutdown.draining() => return,
        }
    }
}

/// Names that the registry does not list, and since when this node has known of each: one that has just started may have
/// left its traces with the bus before its lease is listed.
#[derive(Debug, Default)]
struct Unlisted(Mutex<HashMap<String, Instant>>);

impl Unlisted {
    /// Whoever is still not listed is new once more, which puts its sweep off a little.
    fn forget(&self) {
        self.0.lock().retain(|_, since| since.elapsed() < Nodes::REMEMBERED);
    }

    fn gone_for(&self, nodes: &Nodes, node: &str, now: Instant) -> Option<Duration> {
        let gone = nodes.gone_for(node)?;
        let mut known = self.0.lock();
        if nodes.seen.iter().any(|seen| &*seen.lease.node.name == node) {
            known.remove(node);
            return Some(gone);
        }
        let since = *known.entry(node.to_owned()).or_insert(now);
        Some(gone.min(now.saturating_duration_since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Lease, NodeRun, NodeSeen};

    #[test]
    fn who_is_not_listed_is_gone_only_since_it_is_known_of() {
        let unlisted = Unlisted::default();
        let hour = Duration::from_hours(1);
        let mut nodes = Nodes { seen: Vec::new(), remembers: hour };
        let now = Instant::now();
        assert_eq!(unlisted.gone_for(&nodes, "new", now), Some(Duration::ZERO));
        assert_eq!(unlisted.gone_for(&nodes, "new", now + hour / 2), Some(hour / 2));
        let lease =
            Lease { node: NodeRun { name: "new".into(), started_ms: 1 }, address: "a:1".into(), connections: 0, version: "0.1.0".into() };
        nodes.seen.push(NodeSeen { lease, holds_for: Some(hour), gone_for: Duration::ZERO });
        assert_eq!(unlisted.gone_for(&nodes, "new", now + hour), None);
    }
}
