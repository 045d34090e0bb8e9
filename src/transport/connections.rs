//! The connections of this node, so that a drain can ask each of them to go.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::broker::{Outbox, Slot};
use crate::message::{Code, Refusal};
use crate::metrics::{ConnectionMetrics, ConnectionsMetrics};

/// All connections that are open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
    metrics: ConnectionsMetrics,
}

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
    pub(super) metrics: ConnectionMetrics,
}

impl Connections {
    pub fn new(metrics: ConnectionsMetrics) -> Self {
        Self { open: Arc::default(), metrics }
    }

    pub(super) fn register(&self, outbox: &Arc<Outbox>) -> Registered {
        let mut open = self.open.lock();
        let key = open.next;
        open.next += 1;
        open.outboxes.insert(key, Arc::downgrade(outbox));
        if open.draining {
            outbox.answer(Slot::End(Refusal::new(Code::Draining)));
        }
        Registered { connections: self.clone(), key, metrics: self.metrics.opened() }
    }

    pub fn count(&self) -> usize {
        self.open.lock().outboxes.len()
    }

    /// What waits for all clients together or is half written.
    pub fn outbox_bytes(&self) -> u64 {
        self.open.lock().outboxes.values().filter_map(Weak::upgrade).map(|outbox| outbox.waiting() as u64).sum()
    }

    pub(super) fn metrics(&self) -> &ConnectionsMetrics {
        &self.metrics
    }

    /// Ends all sessions with `draining`, spread evenly over this time, so that they do not all come back at once.
    pub async fn drain(&self, over: Duration) {
        let outboxes: Vec<_> = {
            let mut open = self.open.lock();
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
        self.connections.open.lock().outboxes.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    use crate::broker::OutboxSettings;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn whoever_comes_during_a_drain_is_told_too() {
        let connections = Connections::new(Metrics::default().connections().clone());
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

    #[test]
    fn what_waits_is_added_up_over_all_that_are_open() {
        let connections = Connections::new(Metrics::default().connections().clone());
        let outboxes: Vec<_> = (0..3).map(|_| Arc::new(Outbox::new(OutboxSettings::default()))).collect();
        let registered: Vec<_> = outboxes.iter().map(|outbox| connections.register(outbox)).collect();
        for outbox in &outboxes {
            outbox.answer(Slot::Control(Bytes::from_static(b"12345")));
        }
        assert_eq!(connections.outbox_bytes(), 15);
        outboxes[0].close();
        assert_eq!(connections.outbox_bytes(), 10);
        drop(registered);
        assert_eq!(connections.outbox_bytes(), 0);
    }
}
