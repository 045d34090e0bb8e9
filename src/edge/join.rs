//! Joining: how a subscription becomes live at a known place, with what it missed before.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::Edge;
use super::gate::{Gate, Joining};
use crate::broker::{Outbox, Slot, Subscriber};
use crate::message::{Code, Destination, Epoch, Message, Outcome, Pattern, Position, Refusal, Tag, Ticket};
use crate::store::{Kept, PageLimit, StoreError};

/// At most so many messages are replayed to one subscription.
const MAX_REPLAY: u64 = 10_000;
/// How long a SUBSCRIBE waits for the head of a destination; more than the store's own limit, so it ends before.
const OPEN_WITHIN: Duration = Duration::from_secs(8);
/// A replay asks again this often while the store is away or the gate is behind, and gives up after so many times.
const RETRY: Duration = Duration::from_millis(500);
const MAX_RETRIES: u32 = 20;

/// A subscription on its way in.
#[derive(Debug, Clone)]
pub struct Joiner {
    pub outbox: Arc<Outbox>,
    pub tag: Arc<Tag>,
    pub ticket: Ticket,
    /// Whether the client will see the outcome.
    pub receipt: bool,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With whatever comes next.
    Now,
    /// With the newest so many.
    History(u32),
    /// With everything after this position.
    After(Position),
}

/// How far a subscription got.
pub enum Joined {
    /// It is live, and its answer is in the outbox.
    Live,
    /// It is being given what it missed, and becomes live at the end of this future, which the connection polls.
    CatchingUp(BoxFuture<'static, ()>),
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Live => "Live",
            Self::CatchingUp(_) => "CatchingUp",
        })
    }
}

/// What can be replayed.
#[derive(Debug, PartialEq, Eq)]
enum Replay {
    /// Everything after this sequence.
    From(u64),
    /// Not all that was asked for.
    Lost,
}

/// One attempt to become live.
enum Step {
    Live,
    /// The gate is there already; read up to this sequence.
    Behind(u64),
    /// The replay is ahead of the gate, which has not seen the newest record yet.
    Ahead,
    Renumbered,
}

impl Edge {
    /// Subscribes to a destination whose messages are not stored.
    pub fn join_transient(&self, destination: &Destination, joiner: &Joiner) {
        self.0.registry.add(destination, joiner.subscriber(), |_| joiner.answer(None, None));
    }

    /// Subscribes to a pattern. It has no position: its destinations begin with the first record that is seen.
    pub fn join_pattern(&self, pattern: &Pattern, joiner: &Joiner) {
        self.0.registry.add_pattern(pattern, joiner.subscriber(), |_| joiner.answer(None, None));
    }

    /// Subscribes to a destination whose messages are stored.
    pub async fn join(&self, destination: &Destination, joiner: Joiner, start: Start) -> Result<Joined, Refusal> {
        let gate = self.joining(destination);
        timeout(OPEN_WITHIN, gate.0.until(|order| !order.is_opening())).await.map_err(|_| Refusal::new(Code::StoreUnavailable))?;
        if start == Start::Now {
            self.join_live(&gate.0, &joiner, None);
            return Ok(Joined::Live);
        }
        let kept = self.0.store.kept(self.partition_of(destination), destination.clone()).await.map_err(|error| {
            tracing::warn!(%destination, %error, "what is kept can't be read");
            Refusal::new(Code::StoreUnavailable)
        })?;
        self.adopt(&gate.0, Position { epoch: kept.epoch, sequence: kept.head });
        match replay(start, kept) {
            Replay::From(sequence) => {
                gate.0.with(|order| order.keep_ring(true));
                let newest = if let Start::History(newest) = start { Some(newest) } else { None };
                Ok(Joined::CatchingUp(self.clone().catch_up(gate, joiner, kept.epoch, (sequence, newest)).boxed()))
            }
            Replay::Lost if joiner.receipt => {
                self.join_live(&gate.0, &joiner, Some(false));
                Ok(Joined::Live)
            }
            Replay::Lost => Err(Refusal::new(Code::PositionLost)),
        }
    }

    /// The gate of a destination, made and opened if need be, kept as long as the answer lives.
    fn joining(&self, destination: &Destination) -> Joining {
        if let Some(gate) = self.0.gates.read().get(destination) {
            return Joining::new(Arc::clone(gate));
        }
        let mut gates = self.0.gates.write();
        if let Some(gate) = gates.get(destination) {
            return Joining::new(Arc::clone(gate));
        }
        let gate = Arc::new(Gate::new(destination.clone()));
        let joining = Joining::new(Arc::clone(&gate));
        gates.insert(destination.clone(), Arc::clone(&gate));
        drop(gates);
        self.open(&gate);
        joining
    }

