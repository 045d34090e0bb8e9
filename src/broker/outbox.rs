//! The queue to one client: bounded in bytes, filled by anyone, swapped out whole by the one task that writes it.
//!
//! Order in the outbox is order on the wire.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::message::{Code, Message, Outcome, Refusal, Tag, Ticket, TokenId};

/// Something to be written, or to be decided when its turn to be written comes.
#[derive(Debug)]
pub enum Slot {
    /// A whole frame that the session itself made.
    Control(Bytes),
    /// How a request ended, by whoever decided it; the session makes the frame.
    Answer(Ticket, Outcome),
    /// The session is to end for this reason, when what came before is written.
    End(Refusal),
    /// A delivery that the session need not know of.
    Auto(Arc<Message>, Arc<Tag>),
    /// A delivery that the client will acknowledge.
    Tracked(Arc<Message>, Arc<Tag>),
}

/// What a token's roles are from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoles {
    /// The session may stand on another token by the time it hears of this.
    pub token: TokenId,
    pub roles: Arc<[Box<str>]>,
}

impl Slot {
    /// A message for one subscription.
    pub fn is_delivery(&self) -> bool {
        matches!(self, Self::Auto(..) | Self::Tracked(..))
    }
}

/// The bounds of an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxSettings {
    /// Bytes that may wait or be half written; one more and the client is a slow consumer.
    pub limit: usize,
    /// Below this a replay may put its next page in.
    pub low: usize,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        // Spring's sendBufferSizeLimit; and small enough beside it that a page (256 KiB) always fits.
        Self { limit: 512 * 1024, low: 64 * 1024 }
    }
}

/// One client's queue.
pub struct Outbox {
    settings: OutboxSettings,
    slots: Mutex<Vec<Slot>>,
    /// What waits here, and what was taken and not yet written or let go.
    bytes: AtomicUsize,
    /// Why the session has to end, however much waits here.
    ended: OnceLock<Code>,
    /// Roles that the session has not taken over yet. Boxed, since few ever have them.
    roles: Mutex<Option<Box<NewRoles>>>,
    /// Deliveries that were thrown away because there was no room.
    thrown_away: AtomicU32,
    /// The writer's task.
    filled: AtomicWaker,
    /// Those who wait until there is room for more than what must be delivered anyway.
    drained: Notify,
    /// Held by the one replay of this client that may put its next page in, so that many together stay in bounds.
    pub replaying: tokio::sync::Mutex<()>,
}

/// The bytes of an outbox that was closed: nothing more goes in.
const CLOSED: usize = usize::MAX / 2;
/// Added when a delivery is thrown away. It stays, however much is released: a subscriber that missed one message must
/// not get the next.
const OVERFLOWED: usize = usize::MAX / 256;

impl Outbox {
    pub fn new(settings: OutboxSettings) -> Self {
        // Whatever the limit, a page must find room above the low mark.
        let low = settings.low.min(settings.limit / 8);
        Self {
            settings: OutboxSettings { low, ..settings },
            slots: Mutex::default(),
            bytes: AtomicUsize::new(0),
            ended: OnceLock::new(),
            roles: Mutex::default(),
            thrown_away: AtomicU32::new(0),
            filled: AtomicWaker::new(),
            drained: Notify::new(),
            replaying: tokio::sync::Mutex::default(),
        }
    }

    /// Puts a delivery of about `cost` bytes in, unless that is too much: then the client is a slow consumer and
    /// its session ends.
    pub fn deliver(&self, slot: Slot, cost: usize) {
        let waiting = self.bytes.fetch_add(cost, Ordering::AcqRel).saturating_add(cost);
        if waiting <= self.settings.limit {
            self.put(slot);
            return;
        }
        if waiting < CLOSED {
            self.thrown_away.fetch_add(1, Ordering::Relaxed);
        }
        if waiting < OVERFLOWED {
            self.bytes.fetch_add(OVERFLOWED, Ordering::AcqRel);
        }
        self.filled.wake();
    }

