//! A record as CloudEvents 1.0 has it in Kafka (binary mode), so that any service can read and produce it: here are the
//! names and limits that both directions share. Knows nothing of clients and connections.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod time;
mod view;

pub(super) use decode::{Place, decode, peek};
pub(super) use encode::encode;
pub(super) use time::{now, rfc3339};
pub(super) use view::{Header, View};

const SPEC_VERSION: &str = "1.0";

/// Before the name of a node in `ce_source`.
const OWN_SOURCE: &str = "footfall/";

const MESSAGE: &str = "footfall.message.v1";
const KNOWN: &str = "footfall.known.v1";
const REFUSED: &str = "footfall.refused.v1";

mod header {
    pub(super) const CONTENT_TYPE: &str = "content-type";
    pub(super) const SPEC_VERSION: &str = "ce_specversion";
    pub(super) const ID: &str = "ce_id";
    pub(super) const SOURCE: &str = "ce_source";
    pub(super) const TYPE: &str = "ce_type";
    pub(super) const TIME: &str = "ce_time";
    pub(super) const SUBJECT: &str = "ce_subject";
    pub(super) const SEQUENCE: &str = "ce_sequence";
    pub(super) const EPOCH: &str = "ce_epoch";
    pub(super) const SENDER: &str = "ce_sender";
    pub(super) const SESSION: &str = "ce_session";
    /// Why a message was refused.
    pub(super) const CODE: &str = "ce_code";
    /// Before the name of a client's own header.
    pub(super) const STOMP: &str = "stomp_";
    /// The content type that a client gave, where `content-type` can't say it (see `encode`).
    pub(super) const STOMP_CONTENT_TYPE: &str = "stomp_content-type";
}

const MAX_ID: usize = 256;
const MAX_SOURCE: usize = 1024;
