//! Looks after the gates on a timer: a lost *last* message shows in no hole, so heads are compared with the store;
//! and gates that nobody uses are closed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::Edge;
use super::gate::Gate;
use crate::store::StoreError;

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
        let due: Vec<_> = edge
            .0
            .gates
            .read()
            .values()
            .filter(|gate| spread.hash_one(&gate.destination).wrapping_add(round) % SPREAD == 0)
            .cloned()
            .collect();
        for gate in due {
            tokio::select! {
                compared = edge.compare(&gate) => match compared {
                    // Others would wait as long for the same answer, and idle gates for all of them.
                    Err(error) if error.is_retryable() => {
                        tracing::debug!(destination = %gate.destination, %error, "heads can't be compared now");
                        break;
                    }
                    Err(error) => tracing::warn!(destination = %gate.destination, %error, "the head can't be compared"),
                    Ok(()) => {}
                },
                () = edge.0.shutdown.stopped() => return,
            }
        }
    }
}

impl Edge {
    /// Removes gates without subscribers. What matters is that nobody joins in between: both happen under the map's lock.
    fn close_idle(&self, now: Instant) {
        let is_idle = |gate: &Gate| gate.is_idle(self.0.settings.linger, now, &self.0.registry);
        let idle: Vec<_> = self.0.gates.read().values().filter(|gate| is_idle(gate)).cloned().collect();
        if idle.is_empty() {
            return;
        }
        let mut gates = self.0.gates.write();
        for gate in idle.into_iter().filter(|gate| is_idle(gate)) {
            gates.remove(&gate.destination);
            gate.close();
        }
    }

    async fn compare(&self, gate: &Arc<Gate>) -> Result<(), StoreError> {
        let head = self.head(gate).await?;
        self.read_what(gate, gate.with(|order| order.compare(head)));
        Ok(())
    }
}
