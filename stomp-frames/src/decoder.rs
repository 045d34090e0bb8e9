//! Chunks of input in, frames and heart-beats out.
//!
//! ```text
//!            first byte of a command           blank line
//!  Between ---------------------------> Head ------------> Body
//!     ^  \                                                  |
//!     |   `-- LF, CRLF: HeartBeat              NUL: Frame   |
//!     `-----------------------------------------------------'
//!  anything else, from anywhere: Failed, for good
//! ```

use std::collections::VecDeque;
use std::{fmt, mem};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::error::ParseError;
use crate::frame::{Frame, Item};
use crate::limits::Limits;
use crate::parse;
use crate::scan::HeadScan;
use crate::version::Version;

/// Decodes one direction of one connection, either one: it takes every known command, and whether this peer may
/// send it (see [`crate::Command::is_client`]) is the session's question.
///
/// Push a chunk, then call [`Decoder::next_item`] until it returns `None`, then push the next. No byte is searched
/// again when more arrive, and none is copied more than once. A frame that lies inside one chunk shares it. What is
/// held between chunks is never more than the frame limit.
pub struct Decoder {
    limits: Limits,
    version: Option<Version>,
    state: State,
    /// The chunk that is being read. Empty whenever `next_item` has returned `None`.
    input: Bytes,
    /// Chunks that were pushed before the one above was read to its end.
    queued: VecDeque<Bytes>,
    /// The part of an unfinished head, or else of an unfinished body, from chunks that are gone.
    partial: BytesMut,
}

enum State {
    Between { after_cr: bool },
    Head(HeadScan),
    Body(Unfinished),
    Failed(ParseError),
}

const BETWEEN: State = State::Between { after_cr: false };

/// A frame whose body is still to come.
struct Unfinished {
    frame: Frame,
    head_size: usize,
    /// From `content-length`, or 0 for a frame without a body; otherwise the body ends at its first NUL.
    length: Option<usize>,
    /// The headers point into the chunk being read, which they must not keep alive for longer.
    shares_input: bool,
}