    /// Puts in what answers the client's own frames; bounded by how many of those may be open, so never refused.
    pub fn answer(&self, slot: Slot) {
        if let Slot::Control(frame) = &slot {
            self.bytes.fetch_add(frame.len(), Ordering::AcqRel);
        }
        self.put(slot);
    }

    fn put(&self, slot: Slot) {
        let mut slots = self.slots.lock();
        // Under the lock: who found it open may come only after it was closed and cleared.
        if self.is_closed() {
            return;
        }
        let was_empty = slots.is_empty();
        slots.push(slot);
        drop(slots);
        // A writer that found something and has not come back yet will look again before it sleeps.
        if was_empty {
            self.filled.wake();
        }
    }

    /// Ends the session now: a client that does not read must not keep it by that. The first reason counts.
    pub fn end(&self, code: Code) {
        if self.ended.set(code).is_ok() {
            self.filled.wake();
        }
    }

    /// Why the session has to end now.
    pub fn ended(&self) -> Option<Code> {
        self.ended.get().copied()
    }

    /// Gives the session other roles now: a client that does not read must not keep those it had by that. The last ones
    /// count.
    pub fn change_roles(&self, roles: NewRoles) {
        *self.roles.lock() = Some(Box::new(roles));
        self.filled.wake();
    }

    /// The roles that the session is to take over. For the one writer.
    pub fn take_roles(&self) -> Option<NewRoles> {
        self.roles.lock().take().map(|roles| *roles)
    }

    /// Who is woken when something comes. For the one writer, before it looks.
    pub fn register(&self, writer: &Waker) {
        self.filled.register(writer);
    }

    /// Swaps what waits into `taken`, which must be empty; whether there was anything. For the one writer.
    pub fn take(&self, taken: &mut Vec<Slot>) -> bool {
        std::mem::swap(&mut *self.slots.lock(), taken);
        !taken.is_empty()
    }

    /// Whether more than the limit came. The rest was thrown away, so the session must end.
    pub fn is_overflowed(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > self.settings.limit
    }

    /// Counts bytes as gone, written or dropped.
    pub fn release(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= self.settings.low && before.saturating_sub(bytes) < self.settings.low {
            self.drained.notify_waiters();
        }
    }

    /// Waits until less than the low mark waits here, or the outbox is closed.
    pub async fn below_low(&self) {
        loop {
            let drained = self.drained.notified();
            let bytes = self.bytes.load(Ordering::Acquire);
            if bytes < self.settings.low || bytes >= CLOSED {
                return;
            }
            drained.await;
        }
    }

    /// How many bytes of messages a replay may put in at once; the rest is for heads and for what is live.
    pub fn page(&self) -> usize {
        (self.settings.limit - self.settings.low) * 3 / 5
    }

    /// What waits here, and what was taken and is neither written nor let go.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// The same without what only marks an outbox as overflowed or closed.
    pub fn waiting(&self) -> usize {
        let bytes = self.bytes();
        if bytes >= CLOSED { 0 } else { bytes % OVERFLOWED }
    }

    /// How many deliveries were thrown away since this was last asked.
    pub fn take_thrown_away(&self) -> usize {
        self.thrown_away.swap(0, Ordering::Relaxed) as usize
    }

    /// Nothing more is delivered. What waited is dropped, and so is what comes. Answers how many deliveries waited.
    pub fn close(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        self.bytes.fetch_add(CLOSED, Ordering::AcqRel);
        let dropped = self.slots.lock().drain(..).filter(Slot::is_delivery).count();
        self.drained.notify_waiters();
        dropped
    }

    /// Whether its client has gone.
    pub fn is_closed(&self) -> bool {
        self.bytes.load(Ordering::Acquire) >= CLOSED
    }
}

