//! A gate: the place on this node where one destination's stored messages are put in order before its subscribers
//! get them. The lock is held while outboxes are filled, never across a wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::order::{HistoryLost, Need, Order, Verdict};
use crate::broker::SubscriptionRegistry;
use crate::message::{Code, Destination, Message, Position, Refusal};

/// One live destination.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) destination: Destination,
    order: Mutex<Order>,
    /// Told whenever the order opened or moved on while someone waits for that.
    moved: Notify,
    /// Sessions that are joining; while there are any, the gate stays and keeps its ring.
    joining: AtomicUsize,
    /// When it was first seen without subscribers.
    idle_since: Mutex<Option<Instant>>,
}

/// Keeps a gate open while a session joins.
#[derive(Debug)]
pub(super) struct Joining(pub(super) Arc<Gate>);

impl Gate {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            order: Mutex::new(Order::opening()),
            moved: Notify::new(),
            joining: AtomicUsize::new(0),
            idle_since: Mutex::default(),
        }
    }

    /// Runs something with the order, under the gate's lock; who waits is told afterwards.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Order) -> T) -> T {
        let result = act(&mut self.order.lock());
        if self.joining.load(Ordering::Acquire) > 0 {
            self.moved.notify_waiters();
        }
        result
    }

    /// A look at the order that changes nothing.
    pub(super) fn see<T>(&self, look: impl FnOnce(&Order) -> T) -> T {
        look(&self.order.lock())
    }

    pub(super) fn offer(&self, message: Arc<Message>, registry: &SubscriptionRegistry) -> Option<Need> {
        self.with(|order| order.offer(message, &mut |message| registry.deliver(message)))
    }

    pub(super) fn open(&self, head: Option<Position>, registry: &SubscriptionRegistry) -> Option<Need> {
        self.with(|order| order.open(head, &mut |message| registry.deliver(message)))
    }

    pub(super) fn filled(&self, page: &[Arc<Message>], registry: &SubscriptionRegistry) -> Option<Need> {
        self.with(|order| match order.filled(page, &mut |message| registry.deliver(message)) {
            Ok(need) => need,
            Err(HistoryLost(need)) => {
                tracing::warn!(destination = %self.destination, "messages that subscribers were owed are gone from the store");
                end_subscribers(registry, &self.destination, Code::HistoryLost);
                need
            }
        })
    }

    pub(super) fn settle(&self, head: Position, registry: &SubscriptionRegistry) -> Option<Need> {
        self.with(|order| {
            let (verdict, need) = order.settle(head, &mut |message| registry.deliver(message));
            if verdict == Verdict::Renumbered {
                tracing::warn!(destination = %self.destination, epoch = %head.epoch, "the destination was numbered anew");
                end_subscribers(registry, &self.destination, Code::PositionLost);
            }
            need
        })
    }

    /// Waits until `arrived` is true of the order. It is looked at again whenever the order moves.
    pub(super) async fn until(&self, arrived: impl Fn(&Order) -> bool) {
        loop {
            let moved = self.moved.notified();
            if self.see(&arrived) {
                return;
            }
            moved.await;
        }
    }

    /// Whether it has stood without a use since before this time.
    pub(super) fn is_idle_since(&self, before: Instant, now: Instant, subscribed: bool) -> bool {
        let mut idle_since = self.idle_since.lock();
        if subscribed || self.joining.load(Ordering::Acquire) > 0 {
            *idle_since = None;
            return false;
        }
        *idle_since.get_or_insert(now) <= before
    }
}

impl Joining {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        gate.joining.fetch_add(1, Ordering::AcqRel);
        Self(gate)
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        let mut order = self.0.order.lock();
        if self.0.joining.fetch_sub(1, Ordering::AcqRel) == 1 {
            order.keep_ring(false);
        }
    }
}

/// Subscribers by name know positions of this destination; those by pattern never had one.
fn end_subscribers(registry: &SubscriptionRegistry, destination: &Destination, code: Code) {
    registry.end_all(destination, &Refusal::new(code));
}