impl Decoder {
    /// For a new connection. Until [`Decoder::set_version`] no header is unescaped.
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: None, state: BETWEEN, input: Bytes::new(), queued: VecDeque::new(), partial: BytesMut::new() }
    }

    /// Other limits from the next byte on, such as when a client has been let in.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// This version's escapes for every head that [`Decoder::next_item`] has not read to its end, in chunks already
    /// pushed too; except that CONNECT, STOMP and CONNECTED never have any.
    pub const fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Takes the next chunk of input, without copying it.
    pub fn push(&mut self, chunk: Bytes) {
        if matches!(self.state, State::Failed(_)) || chunk.is_empty() {
            return;
        }
        if self.input.is_empty() && self.queued.is_empty() {
            self.input = chunk;
        } else {
            self.queued.push_back(chunk);
        }
    }

    /// The next frame or heart-beat; `None` when more input is needed.
    ///
    /// After an error the stream has no more frames: the error stays, and what was held is dropped.
    pub fn next_item(&mut self) -> Result<Option<Item>, ParseError> {
        self.advance().inspect_err(|error| {
            *self = Self { state: State::Failed(error.clone()), version: self.version, ..Self::new(self.limits) };
        })
    }

    /// Once [`Decoder::next_item`] has returned `None`: a frame has begun and has not ended.
    pub const fn is_mid_frame(&self) -> bool {
        matches!(self.state, State::Head(_) | State::Body(_) | State::Between { after_cr: true })
    }

    /// Bytes of frames not yet returned.
    pub fn buffered(&self) -> usize {
        let head = match &self.state {
            State::Body(unfinished) => unfinished.head_size,
            _ => 0,
        };
        let queued: usize = self.queued.iter().map(Bytes::len).sum();
        head + self.partial.len() + self.input.len() + queued
    }

    fn advance(&mut self) -> Result<Option<Item>, ParseError> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        loop {
            if self.input.is_empty() {
                let Some(chunk) = self.queued.pop_front() else {
                    self.let_chunk_go();
                    return Ok(None);
                };
                self.input = chunk;
            }
            // Left behind by the states that go back to the start; the others put themselves back.
            match mem::replace(&mut self.state, BETWEEN) {
                State::Between { after_cr } => {
                    if self.line_ends(after_cr)? {
                        return Ok(Some(Item::HeartBeat));
                    }
                }
                State::Head(scan) => self.head(scan)?,
                State::Body(unfinished) => {
                    if let Some(frame) = self.body(unfinished)? {
                        return Ok(Some(Item::Frame(frame)));
                    }
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// Skips line ends. True if there were any: a flood of them in a chunk is one heart-beat.
    fn line_ends(&mut self, mut after_cr: bool) -> Result<bool, ParseError> {
        let mut any = false;
        let mut skipped = 0;
        for &byte in &self.input {
            match byte {
                b'\n' => (any, after_cr) = (true, false),
                // The heart-beat before it is returned first.
                _ if after_cr && any => {
                    skipped -= 1;
                    break;
                }
                _ if after_cr => return Err(ParseError::BareCarriageReturn),
                b'\r' => after_cr = true,
                _ => break,
            }
            skipped += 1;
        }
        self.input.advance(skipped);
        match self.input.first() {
            None => self.state = State::Between { after_cr },
            Some(_) if any => {}
            Some(0) => return Err(ParseError::NulBetweenFrames),
            Some(_) => self.state = State::Head(HeadScan::default()),
        }
        Ok(any)
    }

    fn head(&mut self, mut scan: HeadScan) -> Result<(), ParseError> {
        let Some(end) = scan.feed(&self.input, &self.limits)? else {
            self.keep_input();
            self.state = State::Head(scan);
            return Ok(());
        };
        let rest = self.input.split_to(end);
        let shares_input = self.partial.is_empty();
        let head = if shares_input { rest } else { self.complete(&rest) };
        let parse::Head { command, headers, content_length } = parse::head(&head, scan.headers(), self.version)?;
        let length = match content_length {
            Some(length) if length > 0 && !command.may_have_body() => {
                return Err(ParseError::UnexpectedBody { command });
            }
            Some(length) if length > self.limits.frame.saturating_sub(scan.total()) => {
                return Err(ParseError::FrameTooLarge { limit: self.limits.frame });
            }
            None if !command.may_have_body() => Some(0),
            length => length,
        };
        let frame = Frame { command, headers, body: Bytes::new() };
        self.state = State::Body(Unfinished { frame, head_size: scan.total(), length, shares_input });
        Ok(())
    }

    fn body(&mut self, mut unfinished: Unfinished) -> Result<Option<Frame>, ParseError> {
        let end = match unfinished.length {
            Some(length) => self.counted_end(length, unfinished.frame.command)?,
            None => self.nul_end(unfinished.head_size)?,
        };
        let Some(end) = end else {
            self.keep_input();
            self.state = State::Body(unfinished);
            return Ok(None);
        };
        let rest = self.input.split_to(end);
        self.input.advance(1);
        unfinished.frame.body = if self.partial.is_empty() { rest } else { self.complete(&rest) };
        Ok(Some(unfinished.frame))
    }

    /// Where in the input a body of known length ends, if its NUL is there too.
    fn counted_end(&self, length: usize, command: crate::Command) -> Result<Option<usize>, ParseError> {
        let missing = length - self.partial.len();
        match self.input.get(missing) {
            None => Ok(None),
            Some(0) => Ok(Some(missing)),
            Some(_) if !command.may_have_body() => Err(ParseError::UnexpectedBody { command }),
            Some(_) => Err(ParseError::MissingNul { length }),
        }
    }

    /// Where in the input the body's NUL is.
    fn nul_end(&self, head_size: usize) -> Result<Option<usize>, ParseError> {
        let end = memchr(0, &self.input);
        let size = head_size + self.partial.len() + end.unwrap_or(self.input.len());
        if size > self.limits.frame {
            return Err(ParseError::FrameTooLarge { limit: self.limits.frame });
        }
        Ok(end)
    }

    /// Copies what is left of the chunk, which has no more than this frame.
    fn keep_input(&mut self) {
        self.partial.extend_from_slice(&self.input);
        self.input.clear();
    }

    /// While more input is awaited, nothing may keep a chunk alive: it can be much larger than the frame in it.
    fn let_chunk_go(&mut self) {
        self.input = Bytes::new();
        if let State::Body(unfinished) = &mut self.state
            && mem::take(&mut unfinished.shares_input)
        {
            unfinished.frame.headers = unfinished.frame.headers.detached();
        }
    }

    fn complete(&mut self, rest: &[u8]) -> Bytes {
        let mut whole = mem::take(&mut self.partial);
        whole.extend_from_slice(rest);
        whole.freeze()
    }
}

/// Without the bytes, which may be anybody's token.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("version", &self.version)
            .field("mid_frame", &self.is_mid_frame())
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only `input` is ever scanned, so what is no longer in it is not scanned again; the rest is what `partial`
    /// copies when it grows.
    #[test]
    fn feeding_byte_by_byte_is_linear() {
        let head = format!("SEND\n{}\n", format!("a:{}\n", "b".repeat(200)).repeat(60));
        let stream = format!("{head}{}\0", "c".repeat(65_536 - head.len()));
        let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
        let (mut frames, mut moved, mut capacity) = (0, 0, 0);
        for byte in stream.bytes() {
            decoder.push(Bytes::copy_from_slice(&[byte]));
            frames += usize::from(decoder.next_item().unwrap().is_some());
            assert!(decoder.input.is_empty() && decoder.queued.is_empty());
            if decoder.partial.capacity() != capacity {
                capacity = decoder.partial.capacity();
                moved += decoder.partial.len();
            }
        }
        assert_eq!(frames, 1);
        assert!(moved <= 2 * stream.len(), "{moved} bytes were moved for {}", stream.len());
    }

    #[test]
    fn a_frame_in_one_chunk_shares_it() {
        let chunk = Bytes::from_static(b"SEND\ndestination:/a\n\nhello\0SEND\n\nagain\0");
        let within = |part: &[u8]| chunk.as_ptr_range().contains(&part.as_ptr());
        let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
        decoder.push(chunk.clone());
        while let Some(Item::Frame(frame)) = decoder.next_item().unwrap() {
            assert!(within(&frame.body));
            assert!(frame.headers.iter().all(|(name, value)| within(name.as_bytes()) && within(value.as_bytes())));
        }
    }

    #[test]
    fn an_unfinished_frame_lets_its_chunk_go() {
        for text in ["SEND\ndestination:/a\n\nhel", "SEND\ndestina", "SEND\ncontent-length:9\n\n", "\n\r"] {
            let chunk = Bytes::copy_from_slice(text.as_bytes());
            let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
            decoder.push(chunk.clone());
            while decoder.next_item().unwrap().is_some() {}
            assert!(decoder.is_mid_frame());
            assert!(chunk.is_unique(), "{text:?}");
        }
    }

    #[test]
    fn chunks_pushed_ahead_are_read_in_order() {
        let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
        for chunk in ["SE", "", "ND\n\na", "b\0\nSEND", "\n\nc\0"] {
            decoder.push(Bytes::from_static(chunk.as_bytes()));
        }
        assert_eq!(decoder.buffered(), 18);
        let mut bodies = Vec::new();
        while let Some(item) = decoder.next_item().unwrap() {
            if let Item::Frame(frame) = item {
                bodies.push(frame.body);
            }
        }
        assert_eq!(bodies, ["ab", "c"]);
        assert_eq!(decoder.buffered(), 0);
    }
}
