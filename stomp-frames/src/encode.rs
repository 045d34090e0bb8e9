//! From commands, headers and bodies to bytes.

use std::fmt;

use bytes::Bytes;

use crate::command::Command;
use crate::escape::Escaping;
use crate::frame::Frame;
use crate::version::Version;

/// The encoder's own: it always counts the body itself.
const CONTENT_LENGTH: &str = "content-length";

/// Room for the headers of a usual frame; a larger body is added to it in one step.
const USUAL_HEAD: usize = 256;

/// Writes one frame: the command, then headers in the order they are given, then `finish`.
///
/// For a frame that is sent before a version is agreed, such as an ERROR instead of CONNECTED, take
/// [`Version::V1_0`]: clients unescape nothing until they know the version.
#[derive(Debug)]
pub struct FrameWriter {
    lines: Lines,
}

impl FrameWriter {
    /// Begins a frame.
    pub fn new(command: Command, version: Version) -> Self {
        Self::with_capacity(command, version, USUAL_HEAD)
    }

    /// Begins a frame of which the size in bytes is roughly known, so that nothing is moved while it grows.
    pub fn with_capacity(command: Command, version: Version, size: usize) -> Self {
        let mut lines = Lines::new(command, version, size);
        lines.buffer.extend_from_slice(command.as_str().as_bytes());
        lines.buffer.push(b'\n');
        Self { lines }
    }

    /// Adds a header, escaped as the version asks.
    ///
    /// False if it is not written, because the version can't: a NUL never; a CR in 1.1; in 1.0, and in CONNECT, STOMP
    /// and CONNECTED of any version, LF, CR and a colon in the name; in 1.0 spaces at an end, which its readers trim.
    /// `content-length` is not written either, as `finish` does so, and isn't counted as left out.
    pub fn header(&mut self, name: &str, value: &str) -> bool {
        self.lines.header(name, value)
    }

    /// How many headers could not be written.
    pub fn left_out(&self) -> usize {
        self.lines.left_out
    }

    /// Ends the frame. A command that may not have a body gets none.
    pub fn finish(self, body: &[u8]) -> Bytes {
        self.lines.finish(body)
    }
}

/// Writes what all subscribers of a MESSAGE have in common. The frame is
/// [`message_head`], then [`ack_header`] where it is due, then this.
#[derive(Debug)]
pub struct RestWriter {
    lines: Lines,
}

impl RestWriter {
    /// Begins the common part.
    pub fn new(version: Version) -> Self {
        Self::with_capacity(version, USUAL_HEAD)
    }

    /// Begins the common part, of which the size in bytes is roughly known.
    pub fn with_capacity(version: Version, size: usize) -> Self {
        Self { lines: Lines::new(Command::Message, version, size) }
    }

    /// Adds a header; see [`FrameWriter::header`].
    pub fn header(&mut self, name: &str, value: &str) -> bool {
        self.lines.header(name, value)
    }

    /// How many headers could not be written.
    pub fn left_out(&self) -> usize {
        self.lines.left_out
    }

    /// Ends the frame.
    pub fn finish(self, body: &[u8]) -> Bytes {
        self.lines.finish(body)
    }
}

/// The first lines of every MESSAGE to one subscription, written once.
///
/// An id that came in with the same version can always be written; one that can't is left out.
pub fn message_head(subscription_id: &str, version: Version) -> Bytes {
    let size = "MESSAGE\nsubscription:\n".len() + subscription_id.len();
    let mut writer = FrameWriter::with_capacity(Command::Message, version, size);
    writer.header("subscription", subscription_id);
    writer.lines.buffer.into()
}

/// The line between [`message_head`] and the rest that says by which id this delivery is acknowledged; empty if the
/// version can't write the id.
pub fn ack_header(ack_id: &str, version: Version) -> Bytes {
    let mut lines = Lines::new(Command::Message, version, "ack:\n".len() + ack_id.len());
    lines.header("ack", ack_id);
    lines.buffer.into()
}

/// A whole frame. Headers that this version can't write are left out, `content-length` is counted anew.
pub fn encode(frame: &Frame, version: Version) -> Bytes {
    let headers: usize = frame.headers.iter().map(|(name, value)| name.as_bytes().len() + value.as_bytes().len() + 2).sum();
    // 64: the command, content-length, the blank line, and some escapes.
    let mut writer = FrameWriter::with_capacity(frame.command, version, headers + frame.body.len() + 64);
    for (name, value) in &frame.headers {
        writer.header(name, value);
    }
    writer.finish(&frame.body)
}

struct Lines {
    buffer: Vec<u8>,
    command: Command,
    escaping: Escaping,
    left_out: usize,
}

impl Lines {
    fn new(command: Command, version: Version, size: usize) -> Self {
        let escaping = Escaping::of(command, Some(version));
        Self { buffer: Vec::with_capacity(size), command, escaping, left_out: 0 }
    }

    fn header(&mut self, name: &str, value: &str) -> bool {
        if name == CONTENT_LENGTH {
            return false;
        }
        let written = self.escaping.write(&mut self.buffer, name, value);
        self.left_out += usize::from(!written);
        written
    }

    fn finish(mut self, body: &[u8]) -> Bytes {
        let body = if self.command.may_have_body() { body } else { &[] };
        self.buffer.reserve(CONTENT_LENGTH.len() + 24 + body.len());
        if self.command.may_have_body() {
            self.buffer.extend_from_slice(CONTENT_LENGTH.as_bytes());
            self.buffer.push(b':');
            put_decimal(&mut self.buffer, body.len());
            self.buffer.push(b'\n');
        }
        self.buffer.push(b'\n');
        self.buffer.extend_from_slice(body);
        self.buffer.push(0);
        self.buffer.into()
    }
}

/// Without the bytes, which may be anybody's token.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.buffer.len();
        f.debug_struct("Lines")
            .field("command", &self.command)
            .field("bytes", &bytes)
            .field("left_out", &self.left_out)
            .finish_non_exhaustive()
    }
}

fn put_decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[number % 10];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for number in [0, 9, 10, 65_536, usize::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
