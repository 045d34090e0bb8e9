//! The shared vocabulary: what a message is, where it goes, who sent it, and how a request ends.
//! Knows no frames, no sockets and no servers.

mod code;
mod destination;
mod duration;
mod id;
mod outcome;
mod pattern;
mod position;
mod tag;
mod token;
mod user;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use uuid::Uuid;

pub use code::{Close, Code};
pub use destination::{BadDestination, Destination, SendTo, SubscribeTo};
pub use duration::{BadDuration, HumanDuration};
pub use id::{foreign_id, keyed_id, new_id};
pub use outcome::{Outcome, Refusal, Ticket};
pub use pattern::{BadPattern, Captures, Pattern};
pub use position::{BadPosition, Epoch, Position};
pub use tag::{AckMode, Tag};
pub use token::{BadTokenId, Revocation, Revoked, TokenId};
pub use user::{BadUserName, User, UserName};

/// The headers a client gave its SEND and that its readers see, in order, each name once.
pub type ClientHeaders = Arc<[(Box<str>, Box<str>)]>;

/// What tells a record of a log from another one at the same offset, so that a log that was made anew is noticed: its
/// key, and the time that Kafka gave it in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub key: Bytes,
    pub timestamp_ms: i64,
}

/// What every subscriber of a destination gets; immutable once made, shared by all who deliver it.
#[derive(Debug)]
pub struct Message {
    /// Names the message for ever; a retry with the same `idempotency-key` has the same id.
    pub id: Uuid,
    /// Where it goes, in the form that names one sequence (a user's queue with its user).
    pub destination: Destination,
    /// The sender's user name; none if a backend without one produced it.
    pub sender: Option<UserName>,
    /// The public id of the sender's session, by which a client tells its own tabs apart.
    pub session: Option<Arc<str>>,
    /// When the sender's node took it, in milliseconds since 1970.
    pub timestamp_ms: u64,
    pub content_type: Option<Arc<str>>,
    pub headers: ClientHeaders,
    pub body: Bytes,
    /// Where it stands in its destination's sequence; a transient message has none.
    pub position: Option<Position>,
    /// The frame after the per-subscription head, one per STOMP version, filled by whoever writes it first.
    pub rendered: RenderedOnce,
}

impl Message {
    /// The same message with the position that the store gave it.
    pub fn at(&self, position: Position) -> Self {
        Self {
            id: self.id,
            destination: self.destination.clone(),
            sender: self.sender.clone(),
            session: self.session.clone(),
            timestamp_ms: self.timestamp_ms,
            content_type: self.content_type.clone(),
            headers: Arc::clone(&self.headers),
            body: self.body.clone(),
            position: Some(position),
            rendered: RenderedOnce::default(),
        }
    }

    /// About how many bytes it will take on the wire; what budgets count before it is rendered.
    pub fn size(&self) -> usize {
        // The names and values that footfall adds: destination, ids, sender, time, position.
        const OWN_HEADERS: usize = 256;
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let content_type = self.content_type.as_ref().map_or(0, |content_type| content_type.len());
        let sender = self.sender.as_ref().map_or(0, |sender| sender.as_str().len());
        self.body.len() + headers + content_type + sender + self.destination.as_str().len() + OWN_HEADERS
    }
}

/// A MESSAGE frame without its per-subscription head, and whether it may travel as WebSocket text.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub rest: Bytes,
    pub text: bool,
    /// Headers that this STOMP version can't write; whoever rendered counts them.
    pub left_out: usize,
}

/// One [`Rendered`] per STOMP version, made at most once.
#[derive(Debug, Default)]
pub struct RenderedOnce([OnceLock<Rendered>; 3]);

impl RenderedOnce {
    /// The form for the STOMP version with this index (0 is 1.0), made by `render` if nobody has yet.
    pub fn get_or_render(&self, version: usize, render: impl FnOnce() -> Rendered) -> &Rendered {
        self.0[version].get_or_init(render)
    }
}
