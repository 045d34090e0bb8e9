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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Destination, RenderedOnce};

    const EPOCH: Epoch = Epoch(7);

    fn message(epoch: Epoch, sequence: u64) -> Arc<Message> {
        Arc::new(Message {
            id: uuid::Uuid::nil(),
            destination: Destination::parse("/topic/a").unwrap(),
            sender: None,
            session: None,
            timestamp_ms: 0,
            content_type: None,
            headers: Arc::new([]),
            body: bytes::Bytes::new(),
            position: Some(Position { epoch, sequence }),
            rendered: RenderedOnce::default(),
        })
    }

    fn page(sequences: impl IntoIterator<Item = u64>) -> Vec<Arc<Message>> {
        sequences.into_iter().map(|sequence| message(EPOCH, sequence)).collect()
    }

    /// An order with what came out.
    struct Scene {
        order: Order,
        got: Vec<u64>,
        late: Vec<u64>,
        /// With how many messages had come out by then.
        ended: Vec<(Code, usize)>,
    }

    impl Scene {
        fn opening() -> Self {
            Self { order: Order::opening(), got: Vec::new(), late: Vec::new(), ended: Vec::new() }
        }

        fn live_at(sequence: u64) -> Self {
            let mut scene = Self::opening();
            assert_eq!(scene.open(Some(sequence)), None);
            scene
        }

        fn act(&mut self, act: impl FnOnce(&mut Order, &mut Through<'_>) -> Option<Need>) -> Option<Need> {
            let Self { order, got, late, ended } = self;
            act(order, &mut |out| match out {
                Out::Message(message) => got.push(message.position.unwrap().sequence),
                Out::Late(message) => late.push(message.position.unwrap().sequence),
                Out::Ended(code) => ended.push((code, got.len())),
            })
        }

        fn open(&mut self, head: Option<u64>) -> Option<Need> {
            let head = head.map(|sequence| Position { epoch: EPOCH, sequence });
            self.act(|order, through| order.open(head, through))
        }

        fn offer(&mut self, epoch: Epoch, sequence: u64) -> Option<Need> {
            self.act(|order, through| order.offer(message(epoch, sequence), through))
        }

        fn filled(&mut self, page: &[Arc<Message>]) -> Option<Need> {
            self.act(|order, through| order.filled(page, through))
        }

        fn settle(&mut self, epoch: Epoch, sequence: u64) -> Option<Need> {
            self.act(|order, through| order.settle(Position { epoch, sequence }, through))
        }
    }

    #[test]
    fn each_sequence_once_and_in_order() {
        let mut scene = Scene::live_at(3);
        for sequence in [2, 3, 4, 4, 5, 4, 6] {
            assert_eq!(scene.offer(EPOCH, sequence), None);
        }
        assert_eq!(scene.got, [4, 5, 6]);
    }

    #[test]
    fn records_that_come_before_the_head_is_known_are_held() {
        let mut scene = Scene::opening();
        for sequence in 4..=6 {
            assert_eq!(scene.offer(EPOCH, sequence), None);
        }
        assert_eq!(scene.order.position(), None);
        assert_eq!(scene.open(Some(5)), None);
        assert_eq!(scene.got, [6]);
    }

    #[test]
    fn what_was_on_its_way_when_the_head_was_read_is_for_those_who_know_no_head() {
        let mut scene = Scene::opening();
        scene.offer(EPOCH, 4);
        assert_eq!(scene.open(Some(6)), None);
        for sequence in [4, 5, 5, 4, 6, 7, 6, 5, 8] {
            scene.offer(EPOCH, sequence);
        }
        assert_eq!((scene.late, scene.got), (vec![4, 5, 6], vec![7, 8]));
    }

    #[test]
    fn without_a_head_the_first_record_is_the_baseline() {
        let mut scene = Scene::opening();
        assert_eq!(scene.open(None), None);
        assert_eq!(scene.order.position(), None);
        scene.offer(EPOCH, 9);
        assert_eq!(scene.got, [9]);
        assert_eq!(scene.order.position().unwrap().sequence, 9);
    }

    #[test]
    fn a_hole_is_filled_before_what_follows_it() {
        let mut scene = Scene::live_at(1);
        assert_eq!(scene.offer(EPOCH, 5), Some(Need::Messages { after: 1, through: 4 }));
        assert_eq!(scene.offer(EPOCH, 6), None);
        assert!(scene.got.is_empty());
        // A page need not hold all.
        assert_eq!(scene.filled(&page(2..=3)), Some(Need::Messages { after: 3, through: 4 }));
        assert_eq!(scene.filled(&page([4])), None);
        assert_eq!(scene.got, [2, 3, 4, 5, 6]);
        assert_eq!(scene.order.phase, Phase::Live);
    }

    #[test]
    fn what_retention_took_is_history_lost_and_the_order_goes_on() {
        let mut scene = Scene::live_at(1);
        scene.offer(EPOCH, 9);
        assert_eq!(scene.filled(&page(6..=8)), None);
        assert_eq!(scene.got, [6, 7, 8, 9]);
        scene.offer(EPOCH, 12);
        assert_eq!(scene.filled(&[]), None);
        assert_eq!(scene.got, [6, 7, 8, 9, 12]);
        // Nobody sees what is behind a hole before being told.
        assert_eq!(scene.ended, [(Code::HistoryLost, 0), (Code::HistoryLost, 4)]);
    }

    #[test]
    fn a_lost_last_message_is_found_by_the_heads() {
        let mut scene = Scene::live_at(4);
        assert_eq!(scene.order.compare(Position { epoch: EPOCH, sequence: 4 }), None);
        assert_eq!(scene.order.compare(Position { epoch: EPOCH, sequence: 6 }), Some(Need::Messages { after: 4, through: 6 }));
        assert_eq!(scene.filled(&page(5..=6)), None);
        assert_eq!(scene.got, [5, 6]);
    }

    #[test]
    fn a_stray_epoch_is_dropped_if_the_store_disagrees() {
        let mut scene = Scene::live_at(4);
        assert_eq!(scene.offer(Epoch(1), 5), Some(Need::Head));
        assert_eq!(scene.offer(EPOCH, 5), None);
        assert_eq!(scene.settle(EPOCH, 5), None);
        assert_eq!(scene.ended, []);
        assert_eq!(scene.got, [5]);
    }

    #[test]
    fn a_new_epoch_that_the_store_confirms_begins_anew() {
        let mut scene = Scene::live_at(40);
        assert_eq!(scene.offer(Epoch(8), 3), Some(Need::Head));
        assert_eq!(scene.offer(Epoch(8), 4), None);
        assert_eq!(scene.settle(Epoch(8), 3), None);
        assert_eq!(scene.ended, [(Code::PositionLost, 0)]);
        assert_eq!(scene.got, [4]);
        assert_eq!(scene.order.position(), Some(Position { epoch: Epoch(8), sequence: 4 }));
    }

    #[test]
    fn no_more_than_so_many_records_are_held() {
        let mut scene = Scene::live_at(0);
        let many = MAX_HELD as u64 + 500;
        assert_eq!(scene.offer(EPOCH, 2), Some(Need::Messages { after: 0, through: 1 }));
        for sequence in 3..=many {
            scene.offer(EPOCH, sequence);
        }
        assert_eq!(scene.order.held.len(), MAX_HELD);
        let held_to = MAX_HELD as u64 + 1;
        assert_eq!(scene.filled(&page([1])), Some(Need::Messages { after: held_to, through: many }));
        assert_eq!(scene.filled(&page(held_to + 1..=many)), None);
        assert_eq!(scene.got, (1..=many).collect::<Vec<_>>());
    }

    #[test]
    fn the_ring_gives_the_last_messages_only_if_it_has_all() {
        let mut scene = Scene::live_at(0);
        scene.order.keep_ring(true);
        for sequence in 1..=(RING as u64 + 10) {
            scene.offer(EPOCH, sequence);
        }
        assert!(scene.order.ring_after(9).is_none());
        assert_eq!(scene.order.ring_after(10).unwrap().count(), RING);
        assert_eq!(scene.order.ring_after(RING as u64 + 10).unwrap().count(), 0);
        assert!(scene.order.ring_after(RING as u64 + 11).is_none());
    }

    proptest! {
        /// At least once, in any order, with losses: what comes out is every sequence once, in order.
        #[test]
        fn whatever_the_bus_does_the_edge_makes_it_once_and_in_order(
            records in prop::collection::vec(1_u64..=60, 0..200), head in 0_u64..10, page_size in 1_usize..20
        ) {
            let mut scene = Scene::live_at(head);
            let newest = records.iter().copied().max().unwrap_or(0).max(head);
            for sequence in records {
                let mut need = scene.offer(EPOCH, sequence);
                while let Some(Need::Messages { after, through }) = need {
                    need = scene.filled(&page((after + 1..=through).take(page_size)));
                }
            }
            prop_assert_eq!(scene.got, (head + 1..=newest).collect::<Vec<_>>());
        }
    }
}