// What waits here belongs to a client and is not for logs.
impl std::fmt::Debug for Outbox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Outbox").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(length: usize) -> Slot {
        Slot::Control(Bytes::from(vec![0; length]))
    }

    fn take(outbox: &Outbox) -> Vec<Slot> {
        let mut taken = Vec::new();
        outbox.take(&mut taken);
        taken
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_at_once() {
        let outbox = Outbox::new(OutboxSettings::default());
        outbox.answer(control(1));
        outbox.answer(control(2));
        assert!(matches!(&take(&outbox)[..], [Slot::Control(first), Slot::Control(second)] if first.len() == 1 && second.len() == 2));
        assert_eq!(outbox.bytes(), 3);
        outbox.release(3);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_delivery_beyond_the_limit_marks_a_slow_consumer() {
        let outbox = Outbox::new(OutboxSettings { limit: 10, low: 5 });
        outbox.deliver(control(0), 10);
        assert!(!outbox.is_overflowed());
        // Taken is not written.
        assert_eq!(take(&outbox).len(), 1);
        outbox.deliver(control(0), 1);
        assert!(outbox.is_overflowed());
    }

    #[test]
    fn once_overflowed_it_stays_so_and_takes_no_delivery() {
        let outbox = Outbox::new(OutboxSettings { limit: 100, low: 10 });
        outbox.deliver(control(0), 90);
        assert_eq!(take(&outbox).len(), 1);
        // The second is thrown away while the writer is still busy with the first.
        outbox.deliver(control(0), 20);
        outbox.release(90);
        assert!(outbox.is_overflowed(), "a message was thrown away and nobody would know");
        outbox.deliver(control(0), 1);
        assert_eq!((outbox.take_thrown_away(), outbox.take_thrown_away()), (2, 0));
        assert_eq!(outbox.waiting(), 21);
        assert!(take(&outbox).is_empty(), "a message behind the one that was thrown away");
    }

    #[test]
    fn the_end_wakes_those_who_wait_for_room() {
        let outbox = Arc::new(Outbox::new(OutboxSettings { limit: 80, low: 10 }));
        outbox.deliver(control(0), 60);
        let mut waiting = still_waits(outbox.below_low());
        assert!(waiting());
        outbox.close();
        assert!(!waiting());
    }

    #[test]
    fn room_wakes_those_who_wait_for_it() {
        let outbox = Arc::new(Outbox::new(OutboxSettings { limit: 80, low: 5 }));
        outbox.deliver(control(0), 6);
        let mut waiting = still_waits(outbox.below_low());
        assert!(waiting());
        outbox.release(2);
        assert!(!waiting());
    }

    /// Polls a future each time it is called; whether it still waits.
    fn still_waits(future: impl Future<Output = ()>) -> impl FnMut() -> bool {
        let mut future = Box::pin(future);
        move || future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn the_first_reason_to_end_counts_whatever_waits() {
        let outbox = Outbox::new(OutboxSettings::default());
        outbox.answer(control(1));
        assert_eq!(outbox.ended(), None);
        outbox.end(Code::TokenRevoked);
        outbox.end(Code::SessionEnded);
        assert_eq!(outbox.ended(), Some(Code::TokenRevoked));
    }

    #[test]
    fn the_last_roles_count_and_are_taken_once() {
        let outbox = Outbox::new(OutboxSettings::default());
        let roles = |role: &str| NewRoles { token: TokenId::new("j").unwrap(), roles: [role.into()].into() };
        assert_eq!(outbox.take_roles(), None);
        outbox.answer(control(1));
        outbox.change_roles(roles("A"));
        outbox.change_roles(roles("B"));
        assert_eq!(outbox.take_roles(), Some(roles("B")));
        assert_eq!(outbox.take_roles(), None);
    }

    #[test]
    fn a_closed_outbox_keeps_nothing() {
        let outbox = Outbox::new(OutboxSettings::default());
        outbox.answer(control(5));
        outbox.close();
        outbox.deliver(control(5), 5);
        assert!(outbox.is_closed());
        assert!(outbox.slots.lock().is_empty());
    }
}
