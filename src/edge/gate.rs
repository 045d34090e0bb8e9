//! A gate: the place on this node where one destination's stored messages are put in order before its subscribers
//! get them. The lock is held while outboxes are filled, never across a wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::order::{Need, Order, Out, Through};
use crate::broker::SubscriptionRegistry;
use crate::message::{Code, Destination, Message, Position, Refusal};

/// A gate that only patterns want stays so many times longer, counted from its last message: it can't be made anew
/// without forgetting what its subscribers have, and must not stay for ever, since destinations cost their senders
/// nothing.
const QUIET: u32 = 10;

/// One live destination.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) destination: Destination,
    order: Mutex<Order>,
    /// Told whenever the order opened or moved on while someone waits for that.
    moved: Notify,
    /// Sessions that are joining; while there are any, the gate stays and keeps its ring.
    joining: AtomicUsize,
    /// When it was first seen without subscribers, and where it stood then.
    idle_since: Mutex<Option<(Instant, Option<Position>)>>,
    /// Written under the order's lock. A closed gate lets nothing through: another one may have taken its place.
    closed: AtomicBool,
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
            closed: AtomicBool::new(false),
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

    /// Gives the message back if the gate was closed meanwhile.
    pub(super) fn offer(&self, message: Arc<Message>, registry: &SubscriptionRegistry) -> Result<Option<Need>, Arc<Message>> {
        let mut message = Some(message);
        let need = self.act(registry, |order, through| order.offer(message.take()?, through));
        match message {
            None => Ok(need),
            Some(message) => Err(message),
        }
    }

    pub(super) fn open(&self, head: Option<Position>, registry: &SubscriptionRegistry) -> Option<Need> {
        self.act(registry, |order, through| order.open(head, through))
    }

    pub(super) fn filled(&self, page: &[Arc<Message>], registry: &SubscriptionRegistry) -> Option<Need> {
        self.act(registry, |order, through| order.filled(page, through))
    }

    pub(super) fn settle(&self, head: Position, registry: &SubscriptionRegistry) -> Option<Need> {
        self.act(registry, |order, through| order.settle(head, through))
    }

    /// What comes out of the order goes to whom it is for, unless the gate is closed.
    fn act(&self, registry: &SubscriptionRegistry, act: impl FnOnce(&mut Order, &mut Through<'_>) -> Option<Need>) -> Option<Need> {
        self.with(|order| {
            if self.is_closed() {
                return None;
            }
            act(order, &mut |out| match out {
                Out::Message(message) => registry.deliver(message),
                Out::Late(message) => registry.deliver_to_patterns(message),
                Out::Ended(code) => {
                    tracing::warn!(destination = %self.destination, %code, "subscribers must come back");
                    registry.end_all(&self.destination, &Refusal::new(code));
                    // Those by pattern never had a position to lose; but what is gone is gone for them too.
                    if code == Code::HistoryLost {
                        registry.end_all_by_pattern(&self.destination, &Refusal::new(code));
                    }
                }
            })
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// For whoever took it out of the map.
    pub(super) fn close(&self) {
        let _order = self.order.lock();
        self.closed.store(true, Ordering::Release);
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

    /// Whether nobody has used it for `linger`.
    pub(super) fn is_idle(&self, linger: Duration, now: Instant, registry: &SubscriptionRegistry) -> bool {
        let mut idle_since = self.idle_since.lock();
        // In this order: who joins is in the registry before it stops being counted here.
        if self.joining.load(Ordering::Acquire) > 0 || registry.has(&self.destination) {
            *idle_since = None;
            return false;
        }
        let (position, at_rest) = self.see(|order| (order.position(), order.is_at_rest()));
        let by_pattern = registry.wants(&self.destination);
        let (since, stood_at) = *idle_since.get_or_insert((now, position));
        if by_pattern && (stood_at != position || !at_rest) {
            *idle_since = Some((now, position));
            return false;
        }
        now.saturating_duration_since(since) >= if by_pattern { linger * QUIET } else { linger }
    }
}

impl Joining {
    /// Called under the map's lock, so that the gate is not closed in between.
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        gate.joining.fetch_add(1, Ordering::AcqRel);
        *gate.idle_since.lock() = None;
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
