//! The edge: what came over the bus is made exactly once and in order, destination by destination, for this node's
//! subscribers. Knows no bus: records come as calls, and where a destination's numbering lives is told to it.

mod gate;
mod heads;
mod join;
mod order;
mod reading;
mod receipts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use uuid::Uuid;

use crate::broker::SubscriptionRegistry;
use crate::message::{Code, Destination, Message, Pattern, Tag};
use crate::shutdown::Shutdown;
use crate::store::{PartitionKey, Store};
use gate::Gate;
pub use join::{Joined, Joiner, Start};
use receipts::Receipts;
pub use receipts::Stored;

/// Which partition of the events log numbers a destination.
pub type Numbering = Arc<dyn Fn(&Destination) -> PartitionKey + Send + Sync>;

/// How the edge behaves in time; tests shorten it.
#[derive(Debug, Clone, Copy)]
pub struct EdgeSettings {
    /// A gate stays this long after its last subscriber.
    pub linger: Duration,
    /// Heads are compared with the store once in each such span, and up to four spans apart for one gate.
    pub head_interval: Duration,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self { linger: Duration::from_mins(1), head_interval: Duration::from_secs(10) }
    }
}

/// This node's way from the bus to its subscribers. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    registry: SubscriptionRegistry,
    store: Arc<dyn Store>,
    numbering: Numbering,
    gates: RwLock<HashMap<Destination, Arc<Gate>>>,
    receipts: Arc<Receipts>,
    shutdown: Shutdown,
    settings: EdgeSettings,
}

impl Edge {
    /// Needs a Tokio runtime: it looks after its gates from now on.
    pub fn new(store: Arc<dyn Store>, numbering: Numbering, shutdown: Shutdown, settings: EdgeSettings) -> Self {
        let edge = Self(Arc::new(Inner {
            registry: SubscriptionRegistry::default(),
            store,
            numbering,
            gates: RwLock::default(),
            receipts: Arc::default(),
            shutdown,
            settings,
        }));
        edge.0.shutdown.spawn_essential("edge-heads", heads::look_after(edge.clone()));
        edge
    }

    /// A message from the broadcast topic. Never waits.
    pub fn message(&self, message: Arc<Message>) {
        self.0.receipts.answer(message.id, Ok(()));
        if message.position.is_none() {
            self.0.registry.deliver(&message);
            return;
        }
        let mut message = message;
        loop {
            let known = self.0.gates.read().get(&message.destination).cloned();
            let Some(gate) = known else {
                if self.0.registry.wants(&message.destination) {
                    self.first_seen(message);
                }
                return;
            };
            match gate.offer(message, &self.0.registry) {
                Ok(need) => return self.read_what(&gate, need),
                // It was closed between the two lines, so it is not in the map any more.
                Err(back) => message = back,
            }
        }
    }

    /// A message that was first seen through a pattern, or by those who subscribed while its policy called it transient:
    /// nobody knows a position of it, so this record is the baseline.
    fn first_seen(&self, message: Arc<Message>) {
        let mut gates = self.0.gates.write();
        if gates.contains_key(&message.destination) {
            drop(gates);
            return self.message(message);
        }
        let gate = Arc::new(Gate::new(message.destination.clone()));
        gate.open(None, &self.0.registry);
        // Before anyone else sees the gate, so that nobody finds it without a position. One message needs nothing.
        let _nothing_needed = gate.offer(Arc::clone(&message), &self.0.registry);
        gates.insert(message.destination.clone(), gate);
    }

    /// News that a message was stored before, by an earlier attempt of its sender.
    pub fn known(&self, id: Uuid) {
        self.0.receipts.answer(id, Ok(()));
    }

    /// News that a message will never be stored.
    pub fn refused(&self, id: Uuid, code: Code) {
        self.0.receipts.answer(id, Err(code));
    }

    /// Whether anyone here has to do with a record of this destination, or with this very message.
    pub fn wants(&self, key: &str, id: Uuid) -> bool {
        self.0.gates.read().contains_key(key) || self.0.registry.wants_key(key) || self.0.receipts.is_waiting(id)
    }

    /// Waits for a message to be stored; call it before the message is published.
    pub fn expect_stored(&self, id: Uuid) -> Stored {
        self.0.receipts.expect(id)
    }

    /// How many stored destinations are put in order here.
    pub fn gates(&self) -> usize {
        self.0.gates.read().len()
    }

    /// Ends a subscription to a destination.
    pub fn leave(&self, destination: &Destination, tag: &Arc<Tag>) {
        tag.end();
        self.0.registry.remove(destination, tag);
    }

    /// Ends a subscription to a pattern.
    pub fn leave_pattern(&self, pattern: &Pattern, tag: &Arc<Tag>) {
        tag.end();
        self.0.registry.remove_pattern(pattern, tag);
    }

    fn partition_of(&self, destination: &Destination) -> PartitionKey {
        (self.0.numbering)(destination)
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Edge").field("gates", &self.0.gates.read().len()).finish_non_exhaustive()
    }
}
