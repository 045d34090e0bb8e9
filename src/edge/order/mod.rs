//! The order of one destination's records on this node, as a state machine without IO.
//!
//! ```text
//!            kept() read                 a hole, or the store is ahead
//!  Opening ─────────────▶ Live{last} ◀──────────────────────────▶ Filling{last}
//!     │ store away          ▲  │ a record of another epoch  ┌──────────┘
//!     ▼                     │  ▼                            ▼
//!  Baseline ────────────────┘ Doubting ── kept() read ──▶ Live, anew or as before
//!     the first record
//! ```
//! Records that come while something is being read are held, at most [`MAX_HELD`]; those beyond are read from the
//! store instead. Whatever the state: a sequence is let through once, and after all before it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::{Code, Epoch, Message, Position};

/// How many records a gate holds while it waits for the store.
pub(super) const MAX_HELD: usize = 1024;
/// How many of the last messages are remembered while someone catches up.
pub(super) const RING: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head is being read.
    Opening,
    /// It could not be read; the first record tells where the destination stands.
    Baseline,
    Live,
    /// Messages up to the target are being read.
    Filling,
    /// A record has another epoch; the store is asked which is right.
    Doubting,
}

/// What must be read from the store before the order can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The messages with `after < sequence <= through`.
    Messages { after: u64, through: u64 },
    /// Epoch and head.
    Head,
}

/// What comes out, in the order in which subscribers are to have it.
#[derive(Debug)]
pub(super) enum Out<'a> {
    /// The next message, for all.
    Message(&'a Arc<Message>),
    /// A message below the place at which the order began. Who joined by name knows that place; who subscribed to a
    /// pattern was there before it, and is owed what was on its way when the order began.
    Late(&'a Arc<Message>),
    /// Whoever knows a position must go before anything that follows: there is a hole, or it means nothing any more.
    Ended(Code),
}

/// Takes what comes out.
pub(super) type Through<'a> = dyn FnMut(Out<'_>) + 'a;

/// The order of one destination's stored messages.
#[derive(Debug)]
pub(super) struct Order {
    phase: Phase,
    epoch: Epoch,
    /// The sequence of the last message let through, or the head from which it went on.
    last: u64,
    /// The sequence of the last message that came out, if any has since the numbering is known.
    came_out: Option<u64>,
    held: VecDeque<Arc<Message>>,
    /// The highest position that is known to exist without being held here.
    beyond: Option<Position>,
    ring: VecDeque<Arc<Message>>,
    ring_wanted: bool,
}

impl Order {
    pub(super) fn opening() -> Self {
        Self {
            phase: Phase::Opening,
            epoch: Epoch(0),
            last: 0,
            came_out: None,
            held: VecDeque::new(),
            beyond: None,
            ring: VecDeque::new(),
            ring_wanted: false,
        }
    }

    /// Where the destination stands on this node; none while that is not known.
    pub(super) fn position(&self) -> Option<Position> {
        match self.phase {
            Phase::Opening | Phase::Baseline => None,
            Phase::Live | Phase::Filling | Phase::Doubting => Some(Position { epoch: self.epoch, sequence: self.last }),
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        self.phase == Phase::Opening
    }

    /// Whether nothing is being read and nothing is held.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Baseline)
    }

    /// The head was read, or could not be.
    pub(super) fn open(&mut self, head: Option<Position>, through: &mut Through<'_>) -> Option<Need> {
        match head {
            Some(head) => (self.phase, self.epoch, self.last) = (Phase::Live, head.epoch, head.sequence),
            None => self.phase = Phase::Baseline,
        }
        self.go_on(through)
    }

    /// A head that became known while the first record was waited for; whether it was.
    pub(super) fn adopt(&mut self, head: Position) -> bool {
        if self.phase != Phase::Baseline {
            return false;
        }
        (self.phase, self.epoch, self.last) = (Phase::Live, head.epoch, head.sequence);
        true
    }

    /// A stored message from the bus. `through` gets what is due now, in order.
    pub(super) fn offer(&mut self, message: Arc<Message>, through: &mut Through<'_>) -> Option<Need> {
        let position = message.position?;
        match self.phase {
            Phase::Opening | Phase::Doubting => {
                self.hold(message);
                None
            }
            Phase::Filling => {
                // What the fill covers anyway need not be held.
                if position.epoch != self.epoch || position.sequence > self.last {
                    self.hold(message);
                } else {
                    self.late(&message, position.sequence, through);
                }
                None
            }
            Phase::Baseline => {
                (self.phase, self.epoch, self.last) = (Phase::Live, position.epoch, position.sequence.saturating_sub(1));
                self.offer(message, through)
            }
            Phase::Live if position.epoch != self.epoch => {
                self.hold(message);
                self.phase = Phase::Doubting;
                Some(Need::Head)
            }
            Phase::Live if position.sequence <= self.last => {
                self.late(&message, position.sequence, through);
                None
            }
            Phase::Live if position.sequence == self.last + 1 => {
                self.let_through(&message, through);
                None
            }
            Phase::Live => {
                self.hold(message);
                self.fill()
            }
        }
    }

