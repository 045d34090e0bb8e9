//! Who is subscribed to what on this node: destinations by name, wildcards by pattern.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Subscriber, SubscriberList};
use crate::message::{Destination, Message, Pattern, Refusal, Tag};

/// This node's subscriptions. A destination or pattern without subscribers costs nothing.
#[derive(Debug, Default)]
pub struct SubscriptionRegistry {
    destinations: RwLock<HashMap<Destination, Arc<SubscriberList>>>,
    /// Subscribers with the same pattern share an entry.
    patterns: RwLock<HashMap<Pattern, Arc<SubscriberList>>>,
}

impl SubscriptionRegistry {
    /// Adds a subscriber to a destination, unless it has ended; `first` as in [`SubscriberList::add`].
    pub fn add(&self, destination: &Destination, subscriber: Subscriber, first: impl FnOnce(&Subscriber)) {
        add_to(&mut self.destinations.write(), destination, subscriber, first);
    }

    pub fn add_pattern(&self, pattern: &Pattern, subscriber: Subscriber, first: impl FnOnce(&Subscriber)) {
        add_to(&mut self.patterns.write(), pattern, subscriber, first);
    }

    pub fn remove(&self, destination: &Destination, tag: &Arc<Tag>) {
        remove_from(&mut self.destinations.write(), destination, tag);
    }

    pub fn remove_pattern(&self, pattern: &Pattern, tag: &Arc<Tag>) {
        remove_from(&mut self.patterns.write(), pattern, tag);
    }

    /// Whether anyone subscribed to this destination by its name.
    pub fn has(&self, destination: &Destination) -> bool {
        self.destinations.read().contains_key(destination)
    }

    /// Whether a message for this destination has anyone to go to.
    pub fn wants(&self, destination: &Destination) -> bool {
        self.destinations.read().contains_key(destination) || self.patterns.read().keys().any(|pattern| pattern.matches(destination))
    }

    /// The same for a text that may be a destination; it is looked at closely only if there are patterns.
    pub fn wants_key(&self, key: &str) -> bool {
        if self.destinations.read().contains_key(key) {
            return true;
        }
        let patterns = self.patterns.read();
        !patterns.is_empty()
            && Destination::from_record(key).is_ok_and(|destination| patterns.keys().any(|pattern| pattern.matches(&destination)))
    }

    /// A slot into the outbox of every subscriber. Callers for one destination take turns.
    pub fn deliver(&self, message: &Arc<Message>) {
        for list in self.lists(&message.destination) {
            list.deliver(message);
        }
    }

    /// The same, but only to those who subscribed to a pattern.
    pub fn deliver_to_patterns(&self, message: &Arc<Message>) {
        let lists: Vec<_> = self.pattern_lists(&message.destination);
        for list in lists {
            list.deliver(message);
        }
    }

    /// Ends the sessions of all who subscribed to this destination by its name.
    pub fn end_all(&self, destination: &Destination, reason: &Refusal) {
        let list = self.destinations.read().get(destination).cloned();
        if let Some(list) = list {
            list.end_all(reason);
        }
    }

    /// Ends the sessions of all who subscribed to a pattern that fits this destination.
    pub fn end_all_by_pattern(&self, destination: &Destination, reason: &Refusal) {
        let lists: Vec<_> = {
            let patterns = self.patterns.read();
            patterns.iter().filter(|(pattern, _)| pattern.matches(destination)).map(|(_, list)| Arc::clone(list)).collect()
        };
        for list in lists {
            list.end_all(reason);
        }
    }

    /// The subscribers of a destination, by name and by pattern.
    pub fn lists(&self, destination: &Destination) -> Vec<Arc<SubscriberList>> {
        let mut lists: Vec<_> = self.destinations.read().get(destination).cloned().into_iter().collect();
        lists.extend(self.pattern_lists(destination));
        lists
    }

    fn pattern_lists(&self, destination: &Destination) -> Vec<Arc<SubscriberList>> {
        let patterns = self.patterns.read();
        patterns.iter().filter(|(pattern, _)| pattern.matches(destination)).map(|(_, list)| Arc::clone(list)).collect()
    }
}

/// Under the map's lock, so that nobody removes the list as empty in between; nor the subscriber before it is there: who
/// leaves ends the tag and then waits for this lock.
fn add_to<Key: std::hash::Hash + Eq + Clone>(
    lists: &mut HashMap<Key, Arc<SubscriberList>>,
    key: &Key,
    subscriber: Subscriber,
    first: impl FnOnce(&Subscriber),
) {
    if !subscriber.tag.is_ended() {
        lists.entry(key.clone()).or_default().add(subscriber, first);
    }
}

fn remove_from<Key: std::hash::Hash + Eq>(lists: &mut HashMap<Key, Arc<SubscriberList>>, key: &Key, tag: &Arc<Tag>) {
    if let Some(list) = lists.get(key) {
        list.remove(tag);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::{Outbox, OutboxSettings};
    use crate::message::{AckMode, Code};

    #[test]
    fn those_by_pattern_are_ended_apart_from_those_by_name() {
        let registry = SubscriptionRegistry::default();
        let destination = Destination::parse("/topic/a.1").unwrap();
        let subscriber = |id: &str| Subscriber {
            outbox: Arc::new(Outbox::new(OutboxSettings::default())),
            tag: Arc::new(Tag::new(id, Bytes::new(), AckMode::Auto)),
        };
        let (by_name, fitting, other) = (subscriber("1"), subscriber("2"), subscriber("3"));
        registry.add(&destination, by_name.clone(), |_| ());
        registry.add_pattern(&Pattern::parse("/topic/a.*").unwrap(), fitting.clone(), |_| ());
        registry.add_pattern(&Pattern::parse("/topic/b.*").unwrap(), other.clone(), |_| ());
        registry.end_all_by_pattern(&destination, &Refusal::new(Code::HistoryLost));
        let ended = |subscriber: &Subscriber| {
            let mut taken = Vec::new();
            subscriber.outbox.take(&mut taken)
        };
        assert_eq!([ended(&by_name), ended(&fitting), ended(&other)], [false, true, false]);
    }

    #[test]
    fn nothing_stays_when_the_last_subscriber_left() {
        let registry = SubscriptionRegistry::default();
        let destination = Destination::parse("/topic/a").unwrap();
        let pattern = Pattern::parse("/topic/*").unwrap();
        let subscriber = Subscriber {
            outbox: Arc::new(Outbox::new(OutboxSettings::default())),
            tag: Arc::new(Tag::new("1", Bytes::new(), AckMode::Auto)),
        };
        registry.add(&destination, subscriber.clone(), |_| ());
        registry.add_pattern(&pattern, subscriber.clone(), |_| ());
        assert_eq!(registry.lists(&destination).len(), 2);
        registry.remove(&destination, &subscriber.tag);
        assert!(registry.wants(&destination));
        registry.remove_pattern(&pattern, &subscriber.tag);
        assert!(!registry.wants(&destination));
        assert!(registry.destinations.read().is_empty() && registry.patterns.read().is_empty());
        // Its replay may be about to make it live just when it leaves.
        subscriber.tag.end();
        registry.add(&destination, subscriber.clone(), |_| panic!("answered"));
        registry.add_pattern(&pattern, subscriber, |_| panic!("answered"));
        assert!(registry.destinations.read().is_empty() && registry.patterns.read().is_empty());
    }
}
