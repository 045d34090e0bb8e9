//! What clients do wrong, and every ERROR frame.

use std::borrow::Cow;

use bytes::Bytes;
use stomp_frames::{Command, FrameWriter, ParseError, Version};

use crate::message::{BadDestination, Code, Refusal};

/// A frame that is not due, or that does not say what its command demands. It ends the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("{}", Code::NotConnected.sentence())]
    NotConnected,
    #[error("{}", Code::AlreadyConnected.sentence())]
    AlreadyConnected,
    #[error("{}", Code::VersionUnsupported.sentence())]
    VersionUnsupported,
    #[error("{}", Code::BadHeartBeat.sentence())]
    BadHeartBeat,
    #[error("{0} is a command that only a server sends.")]
    UnexpectedCommand(Command),
    #[error("STOMP {1} has no command {0}.")]
    UnknownCommand(Command, Version),
    #[error("{0} needs the header {1}.")]
    MissingHeader(Command, &'static str),
    #[error("The header {0} must be {1}.")]
    BadHeader(&'static str, &'static str),
    #[error("The header {0} must have 1 to {1} bytes.")]
    BadLength(&'static str, usize),
    #[error("{}", Code::TransactionsUnsupported.sentence())]
    TransactionsUnsupported,
    #[error(transparent)]
    BadDestination(#[from] BadDestination),
    #[error("{}", Code::PatternWithoutHistory.sentence())]
    PatternWithoutHistory,
    #[error("{}", Code::DuplicateSubscription.sentence())]
    DuplicateSubscription,
    #[error("A session has at most {0} subscriptions.")]
    TooManySubscriptions(usize),
    #[error("{}", Code::UnknownAck.sentence())]
    UnknownAck,
}

impl ProtocolError {
    pub fn code(&self) -> Code {
        match self {
            Self::NotConnected => Code::NotConnected,
            Self::AlreadyConnected => Code::AlreadyConnected,
            Self::VersionUnsupported => Code::VersionUnsupported,
            Self::BadHeartBeat => Code::BadHeartBeat,
            Self::UnexpectedCommand(_) => Code::UnexpectedCommand,
            Self::UnknownCommand(..) => Code::UnknownCommand,
            Self::MissingHeader(..) => Code::MissingHeader,
            Self::BadHeader(..) | Self::BadLength(..) => Code::BadHeader,
            Self::TransactionsUnsupported => Code::TransactionsUnsupported,
            Self::BadDestination(_) => Code::BadDestination,
            Self::PatternWithoutHistory => Code::PatternWithoutHistory,
            Self::DuplicateSubscription => Code::DuplicateSubscription,
            Self::TooManySubscriptions(_) => Code::TooManySubscriptions,
            Self::UnknownAck => Code::UnknownAck,
        }
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::with(error.code(), error.to_string())
    }
}

/// The same in the words of clients. A code that the table of codes does not have is a malformed frame to them.
pub(super) fn refusal_of(error: &ParseError) -> Refusal {
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == error.code()).unwrap_or(Code::MalformedFrame);
    Refusal::with(code, error.to_string())
}

/// The last frame of a session that did not end well.
///
/// `version` is the one the client knows to be agreed: before CONNECTED it unescapes nothing.
pub(super) fn frame(refusal: &Refusal, receipt: Option<&str>, version: Option<Version>) -> Bytes {
    let mut writer = FrameWriter::new(Command::Error, version.unwrap_or(Version::V1_0));
    let sentence = one_line(&refusal.sentence);
    writer.header("message", &sentence);
    writer.header("code", refusal.code.as_str());
    if let Some(receipt) = receipt {
        writer.header("receipt-id", receipt);
    }
    if refusal.code == Code::VersionUnsupported {
        // STOMP 1.2, Protocol Negotiation: "the server MUST respond with an ERROR frame" that lists what it speaks.
        writer.header("version", "1.0,1.1,1.2");
    }
    writer.header("content-type", "text/plain");
    writer.finish(explained(&refusal.sentence, refusal.code).as_bytes())
}

/// What went wrong, and if that does not say it already, what the code means in general.
pub(super) fn explained(sentence: &str, code: Code) -> Cow<'_, str> {
    if sentence == code.sentence() { sentence.into() } else { format!("{sentence}\n{}", code.sentence()).into() }
}

/// A header value that every version can write: 1.0 has no escapes, and would leave the whole header out.
fn one_line(sentence: &str) -> Cow<'_, str> {
    let trimmed = sentence.trim();
    if trimmed.contains(char::is_control) { trimmed.replace(char::is_control, " ").into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_of_several_lines_injects_no_header() {
        for version in [None, Some(Version::V1_0), Some(Version::V1_1), Some(Version::V1_2)] {
            let refusal = Refusal::with(Code::SendDenied, "no\nrole:admin\r\n\0");
            let frame = frame(&refusal, Some("r\nrole:admin"), version);
            let head = frame.split(|byte| *byte == 0).next().unwrap();
            let head = std::str::from_utf8(head).unwrap().split("\n\n").next().unwrap();
            assert!(!head.lines().any(|line| line.starts_with("role")), "{head}");
            assert!(head.contains("code:send-denied"), "{head}");
        }
    }

    #[test]
    fn every_parse_error_has_a_code_of_the_table() {
        for (error, code) in [
            (ParseError::FrameTooLarge { limit: 1 }, Code::FrameTooLarge),
            (ParseError::HeaderTooLong { limit: 1 }, Code::HeaderTooLong),
            (ParseError::TooManyHeaders { limit: 1 }, Code::TooManyHeaders),
            (ParseError::HeadTooLarge { limit: 1 }, Code::HeadTooLarge),
            (ParseError::UnknownCommand { command: "X".into() }, Code::UnknownCommand),
            (ParseError::NoColon { line: 1 }, Code::MalformedFrame),
            (ParseError::NotUtf8, Code::NotUtf8),
            (ParseError::BadContentLength, Code::BadContentLength),
            (ParseError::UnexpectedBody { command: Command::Ack }, Code::UnexpectedBody),
        ] {
            assert_eq!(refusal_of(&error).code, code);
        }
    }
}
