//! Looks after the gates on a timer: a lost *last* message shows in no hole, so heads are compared with the store;
//! and gates that nobody uses are closed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::Edge;
use super::gate::Gate;

/// A gate is looked at every first to fourth round, spread so that they do not all ask at once.
const SPREAD: u64 = 4;

pub(super) async fn look_after(edge: Edge) {
    let spread = RandomState::new();
    for round in 0_u64.. {
        tokio::select! {
            () = tokio::time::sleep(edge.0.settings.head_interval) => {}
            () = edge.0.shutdown.stopped() => return,
        }
        edge.close_idle(Instant::now());
        let due: Vec<_> =
            edge.0.gates.read().values().filter(|gate| (spread.hash_one(&gate.destination) + round) % SPREAD == 0).cloned().collect();
        for gate in due {
            edge.compare(&gate).await;
        }
    }
}

impl Edge {
    /// Removes gates without subscribers. What matters is that nobody joins in between: both happen under the map's lock.
    fn close_idle(&self, now: Instant) {
        let Some(before) = now.checked_sub(self.0.settings.linger) else { return };
        let idle = |gates: &HashMap<_, Arc<Gate>>| {
            let idle = gates.values().filter(|gate| gate.is_idle_since(before, now, self.0.registry.wants(&gate.destination)));
            idle.map(|gate| gate.destination.clone()).collect::<Vec<_>>()
        };
        let candidates = idle(&self.0.gates.read());
        if candidates.is_empty() {
            return;
        }
        let mut gates = self.0.gates.write();
        gates.retain(|destination, gate| {
            !candidates.contains(destination) || !gate.is_idle_since(before, now, self.0.registry.wants(destination))
        });
    }

    async fn compare(&self, gate: &Arc<Gate>) {
        match self.head(gate).await {
            Ok(head) => self.read_what(gate, gate.with(|order| order.compare(head))),
            Err(error) => tracing::debug!(destination = %gate.destination, %error, "the head can't be compared now"),
        }
    }
}
