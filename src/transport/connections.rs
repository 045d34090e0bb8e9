//! The connections of this node, so that a drain can ask each of them to go.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::broker::{Outbox, Slot};
use crate::message::{Code, Refusal};

/// All connections that are open. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The drain has begun: who comes now is told at once.
    draining: bool,
    outboxes: HashMap<u64, Weak<Outbox>>,
}

/// A connection's place among the open ones, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    connections: Connections,
    key: u64,
}

impl Connections {
    pub(super) fn register(&self, outbox: &Arc<Outbox>) -> Registered {
        let mut open = self.0.lock();
        let key = open.next;
        open.next += 1;
        open.outboxes.insert(key, Arc::downgrade(outbox));
        if open.draining {
            outbox.answer(Slot::End(Refusal::new(Code::Draining)));
        }
        Registered { connections: self.clone(), key }
    }

    pub fn count(&self) -> usize {
        self.0.lock().outboxes.len()
    }

    /// Ends all sessions with `draining`, spread evenly over this time, so that they do not all come back at once.
    pub async fn drain(&self, over: Duration) {
        let outboxes: Vec<_> = {
            let mut open = self.0.lock();
            open.draining = true;
            open.outboxes.values().cloned().collect()
        };
        let Some(pause) = u32::try_from(outboxes.len()).ok().and_then(|count| over.checked_div(count)) else { return };
        let mut next = tokio::time::Instant::now();
        for outbox in outboxes {
            if let Some(outbox) = outbox.upgrade() {
                outbox.answer(Slot::End(Refusal::new(Code::Draining)));
            }
            next += pause;
            tokio::time::sleep_until(next).await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.0.lock().outboxes.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::OutboxSettings;

    #[tokio::test]
    async fn whoever_comes_during_a_drain_is_told_too() {
        let connections = Connections::default();
        let early = Arc::new(Outbox::new(OutboxSettings::default()));
        let _early = connections.register(&early);
        connections.drain(Duration::ZERO).await;
        let late = Arc::new(Outbox::new(OutboxSettings::default()));
        let _late = connections.register(&late);
        for outbox in [early, late] {
            let mut taken = Vec::new();
            outbox.take(&mut taken);
            assert!(matches!(&taken[..], [Slot::End(refusal)] if refusal.code == Code::Draining));
        }
    }
}
