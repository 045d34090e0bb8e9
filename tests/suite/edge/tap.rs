//! A subscriber without a socket: what its client would see, in order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use footfall::broker::{Outbox, OutboxSettings, Slot};
use footfall::edge::{Edge, Joined, Joiner, Start};
use footfall::message::{AckMode, Code, Destination, Outcome, Pattern, Position, Refusal, Tag, Ticket};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::world::PATIENCE;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Receipt { position: Option<Position>, recovered: Option<bool> },
    Message { destination: Destination, position: Position, id: Uuid },
    Ended(Code),
}

pub(super) struct Tap {
    pub(super) outbox: Arc<Outbox>,
    pub(super) tag: Arc<Tag>,
    taken: std::collections::VecDeque<Seen>,
    replay: Option<JoinHandle<()>>,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self::with(OutboxSettings::default())
    }

    pub(super) fn with(settings: OutboxSettings) -> Self {
        let tag = Arc::new(Tag::new("0", Bytes::from_static(b"MESSAGE\nsubscription:0\n"), AckMode::Auto));
        Self { outbox: Arc::new(Outbox::new(settings)), tag, taken: std::collections::VecDeque::new(), replay: None }
    }

    fn joiner(&self, receipt: bool) -> Joiner {
        Joiner { outbox: Arc::clone(&self.outbox), tag: Arc::clone(&self.tag), ticket: Ticket(1), receipt }
    }

    pub(super) async fn try_join(&mut self, edge: &Edge, destination: &Destination, start: Start, receipt: bool) -> Result<(), Refusal> {
        match edge.join(destination, self.joiner(receipt), start).await? {
            Joined::Live => {}
            #[expect(clippy::disallowed_methods, reason = "what a connection would poll")]
            Joined::CatchingUp(replay) => self.replay = Some(tokio::spawn(replay)),
        }
        Ok(())
    }

    pub(super) async fn join(edge: &Edge, destination: &Destination, start: Start) -> Self {
        let mut tap = Self::new();
        tap.try_join(edge, destination, start, true).await.unwrap();
        tap
    }

    pub(super) fn join_pattern(edge: &Edge, pattern: &Pattern) -> Self {
        let tap = Self::new();
        edge.join_pattern(pattern, &tap.joiner(true));
        tap
    }

    /// The next thing that its client sees. Nothing comes after an end.
    pub(super) async fn next(&mut self) -> Seen {
        let next = poll_fn(|context| {
            self.outbox.register(context.waker());
            self.take();
            self.taken.pop_front().map_or(Poll::Pending, Poll::Ready)
        });
        timeout(PATIENCE, next).await.expect("something to come")
    }

    /// What is there now.
    pub(super) fn now(&mut self) -> Vec<Seen> {
        self.take();
        self.taken.drain(..).collect()
    }

    fn take(&mut self) {
        let mut slots = Vec::new();
        self.outbox.take(&mut slots);
        let mut released = 0;
        for slot in slots {
            match slot {
                Slot::Auto(message, _) | Slot::Tracked(message, _) => {
                    released += message.size();
                    let (destination, position) = (message.destination.clone(), message.position.unwrap());
                    self.taken.push_back(Seen::Message { destination, position, id: message.id });
                }
                Slot::Answer(_, Outcome::Subscribed { position, recovered }) => self.taken.push_back(Seen::Receipt { position, recovered }),
                Slot::End(refusal) => self.taken.push_back(Seen::Ended(refusal.code)),
                other => panic!("{other:?} is for nobody here"),
            }
        }
        self.outbox.release(released);
    }

    /// Whether its client has got this sequence by now.
    pub(super) fn has_seen(&mut self, head: u64) -> bool {
        self.now().iter().any(|seen| matches!(seen, Seen::Message { position, .. } if position.sequence == head))
    }

    /// Sequences and ids of messages, up to this sequence, and the RECEIPT with how many messages came before it.
    pub(super) async fn read_to(&mut self, head: u64) -> Story {
        let mut story = Story::default();
        while story.receipt.is_none() || story.last() < head {
            match self.next().await {
                Seen::Message { position, id, .. } => story.messages.push((position.sequence, id)),
                Seen::Receipt { position, recovered } => {
                    assert!(story.receipt.is_none(), "a second RECEIPT");
                    story.start = position.map(|position| position.sequence);
                    story.receipt = Some((story.messages.len(), recovered));
                }
                Seen::Ended(code) => panic!("{code} after {story:?}"),
            }
        }
        story
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(replay) = &self.replay {
            replay.abort();
        }
        self.outbox.close();
    }
}

/// What a subscriber saw.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) messages: Vec<(u64, Uuid)>,
    /// After how many messages it came, and `recovered`.
    pub(super) receipt: Option<(usize, Option<bool>)>,
    /// The sequence that the RECEIPT named.
    pub(super) start: Option<u64>,
}

impl Story {
    fn last(&self) -> u64 {
        self.messages.last().map(|(sequence, _)| *sequence).or(self.start).unwrap_or_default()
    }

    /// The same for one that began live.
    pub(super) fn check_from_start(&self, truth: &[Uuid]) {
        self.check(self.start.unwrap(), truth);
    }

    /// Everything after `from`, once and in order, as the store has it; and a RECEIPT at the place that it names.
    pub(super) fn check(&self, from: u64, truth: &[Uuid]) {
        let due: Vec<_> = (from + 1..).zip(truth.iter().copied().skip(usize::try_from(from).unwrap())).collect();
        assert_eq!(self.messages, due, "after {from}");
        let (before, _) = self.receipt.unwrap();
        assert_eq!(self.start, Some(from + before as u64), "the RECEIPT names another place than its own");
    }
}
