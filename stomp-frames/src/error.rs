//! Why bytes are not STOMP.

use thiserror::Error;

use crate::command::Command;
use crate::version::Version;

/// The peer sent bytes that are not a frame. There is no way to find the next frame after one.
///
/// The texts are made for the developer of the peer. They quote at most a word in the command's place or an escape
/// sequence, escaped and cut short, and never a header's value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Head and body together are over the limit, or `content-length` says that they will be.
    #[error("The frame is larger than {limit} bytes; send less in one frame.")]
    FrameTooLarge {
        /// [`crate::Limits::frame`]
        limit: usize,
    },
    /// No command is that long.
    #[error("The first line of the frame is longer than {limit} bytes, which no STOMP command is.")]
    CommandTooLong {
        /// [`crate::Limits::command`]
        limit: usize,
    },
    /// One header line is over the limit.
    #[error("A header line is longer than {limit} bytes; large values belong into the body.")]
    HeaderTooLong {
        /// [`crate::Limits::header_line`]
        limit: usize,
    },
    /// There is one header line more than allowed.
    #[error("The frame has more than {limit} header lines.")]
    TooManyHeaders {
        /// [`crate::Limits::header_count`]
        limit: usize,
    },
    /// Command and headers together are over the limit.
    #[error("The command and headers of the frame take more than {limit} bytes.")]
    HeadTooLarge {
        /// [`crate::Limits::head`]
        limit: usize,
    },
    /// The first line is not a command of any version.
    #[error("\"{command}\" is not a STOMP command; commands are upper case, without spaces around them.")]
    UnknownCommand {
        /// The word that the line begins with, cut to 32 letters.
        command: String,
    },
    /// A header line does not have the form `name:value`.
    #[error("Header line {line} has no colon; each line between the command and the blank line must be \"name:value\".")]
    NoColon {
        /// The first line after the command is 1.
        line: usize,
    },
    /// A header line begins with its colon.
    #[error("Header line {line} has no name before its colon.")]
    EmptyHeaderName {
        /// The first line after the command is 1.
        line: usize,
    },
    /// A CR that is not part of a CRLF.
    #[error("The frame has a carriage return that does not end a line; in a header of STOMP 1.2 it is written \"\\r\".")]
    BareCarriageReturn,
    /// A NUL before the blank line.
    #[error("The frame ends before the blank line that must follow its headers.")]
    NulInHead,
    /// A NUL where a frame should begin.
    #[error("A NUL byte stands where a frame should begin; is the content-length of the frame before it too small?")]
    NulBetweenFrames,
    /// Command and headers must be UTF-8.
    #[error("The command or a header of the frame is not valid UTF-8.")]
    NotUtf8,
    /// A backslash that begins no escape sequence of the session's version.
    #[error("Header line {line} has \"{sequence}\", which is not an escape sequence of STOMP {version}; write a backslash as \"\\\\\".")]
    BadEscape {
        /// The first line after the command is 1.
        line: usize,
        /// The backslash and what follows, escaped.
        sequence: String,
        /// The version whose rules apply.
        version: Version,
    },
    /// `content-length` is not made of digits, or of too many.
    #[error("The content-length header must be a plain decimal number, without a sign or spaces.")]
    BadContentLength,
    /// Two different `content-length` headers: two readers would see two different streams.
    #[error("The frame has two content-length headers that differ.")]
    ContentLengthConflict,
    /// The body is longer than `content-length` says.
    #[error(
        "The body is not followed by a NUL byte after the {length} bytes that content-length announces; it counts bytes, not characters."
    )]
    MissingNul {
        /// What `content-length` says.
        length: usize,
    },
    /// A frame with a body that may not have one.
    #[error("A {command} frame must not have a body; after its blank line only the NUL byte may follow.")]
    UnexpectedBody {
        /// The frame's command.
        command: Command,
    },
}

impl ParseError {
    /// A name for programs, which stays the same when the sentence changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FrameTooLarge { .. } => "frame-too-large",
            Self::CommandTooLong { .. } => "command-too-long",
            Self::HeaderTooLong { .. } => "header-too-long",
            Self::TooManyHeaders { .. } => "too-many-headers",
            Self::HeadTooLarge { .. } => "head-too-large",
            Self::UnknownCommand { .. } => "unknown-command",
            Self::NoColon { .. } | Self::EmptyHeaderName { .. } | Self::BareCarriageReturn | Self::NulInHead | Self::NulBetweenFrames => {
                "malformed-frame"
            }
            Self::NotUtf8 => "not-utf8",
            Self::BadEscape { .. } => "bad-escape",
            Self::BadContentLength | Self::ContentLengthConflict | Self::MissingNul { .. } => "bad-content-length",
            Self::UnexpectedBody { .. } => "unexpected-body",
        }
    }
}

/// A peer's bytes made harmless for a log line or a header: no control characters, at most 32 characters.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 32;
    let text = String::from_utf8_lossy(bytes);
    let mut quoted = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escaped = character.escape_debug();
        length += escaped.len();
        if length > MOST {
            quoted.push('…');
            break;
        }
        quoted.extend(escaped);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_short_and_has_no_control_characters() {
        let nasty = "\u{1b}[31m\r\nrole:admin\0\u{202e}".repeat(9);
        let quote = quoted(nasty.as_bytes());
        assert!(quote.chars().count() <= 33, "{quote}");
        assert!(!quote.chars().any(|c| c.is_control() || c == '\u{202e}'), "{quote}");
        assert_eq!(quoted(b"send"), "send");
        assert_eq!(quoted(b"\xff"), "\u{fffd}");
    }
}