    fn join_live(&self, gate: &Gate, joiner: &Joiner, recovered: Option<bool>) {
        gate.with(|order| {
            let position = order.position();
            self.0.registry.add(&gate.destination, joiner.subscriber(), |_| joiner.answer(position, recovered));
        });
    }

    /// `newest` is how many a `history` asked for: of those, retention may take some before they are read.
    async fn catch_up(self, gate: Joining, joiner: Joiner, epoch: Epoch, (mut from, newest): (u64, Option<u32>)) {
        let mut last = from;
        let mut retries = 0;
        loop {
            // One replay of a client at a time puts a page in, and only when there is room for it.
            let turn = joiner.outbox.replaying.lock().await;
            joiner.outbox.below_low().await;
            if joiner.tag.is_ended() || joiner.outbox.is_closed() {
                // Whoever unsubscribed meanwhile still waits to hear how the SUBSCRIBE ended.
                joiner.answer(None, None);
                return;
            }
            let end = match self.step(&gate.0, &joiner, epoch, last) {
                Step::Live => return,
                // The store was renumbered and the gate has not heard of it: it asks, and then this goes on.
                Step::Renumbered if last == from && retries < MAX_RETRIES => {
                    self.read_what(&gate.0, gate.0.with(|order| order.compare(Position { epoch, sequence: last })));
                    retries += 1;
                    drop(turn);
                    let told = gate.0.until(|order| order.position().is_some_and(|position| position.epoch == epoch));
                    let _told_or_not = timeout(RETRY, told).await;
                    continue;
                }
                Step::Renumbered => Err(Code::PositionLost),
                Step::Behind(through) => match self.replay_page(&gate.0, &joiner, last, through).await {
                    Ok(reached) => {
                        (last, retries) = (reached, 0);
                        continue;
                    }
                    Err(Code::StoreUnavailable) => Ok(()),
                    Err(Code::HistoryLost) if last == from && retries < MAX_RETRIES && newest.is_some() => {
                        drop(turn);
                        if let Some(again) = self.newest_kept(&gate.0, epoch, newest.unwrap_or_default()).await {
                            (from, last) = (again, again);
                        }
                        retries += 1;
                        continue;
                    }
                    Err(code) => Err(code),
                },
                Step::Ahead => {
                    self.read_what(&gate.0, gate.0.with(|order| order.compare(Position { epoch, sequence: last })));
                    Ok(())
                }
            };
            retries += 1;
            let code = match end {
                Ok(()) if retries <= MAX_RETRIES => {
                    drop(turn);
                    let arrived =
                        gate.0.until(|order| order.position().is_some_and(|position| position.epoch != epoch || position.sequence > last));
                    // Also without any move it is worth another look: the store may be back.
                    let _moved_or_not = timeout(RETRY, arrived).await;
                    continue;
                }
                Ok(()) => Code::StoreUnavailable,
                Err(code) => code,
            };
            joiner.outbox.answer(Slot::End(Refusal::new(code)));
            return;
        }
    }

    /// Before which message the newest so many of a destination begin now.
    async fn newest_kept(&self, gate: &Gate, epoch: Epoch, newest: u32) -> Option<u64> {
        let kept = self.0.store.kept(self.partition_of(&gate.destination), gate.destination.clone()).await.ok()?;
        match replay(Start::History(newest), kept) {
            Replay::From(sequence) if kept.epoch == epoch => Some(sequence),
            _ => None,
        }
    }

    /// Becomes live if the rest is at hand.
    fn step(&self, gate: &Gate, joiner: &Joiner, epoch: Epoch, last: u64) -> Step {
        gate.with(|order| {
            let Some(position) = order.position() else { return Step::Ahead };
            if position.epoch != epoch {
                return Step::Renumbered;
            }
            if last > position.sequence {
                return Step::Ahead;
            }
            let rest: Vec<_> = match order.ring_after(last) {
                Some(rest) => rest.cloned().collect(),
                None => return Step::Behind(position.sequence),
            };
            let limit = joiner.page_limit();
            if rest.len() > limit.messages || rest.iter().map(|message| message.size()).sum::<usize>() > limit.bytes {
                return Step::Behind(position.sequence);
            }
            joiner.deliver(&rest);
            self.0.registry.add(&gate.destination, joiner.subscriber(), |_| joiner.answer(Some(position), Some(true)));
            // Whoever ended it just now is the next to look, and answers.
            if joiner.tag.is_ended() { Step::Ahead } else { Step::Live }
        })
    }

