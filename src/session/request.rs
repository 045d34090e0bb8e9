//! What a client asks of the broker once its frame was parsed and is legal in the session's state.

use std::sync::Arc;

use bytes::Bytes;
use stomp_frames::Text;

use crate::message::{ClientHeaders, Position, SendTo, SubscribeTo, Tag, Ticket};

/// A request that someone else must decide; the session waits for the outcome under its ticket.
#[derive(Debug)]
pub enum Request {
    Connect(Connect),
    Send(Ticket, Send),
    Subscribe(Ticket, Subscribe),
    Unsubscribe(Ticket, Arc<Tag>),
}

/// What CONNECT brings to prove who it is. Never logged.
pub struct Connect {
    pub authorization: Option<Text>,
    pub passcode: Option<Text>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connect").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Send {
    pub to: SendTo,
    pub content_type: Option<Arc<str>>,
    /// The client's own headers; what footfall reserves is not among them.
    pub headers: ClientHeaders,
    pub idempotency_key: Option<Text>,
    pub body: Bytes,
}

#[derive(Debug)]
pub struct Subscribe {
    pub to: SubscribeTo,
    pub from: From,
    pub tag: Arc<Tag>,
    /// Whether the client will see the outcome of a replay that can't be had.
    pub receipt: bool,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With whatever comes next.
    Now,
    /// `history: N`: the newest N, then live.
    History(u32),
    /// `after: P`: everything after P, then live.
    After(Position),
}