    /// Messages read from the store, oldest first; those not due are ignored. If there is a hole that the store can't
    /// fill, the order goes on behind it.
    pub(super) fn filled(&mut self, page: &[Arc<Message>], through: &mut Through<'_>) -> Option<Need> {
        if self.phase != Phase::Filling {
            return None;
        }
        let mut lost = false;
        for message in page {
            let Some(position) = message.position else { continue };
            if position.epoch != self.epoch {
                self.hold(Arc::clone(message));
                self.phase = Phase::Doubting;
                return Some(Need::Head);
            }
            if position.sequence <= self.last {
                continue;
            }
            if position.sequence > self.last + 1 {
                if !std::mem::replace(&mut lost, true) {
                    through(Out::Ended(Code::HistoryLost));
                }
                self.go_behind(position.sequence - 1);
            }
            self.let_through(message, through);
        }
        if page.is_empty() {
            // Retention took all that was missing.
            through(Out::Ended(Code::HistoryLost));
            self.go_behind(self.target().unwrap_or(self.last));
        }
        self.phase = Phase::Live;
        self.go_on(through)
    }

    fn go_behind(&mut self, sequence: u64) {
        self.last = sequence;
        self.ring.clear();
    }

    /// The store's head, looked up because a lost last message shows in no hole.
    pub(super) fn compare(&mut self, head: Position) -> Option<Need> {
        if self.phase != Phase::Live {
            return None;
        }
        if head.epoch != self.epoch {
            self.phase = Phase::Doubting;
            return Some(Need::Head);
        }
        self.exists(head);
        self.fill()
    }

    /// The store's answer to [`Need::Head`] after a doubt: the stray records were of an old numbering and are dropped,
    /// or numbering was lost and begins anew.
    pub(super) fn settle(&mut self, head: Position, through: &mut Through<'_>) -> Option<Need> {
        if self.phase != Phase::Doubting {
            return None;
        }
        self.phase = Phase::Live;
        self.held.retain(|message| message.position.is_some_and(|position| position.epoch == head.epoch));
        if head.epoch != self.epoch {
            through(Out::Ended(Code::PositionLost));
            // Who subscribed to a pattern knows no position, and may be given again what is numbered again.
            (self.epoch, self.last, self.came_out) = (head.epoch, head.sequence, None);
            self.ring.clear();
        }
        self.go_on(through)
    }

    /// Remembers the last messages from now on (or no longer), for those who catch up.
    pub(super) fn keep_ring(&mut self, wanted: bool) {
        self.ring_wanted = wanted;
        if !wanted {
            self.ring = VecDeque::new();
        }
    }

    /// The messages after this sequence up to the last, if all of them are still at hand.
    pub(super) fn ring_after(&self, sequence: u64) -> Option<impl Iterator<Item = &Arc<Message>>> {
        let missing = usize::try_from(self.last.checked_sub(sequence)?).ok()?;
        let skip = self.ring.len().checked_sub(missing)?;
        Some(self.ring.iter().skip(skip))
    }

    fn let_through(&mut self, message: &Arc<Message>, through: &mut Through<'_>) {
        self.last += 1;
        if self.ring_wanted {
            if self.ring.len() == RING {
                self.ring.pop_front();
            }
            self.ring.push_back(Arc::clone(message));
        }
        self.came_out = Some(self.last);
        through(Out::Message(message));
    }

    /// Before the first message that is due, one after the other of those below it.
    fn late(&mut self, message: &Arc<Message>, sequence: u64, through: &mut Through<'_>) {
        if self.came_out.is_none_or(|last| sequence == last + 1) {
            self.came_out = Some(sequence);
            through(Out::Late(message));
        }
    }

    fn hold(&mut self, message: Arc<Message>) {
        if self.held.len() < MAX_HELD {
            self.held.push_back(message);
        } else if let Some(position) = message.position {
            self.exists(position);
        }
    }

    fn exists(&mut self, position: Position) {
        match self.beyond {
            Some(known) if known.epoch == position.epoch && known.sequence >= position.sequence => {}
            _ => self.beyond = Some(position),
        }
    }

    fn go_on(&mut self, through: &mut Through<'_>) -> Option<Need> {
        let need = self.offer_held(through);
        if self.phase == Phase::Live { need.or_else(|| self.fill()) } else { need }
    }

    fn offer_held(&mut self, through: &mut Through<'_>) -> Option<Need> {
        let mut need = None;
        // What is offered while something is needed goes back to the held ones, so each is offered once.
        for message in std::mem::take(&mut self.held) {
            need = self.offer(message, through).or(need);
        }
        need
    }

    /// How far must be read before a held message is next, or the order is complete.
    fn target(&self) -> Option<u64> {
        let held = self
            .held
            .iter()
            .filter_map(|message| message.position)
            .filter(|position| position.epoch == self.epoch && position.sequence > self.last);
        let before_held = held.map(|position| position.sequence - 1).min();
        let beyond = self.beyond.filter(|beyond| beyond.epoch == self.epoch).map(|beyond| beyond.sequence);
        before_held.or(beyond).filter(|target| *target > self.last)
    }

    fn fill(&mut self) -> Option<Need> {
        let through = self.target()?;
        self.phase = Phase::Filling;
        Some(Need::Messages { after: self.last, through })
    }
}
