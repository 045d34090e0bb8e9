//! The client behind a request: who it is, how it came in, and what it is subscribed to.

use std::sync::Arc;

use crate::broker::Outbox;
use crate::edge::Edge;
use crate::message::{Destination, Pattern, Tag, User};

/// What the HTTP handshake brought that may prove who it is. Never logged.
#[derive(Default)]
pub struct Handshake {
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The value of the cookie that the settings name.
    pub cookie: Option<String>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Handshake").finish_non_exhaustive()
    }
}

/// One client. When it is dropped, its subscriptions end.
#[derive(Debug)]
pub struct Caller {
    /// The public id of its session.
    pub session: Arc<str>,
    pub handshake: Handshake,
    /// Once CONNECT was accepted.
    pub user: Option<Arc<User>>,
    pub outbox: Arc<Outbox>,
    edge: Edge,
    joined: Vec<(Place, Arc<Tag>)>,
}

/// Where a subscription stands.
#[derive(Debug)]
pub(super) enum Place {
    Destination(Destination),
    Pattern(Pattern),
}

impl Caller {
    pub(super) fn new(session: Arc<str>, handshake: Handshake, outbox: Arc<Outbox>, edge: Edge) -> Self {
        Self { session, handshake, user: None, outbox, edge, joined: Vec::new() }
    }

    /// Notes a subscription, before it can be joined, so that it is left whatever happens.
    pub(super) fn join(&mut self, place: Place, tag: &Arc<Tag>) {
        self.joined.push((place, Arc::clone(tag)));
    }

    pub(super) fn leave(&mut self, tag: &Arc<Tag>) {
        if let Some(index) = self.joined.iter().position(|(_, joined)| Arc::ptr_eq(joined, tag)) {
            let (place, tag) = self.joined.swap_remove(index);
            leave(&self.edge, &place, &tag);
        }
    }
}

fn leave(edge: &Edge, place: &Place, tag: &Arc<Tag>) {
    match place {
        Place::Destination(destination) => edge.leave(destination, tag),
        Place::Pattern(pattern) => edge.leave_pattern(pattern, tag),
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        for (place, tag) in self.joined.drain(..) {
            leave(&self.edge, &place, &tag);
        }
    }
}
