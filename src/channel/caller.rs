//! The client behind a request: who it is, how it came in, and what it is subscribed to.

use std::sync::Arc;

use crate::admission::Stay;
use crate::broker::Outbox;
use crate::edge::Edge;
use crate::login::{Claim, Membership};
use crate::message::{Destination, Pattern, Refusal, SubscribeTo, Tag, User};

/// What the HTTP handshake brought that may prove who it is. Never logged.
#[derive(Default)]
pub struct Handshake {
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The value of the cookie that the settings name.
    pub cookie: Option<String>,
    /// The login session that the session cookie stands for.
    pub login: Option<Claim>,
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
    /// The public id by which others tell this client's messages: its login session's, or else its session's.
    pub sender_session: Arc<str>,
    pub handshake: Handshake,
    /// Once CONNECT was accepted.
    pub user: Option<Arc<User>>,
    pub outbox: Arc<Outbox>,
    /// What says that it may stay; from CONNECT on.
    pub(super) stay: Option<Stay>,
    membership: Option<Membership>,
    edge: Edge,
    joined: Vec<Joined>,
}

/// A subscription, and what was asked for, so that it can be judged again.
#[derive(Debug)]
struct Joined {
    to: SubscribeTo,
    place: Place,
    tag: Arc<Tag>,
}

/// Where a subscription stands.
#[derive(Debug)]
pub(super) enum Place {
    Destination(Destination),
    Pattern(Pattern),
}

impl Caller {
    pub(super) fn new(session: Arc<str>, handshake: Handshake, outbox: Arc<Outbox>, edge: Edge) -> Self {
        let sender_session = Arc::clone(&session);
        Self { session, sender_session, handshake, user: None, outbox, stay: None, membership: None, edge, joined: Vec::new() }
    }

    /// From now on it belongs to a login session, for as long as it lives.
    pub(super) fn belong(&mut self, membership: Membership) {
        self.sender_session = Arc::clone(membership.public_id());
        self.membership = Some(membership);
    }

    /// Notes a subscription, before it can be joined, so that it is left whatever happens.
    pub(super) fn join(&mut self, to: &SubscribeTo, place: Place, tag: &Arc<Tag>) {
        self.joined.push(Joined { to: to.clone(), place, tag: Arc::clone(tag) });
    }

    pub(super) fn leave(&mut self, tag: &Arc<Tag>) {
        if let Some(index) = self.joined.iter().position(|joined| Arc::ptr_eq(&joined.tag, tag)) {
            let joined = self.joined.swap_remove(index);
            leave(&self.edge, &joined.place, &joined.tag);
        }
    }

    /// Leaves what `judge` refuses, and tells which that was.
    pub(super) fn leave_refused(&mut self, judge: impl Fn(&SubscribeTo) -> Option<Refusal>) -> Vec<(Arc<Tag>, Refusal)> {
        let refused = self.joined.iter().filter_map(|joined| judge(&joined.to).map(|refusal| (Arc::clone(&joined.tag), refusal)));
        let refused: Vec<_> = refused.collect();
        for (tag, _) in &refused {
            self.leave(tag);
        }
        refused
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
        for joined in self.joined.drain(..) {
            leave(&self.edge, &joined.place, &joined.tag);
        }
    }
}
