//! What a client writes down, in the order in which it saw it. Nobody judges here: that is [`crate::checker`]'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall::message::Position;
use parking_lot::Mutex;
use uuid::Uuid;

/// A destination as the wire has it; shared, since there are few of them and many entries.
pub(crate) type Name = Arc<str>;

/// One client's, over all its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) client: String,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Since the run began.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// CONNECTED came; the number is the node's place in the client's list.
    Connected { node: usize },
    /// No socket, or nothing like CONNECTED on it.
    NotConnected { node: usize },
    /// RECEIPT of a SUBSCRIBE that asked for what is `after`.
    Subscribed { destination: Name, after: Option<Position>, recovered: Option<bool>, position: Position },
    /// MESSAGE.
    Received { destination: Name, position: Position, id: Uuid },
    /// Before it went to the socket, again for each attempt.
    Sent { destination: Name, id: Uuid },
    /// RECEIPT of a SEND.
    Receipted { id: Uuid },
    /// ERROR, and the message that its `receipt-id` names.
    Error { code: String, id: Option<Uuid> },
    /// The connection is over.
    Disconnected { why: String },
    /// Nothing that a broker may do.
    Surprise { what: String },
}

/// Where one client writes. What it wrote can be read also if the client never ends.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    began: Instant,
    log: Arc<Mutex<Log>>,
}

impl Journal {
    pub(crate) fn new(client: String, began: Instant) -> Self {
        Self { began, log: Arc::new(Mutex::new(Log { client, entries: Vec::new() })) }
    }

    pub(crate) fn write(&self, what: What) {
        let at = self.began.elapsed();
        self.log.lock().entries.push(Entry { at, what });
    }

    pub(crate) fn surprise(&self, what: String) {
        self.write(What::Surprise { what });
    }

    /// What was written, and nothing is left here.
    pub(crate) fn take(&self) -> Log {
        std::mem::take(&mut *self.log.lock())
    }
}
