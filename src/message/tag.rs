//! What all deliveries for one subscription share.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

/// How a subscriber acknowledges (STOMP 1.2, SUBSCRIBE `ack` header).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    #[default]
    Auto,
    /// An ACK covers all messages of the subscription up to its own.
    Client,
    ClientIndividual,
}

/// One subscription of one session, as those see it who deliver to it.
#[derive(Debug)]
pub struct Tag {
    /// The client's id of the subscription.
    pub id: Box<str>,
    /// `MESSAGE\nsubscription:<id>\n`, escaped once for the session's STOMP version.
    pub head: Bytes,
    pub ack: AckMode,
    ended: AtomicBool,
}

impl Tag {
    pub fn new(id: impl Into<Box<str>>, head: Bytes, ack: AckMode) -> Self {
        Self { id: id.into(), head, ack, ended: AtomicBool::new(false) }
    }

    /// From now on nothing is delivered to this subscription, not even what waits in the outbox.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
