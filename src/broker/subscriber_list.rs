//! The subscribers of one destination: read without a lock by whoever delivers, changed by copying one chunk.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{Outbox, Slot};
use crate::message::{AckMode, Message, Refusal, Tag};

/// One subscription and the way to its client.
#[derive(Debug, Clone)]
pub struct Subscriber {
    pub outbox: Arc<Outbox>,
    pub tag: Arc<Tag>,
}

/// A change copies at most this many subscribers, however many there are.
const CHUNK: usize = 256;

type Chunk = Arc<[Subscriber]>;

/// All subscribers of one destination or one pattern on this node.
#[derive(Debug, Default)]
pub struct SubscriberList {
    chunks: ArcSwap<Vec<Chunk>>,
    /// Held by whoever changes the list.
    changing: Mutex<()>,
}

impl SubscriberList {
    /// Adds a subscriber; `first` runs after every delivery that misses it was begun and before one that meets it.
    pub fn add(&self, subscriber: Subscriber, first: impl FnOnce(&Subscriber)) {
        let _changing = self.changing.lock();
        first(&subscriber);
        let mut chunks = self.chunks.load().as_ref().clone();
        match chunks.iter_mut().find(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => *chunk = chunk.iter().cloned().chain([subscriber]).collect(),
            None => chunks.push([subscriber].into()),
        }
        self.chunks.store(Arc::new(chunks));
    }

    /// Removes the subscriber with this tag, if it is there.
    pub fn remove(&self, tag: &Arc<Tag>) {
        let _changing = self.changing.lock();
        let old = self.chunks.load();
        let position = old.iter().enumerate().find_map(|(index, chunk)| {
            let found = chunk.iter().position(|subscriber| Arc::ptr_eq(&subscriber.tag, tag))?;
            Some((index, found))
        });
        let Some((index, found)) = position else { return };
        let mut chunks = old.as_ref().clone();
        if chunks[index].len() == 1 {
            chunks.swap_remove(index);
        } else {
            chunks[index] =
                chunks[index].iter().enumerate().filter(|(other, _)| *other != found).map(|(_, subscriber)| subscriber.clone()).collect();
        }
        self.chunks.store(Arc::new(chunks));
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.load().is_empty()
    }

    pub fn len(&self) -> usize {
        self.chunks.load().iter().map(|chunk| chunk.len()).sum()
    }

    /// A slot into each subscriber's outbox. Callers for one destination take turns, so that all outboxes get the
    /// same order.
    pub fn deliver(&self, message: &Arc<Message>) {
        let size = message.size();
        for chunk in self.chunks.load().iter() {
            for subscriber in chunk.iter() {
                subscriber.deliver(message, size);
            }
        }
    }

    /// Ends the sessions of all subscribers for this reason.
    pub fn end_all(&self, reason: &Refusal) {
        for chunk in self.chunks.load().iter() {
            for subscriber in chunk.iter().filter(|subscriber| !subscriber.tag.is_ended()) {
                subscriber.outbox.answer(Slot::End(reason.clone()));
            }
        }
    }
}

impl Subscriber {
    /// `size` is the message's, reckoned once for all subscribers.
    pub fn deliver(&self, message: &Arc<Message>, size: usize) {
        if self.tag.is_ended() {
            return;
        }
        let (message, tag) = (Arc::clone(message), Arc::clone(&self.tag));
        let slot = if tag.ack == AckMode::Auto { Slot::Auto(message, tag) } else { Slot::Tracked(message, tag) };
        self.outbox.deliver(slot, size);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::OutboxSettings;

    fn subscriber(id: usize) -> Subscriber {
        Subscriber {
            outbox: Arc::new(Outbox::new(OutboxSettings::default())),
            tag: Arc::new(Tag::new(id.to_string(), Bytes::new(), AckMode::Auto)),
        }
    }

    #[test]
    fn a_list_holds_what_was_added_and_not_removed() {
        let list = SubscriberList::default();
        let all: Vec<_> = (0..1000).map(subscriber).collect();
        for one in &all {
            list.add(one.clone(), |_| ());
        }
        assert_eq!(list.len(), 1000);
        assert!(list.chunks.load().iter().all(|chunk| chunk.len() <= CHUNK));
        for one in all.iter().step_by(2) {
            list.remove(&one.tag);
        }
        list.remove(&all[0].tag);
        assert_eq!(list.len(), 500);
        for one in &all {
            list.remove(&one.tag);
        }
        assert!(list.is_empty());
    }
}
