//! A frame, and what a stream of them is made of.

use std::fmt;

use bytes::Bytes;

use crate::command::Command;
use crate::headers::Headers;
use crate::text::Text;

/// One frame, with its headers unescaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first line.
    pub command: Command,
    /// The header lines, in their order.
    pub headers: Headers,
    /// The body. From the decoder it shares the chunk of input it came in; see [`Frame::detached`].
    pub body: Bytes,
}

/// What a peer sends: frames, and line ends that say it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A complete frame.
    Frame(Frame),
    /// One or more line ends between frames. The ones directly behind a frame count too: any byte is a sign of life.
    HeartBeat,
}

impl Frame {
    /// A frame without headers and body.
    pub const fn new(command: Command) -> Self {
        Self { command, headers: Headers::new(), body: Bytes::new() }
    }

    /// The frame with one more header.
    pub fn with_header(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The frame with this body. Its `content-length` is the encoder's business.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(Text::as_str)
    }

    /// The body, if it is UTF-8.
    pub fn body_text(&self) -> Option<&str> {
        simdutf8::basic::from_utf8(&self.body).ok()
    }

    /// The same frame in memory of its own, for a frame that is kept while the chunk it came in should go.
    pub fn detached(&self) -> Self {
        Self { command: self.command, headers: self.headers.detached(), body: Bytes::copy_from_slice(&self.body) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 128;
        let shown = self.body.slice(..self.body.len().min(MOST));
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body", &shown)
            .field("body_len", &self.body.len())
            .finish()
    }
}
