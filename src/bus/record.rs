//! A record: a message on its way between nodes, or news about one.

use std::sync::Arc;

use crate::message::{Code, Message};

/// What a record says of its message (the `ce_type` of a CloudEvents record).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `footfall.message.v1`: here it is.
    Message,
    /// `footfall.known.v1`: it was stored before, from another record, so this one was a client's retry. It answers
    /// waiting receipts and reaches no subscriber.
    Known,
    /// `footfall.refused.v1`: it will never be stored, for this reason. It answers waiting receipts and reaches no
    /// subscriber.
    Refused(Code),
}

/// Cheap to clone. The destination of its message is its key.
#[derive(Debug, Clone)]
pub struct Record {
    pub kind: Kind,
    pub message: Arc<Message>,
}

impl Record {
    pub fn message(message: Arc<Message>) -> Self {
        Self { kind: Kind::Message, message }
    }

    pub fn known(message: Arc<Message>) -> Self {
        Self { kind: Kind::Known, message }
    }
    pub fn refused(message: Arc<Message>, code: Code) -> Self {
        Self { kind: Kind::Refused(code), message }
    }
}