    async fn replay_page(&self, gate: &Gate, joiner: &Joiner, last: u64, through: u64) -> Result<u64, Code> {
        let partition = self.partition_of(&gate.destination);
        let page = self.0.store.page(partition, gate.destination.clone(), last, through, joiner.page_limit()).await.map_err(
            |error: StoreError| {
                tracing::warn!(destination = %gate.destination, %error, "a page of a replay can't be read yet");
                Code::StoreUnavailable
            },
        )?;
        let whole = page.iter().zip(last + 1..).all(|(message, due)| message.position.is_some_and(|position| position.sequence == due));
        if page.is_empty() || !whole {
            return Err(Code::HistoryLost);
        }
        joiner.deliver(&page);
        Ok(last + page.len() as u64)
    }
}

impl Joiner {
    fn subscriber(&self) -> Subscriber {
        Subscriber { outbox: Arc::clone(&self.outbox), tag: Arc::clone(&self.tag) }
    }

    /// No more than the outbox has room for, above its low mark and beside what is live.
    fn page_limit(&self) -> PageLimit {
        let room = self.outbox.page();
        let heads = room / 4 / self.tag.head.len().max(1);
        PageLimit { messages: PageLimit::REPLAY.messages.min(heads.max(1)), bytes: PageLimit::REPLAY.bytes.min(room) }
    }

    fn answer(&self, position: Option<Position>, recovered: Option<bool>) {
        self.outbox.answer(Slot::Answer(self.ticket, Outcome::Subscribed { position, recovered }));
    }

    fn deliver(&self, messages: &[Arc<Message>]) {
        let subscriber = self.subscriber();
        for message in messages {
            subscriber.deliver(message, message.size());
        }
    }
}

/// One read decides: what was asked for is there as a whole, or it is lost.
fn replay(start: Start, kept: Kept) -> Replay {
    match start {
        Start::Now => Replay::From(kept.head),
        Start::History(newest) => {
            let available = (kept.head + 1).saturating_sub(kept.first);
            Replay::From(kept.head - available.min(newest.into()).min(MAX_REPLAY))
        }
        Start::After(position) => {
            let there = position.epoch == kept.epoch
                && (position.sequence == kept.head
                    || (position.sequence < kept.head
                        && position.sequence + 1 >= kept.first
                        && kept.head - position.sequence <= MAX_REPLAY));
            if there { Replay::From(position.sequence) } else { Replay::Lost }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_recoverable_if_all_after_it_is_kept() {
        let kept = Kept { epoch: Epoch(1), head: 20_000, first: 9_000 };
        let after = |epoch, sequence| replay(Start::After(Position { epoch: Epoch(epoch), sequence }), kept);
        assert_eq!(after(1, 20_000), Replay::From(20_000));
        assert_eq!(after(1, 19_000), Replay::From(19_000));
        assert_eq!(after(1, 10_000), Replay::From(10_000));
        for lost in [after(1, 9_999), after(1, 20_001), after(2, 20_000), after(1, 0)] {
            assert_eq!(lost, Replay::Lost);
        }
        let trimmed = Kept { first: 19_999, ..kept };
        assert_eq!(replay(Start::After(Position { epoch: Epoch(1), sequence: 19_998 }), trimmed), Replay::From(19_998));
        assert_eq!(replay(Start::After(Position { epoch: Epoch(1), sequence: 19_997 }), trimmed), Replay::Lost);
    }

    #[test]
    fn history_gives_what_there_is() {
        let kept = Kept { epoch: Epoch(1), head: 50, first: 41 };
        assert_eq!(replay(Start::History(5), kept), Replay::From(45));
        assert_eq!(replay(Start::History(10), kept), Replay::From(40));
        assert_eq!(replay(Start::History(1000), kept), Replay::From(40));
        assert_eq!(replay(Start::History(0), kept), Replay::From(50));
        let empty = Kept { epoch: Epoch(1), head: 0, first: 1 };
        assert_eq!(replay(Start::History(5), empty), Replay::From(0));
        assert_eq!(replay(Start::After(Position { epoch: Epoch(1), sequence: 0 }), empty), Replay::From(0));
    }
}
