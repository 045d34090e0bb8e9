//! How a client's request ends.

use std::borrow::Cow;

use super::{Code, Position};

/// Names one request of a session while it waits for its outcome; the session knows what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A SEND is durable, or an UNSUBSCRIBE is in force.
    Done,
    /// A SUBSCRIBE is live on this node, after `position` (none for a pattern or a destination that is not stored).
    /// `recovered` answers `after` and `history`; a plain SUBSCRIBE has none.
    Subscribed {
        position: Option<Position>,
        recovered: Option<bool>,
    },
    Refused(Refusal),
}

/// Why a request was not granted: a stable code and a sentence for the frontend's developer.
/// Never holds a token, a query, a path or anything else that is not the client's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub sentence: Cow<'static, str>,
    /// Answer on `/user/queue/errors` and keep the connection, if the session listens there.
    pub notify: bool,
}

impl Refusal {
    pub fn new(code: Code) -> Self {
        Self { code, sentence: Cow::Borrowed(code.sentence()), notify: false }
    }

    /// The same code with a sentence that says more.
    pub fn with(code: Code, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { code, sentence: sentence.into(), notify: false }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}
