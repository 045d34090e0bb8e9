//! The subscriptions of one session.

use std::sync::Arc;

use super::acknowledgement::{AckId, Named, Window};
use super::error::ProtocolError;
use crate::message::{AckMode, Message, SubscribeTo, Tag};

/// Where a session listens for what is refused under `refusals = "notify"`: the `/queue/…` part of its own queue.
const ERRORS: &str = "/queue/errors";

#[derive(Debug)]
struct Subscription {
    serial: u64,
    to: SubscribeTo,
    tag: Arc<Tag>,
    /// Somebody granted it.
    live: bool,
    window: Window,
}

/// In the order they were made. There are few, so looking through them costs less than a map of them would.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    entries: Vec<Subscription>,
    /// The serial of the newest, which outlives it.
    newest: u64,
}

/// What became of a wish for a subscription.
#[derive(Debug)]
pub(super) enum Added {
    New,
    /// It is there already, under this tag.
    Known(Arc<Tag>),
}

/// What an ACK or NACK released.
#[derive(Debug, Default)]
pub(super) struct Released {
    pub(super) answered: u64,
    pub(super) due: Vec<(Arc<Message>, Arc<Tag>, AckId)>,
}

impl Subscriptions {
    /// The same id for the same destination is no new subscription, whatever else its frame says.
    pub(super) fn add(&mut self, to: &SubscribeTo, tag: &Arc<Tag>, limit: usize) -> Result<Added, ProtocolError> {
        // What others ended (a right withdrawn, a destination closed) is gone for the client too.
        self.entries.retain(|entry| !entry.tag.is_ended());
        match self.entries.iter().find(|entry| entry.tag.id == tag.id) {
            Some(known) if known.to == *to => return Ok(Added::Known(Arc::clone(&known.tag))),
            Some(_) => return Err(ProtocolError::DuplicateSubscription),
            None if self.entries.len() >= limit => return Err(ProtocolError::TooManySubscriptions(limit)),
            None => {}
        }
        self.newest += 1;
        let entry = Subscription { serial: self.newest, to: to.clone(), tag: Arc::clone(tag), live: false, window: Window::default() };
        self.entries.push(entry);
        Ok(Added::New)
    }

    pub(super) fn granted(&mut self, tag: &Arc<Tag>) {
        if let Some(entry) = self.entry(tag) {
            entry.live = true;
        }
    }

    /// Ends a subscription that was refused.
    pub(super) fn refused(&mut self, tag: &Arc<Tag>) {
        tag.end();
        self.entries.retain(|entry| !Arc::ptr_eq(&entry.tag, tag));
    }

    /// Ends a subscription that lost its right; whether it was there.
    pub(super) fn withdraw(&mut self, tag: &Arc<Tag>) -> bool {
        let is_there = self.entry(tag).is_some();
        self.refused(tag);
        is_there
    }

    /// Ends the subscription with this id, with all that is held for it.
    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Tag>> {
        let index = self.entries.iter().position(|entry| *entry.tag.id == *id)?;
        let tag = self.entries.remove(index).tag;
        tag.end();
        Some(tag)
    }

    /// Ends all of them with their session, so that those who deliver need not first learn of its end.
    pub(super) fn end(&self) {
        self.entries.iter().for_each(|entry| entry.tag.end());
    }

    /// STOMP 1.0 may name a subscription by its destination.
    pub(super) fn id_of(&self, to: &SubscribeTo) -> Option<Box<str>> {
        self.entries.iter().find(|entry| entry.to == *to).map(|entry| entry.tag.id.clone())
    }

    pub(super) fn track(&mut self, message: &Arc<Message>, tag: &Arc<Tag>, limit: usize) -> Option<AckId> {
        let entry = self.entry(tag)?;
        let number = entry.window.track(message, limit)?;
        Some(AckId { serial: entry.serial, number })
    }

    /// Bytes that full windows hold back, for subscriptions that still want them.
    pub(super) fn held_bytes(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.tag.is_ended()).map(|entry| entry.window.held_bytes()).sum()
    }

    /// ACK and NACK: releases what the frame names, and whatever now finds room.
    pub(super) fn answer(&mut self, named: &Named<'_>, limit: usize) -> Result<Released, ProtocolError> {
        let (entry, answered) = match *named {
            Named::Delivery(AckId { serial, number }) => match self.entries.iter_mut().find(|entry| entry.serial == serial) {
                Some(entry) => {
                    let answered = entry.window.answer(number, entry.tag.ack)?;
                    (entry, answered)
                }
                // Its subscription is gone, and its deliveries with it.
                None if (1..=self.newest).contains(&serial) && number > 0 => return Ok(Released::default()),
                None => return Err(ProtocolError::UnknownAck),
            },
            Named::Message(id, subscription) => {
                let mut entries = self.entries.iter_mut().filter(|entry| subscription.is_none_or(|wanted| *entry.tag.id == *wanted));
                let found = entries.find_map(|entry| entry.window.answer_message(id, entry.tag.ack).map(|answered| (entry, answered)));
                let Some(found) = found else { return Ok(Released::default()) };
                found
            }
        };
        let due = if entry.tag.is_ended() { Vec::new() } else { entry.window.refill(limit) };
        let serial = entry.serial;
        let due = due.into_iter().map(|(message, number)| (message, Arc::clone(&entry.tag), AckId { serial, number })).collect();
        Ok(Released { answered, due })
    }

    /// The subscription that hears of refusals, and the ack id of the next notice if it wants one.
    /// A notice is never held back: it is what a client waits for.
    pub(super) fn errors(&mut self) -> Option<(Arc<Tag>, Option<AckId>)> {
        let hears = |entry: &&mut Subscription| {
            entry.live && !entry.tag.is_ended() && matches!(&entry.to, SubscribeTo::OwnQueue(queue) if queue.as_str() == ERRORS)
        };
        let entry = self.entries.iter_mut().find(hears)?;
        let ack = (entry.tag.ack != AckMode::Auto).then(|| AckId { serial: entry.serial, number: entry.window.untracked() });
        Some((Arc::clone(&entry.tag), ack))
    }

    fn entry(&mut self, tag: &Arc<Tag>) -> Option<&mut Subscription> {
        self.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.tag, tag))
    }
}
