//! A server's WebSocket on one upgraded connection, polled by one task.
//!
//! tungstenite reads: framing, masking, UTF-8, fragments, pongs and the close handshake are its work. Deliveries are
//! written here instead, because a server's frames are unmasked: all that differs between subscribers is the head of
//! the frame, and everything else is copied as it is, many frames to one write.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::pieces::Pieces;
use crate::message::Close;

/// How much is read at once. tungstenite zeroes this much before each attempt, also the one that finds nothing, so
/// its default of 128 KiB costs a thirtyfold (facts: 28 µs a delivery).
const READ_BUFFER: usize = 1024;
/// tungstenite's own writes are pongs and close frames, of at most 131 bytes; so at most one pong waits.
const CONTROL_BUFFER: usize = 256;
/// Ours are joined up to about this size before they are written.
pub(super) const WRITE_BUFFER: usize = 64 * 1024;
/// So many pieces one message may have. Empty ones cost no memory, but time without end.
const MAX_PIECES: usize = 1024;

/// What stands before a message: two bytes, and its length in at most eight.
const LONGEST_HEAD: usize = 10;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Incoming {
    Data(Bytes),
    /// A ping or pong: a sign of life, answered already.
    Control,
}

/// How a WebSocket ended, or has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it, or its connection is gone.
    Gone,
    /// The client broke RFC 6455.
    Protocol,
    TooLarge,
}

/// Bytes that were read and written since somebody last asked.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) read: usize,
    pub(super) written: usize,
}

/// One WebSocket.
#[derive(Debug)]
pub(super) struct WebSocket<IO> {
    io: IO,
    protocol: WebSocketContext,
    /// Our frames; what lies before `written` is out.
    out: Vec<u8>,
    written: usize,
    /// Whether the client took any of it since it was last asked.
    progress: bool,
    pieces: Pieces,
    passed: Passed,
    /// The client's bytes make no sense any more; they are only thrown away.
    broken: bool,
    /// The client's close frame came; only the answer to it may still go out.
    closed_by_client: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// A socket just upgraded, whose messages may have so many bytes.
    pub(super) fn new(io: IO, max_message: usize) -> Self {
        Self {
            io,
            protocol: WebSocketContext::new(Role::Server, Some(config(max_message))),
            out: Vec::new(),
            written: 0,
            progress: false,
            pieces: Pieces::default(),
            passed: Passed::default(),
            broken: false,
            closed_by_client: false,
        }
    }

    pub(super) fn set_max_message(&mut self, max_message: usize) {
        self.protocol.set_config(|set| *set = config(max_message));
    }

    /// Whether a message was begun and is not there yet.
    pub(super) fn is_mid_message(&self) -> bool {
        self.pieces.is_mid_message()
    }

    /// The next thing the client sent.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, End>> {
        if self.closed_by_client {
            return self.poll_answer_close(context);
        }
        // Mid-frame nothing else may be written.
        let may_write = self.written == 0;
        let mut stream = Polled { io: &mut self.io, context, pieces: &mut self.pieces, passed: &mut self.passed, may_write };
        let incoming = match self.protocol.read(&mut stream) {
            Ok(_) if self.pieces.most() > MAX_PIECES => return Poll::Ready(Err(End::TooLarge)),
            Ok(Message::Text(text)) => Incoming::Data(text.into()),
            Ok(Message::Binary(bytes)) => Incoming::Data(bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Incoming::Control,
            Ok(Message::Close(_)) => {
                self.closed_by_client = true;
                if may_write {
                    // RFC 6455 §5.5.1: nothing follows a close frame, and the answer is one.
                    self.out = Vec::new();
                }
                return self.poll_answer_close(context);
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::FileTooLarge => return Poll::Ready(Err(End::TooLarge)),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => return Poll::Ready(Err(End::TooLarge)),
            Err(Error::Protocol(error)) if error != ProtocolError::ResetWithoutClosingHandshake => return Poll::Ready(Err(End::Protocol)),
            Err(Error::Utf8(_) | Error::Capacity(_)) => return Poll::Ready(Err(End::Protocol)),
            Err(_) => return Poll::Ready(Err(End::Gone)),
        };
        Poll::Ready(Ok(incoming))
    }

    /// tungstenite has queued the answer; gone once it is out.
    fn poll_answer_close(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, End>> {
        self.poll_write(context).map(|_written_or_gone| Err(End::Gone))
    }

    /// Reads and throws away, until the client has closed.
    pub(super) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        if !self.broken {
            match self.poll_read(context) {
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(End::Gone)) => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Err(End::Protocol | End::TooLarge)) => self.broken = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut buffer = [0; READ_BUFFER];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Poll::Ready(Ok(())),
            Poll::Ready(_) => Poll::Ready(Err(End::Gone)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether more should be put in before the next write.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < WRITE_BUFFER
    }

    /// Whether all that was put in is out.
    pub(super) fn is_written(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether any bytes went out since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// What has passed since the last call.
    pub(super) fn take_passed(&mut self) -> Passed {
        std::mem::take(&mut self.passed)
    }

    /// Puts in one message, which is all these parts in order.
    pub(super) fn put(&mut self, text: bool, parts: &[&[u8]]) {
        if self.closed_by_client {
            return;
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.reserve(length + LONGEST_HEAD);
        // RFC 6455 §5.2: FIN and the opcode, then the length in 7, 16 or 64 bits, unmasked.
        self.out.push(if text { 0x81 } else { 0x82 });
        if let Ok(short @ 0..=125) = u8::try_from(length) {
            self.out.push(short);
        } else if let Ok(medium) = u16::try_from(length) {
            self.out.push(126);
            self.out.extend_from_slice(&medium.to_be_bytes());
        } else {
            self.out.push(127);
            self.out.extend_from_slice(&(length as u64).to_be_bytes());
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    /// Writes what was put in, and what tungstenite wants to say. Ready when all is out.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.written == 0 && self.poll_flush_control(context)?.is_pending() {
            return Poll::Pending;
        }
        while self.written < self.out.len() {
            match Pin::new(&mut self.io).poll_write(context, &self.out[self.written..]) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    self.passed.written += written;
                    self.progress = true;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        self.written = 0;
        // An idle connection keeps no buffer.
        self.out = Vec::new();
        self.poll_flush_control(context)
    }

    /// Says why it is over and asks for the client's close frame. What was put in before must be out.
    pub(super) fn close(&mut self, close: Close) {
        let frame = CloseFrame { code: CloseCode::from(close.code()), reason: close.reason().into() };
        let mut nowhere = Nowhere;
        // It is only queued here and written by the next `poll_write`; that it can't be written now is no news.
        let _queued = self.protocol.close(&mut nowhere, Some(frame));
    }

    fn poll_flush_control(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut stream = Polled { io: &mut self.io, context, pieces: &mut self.pieces, passed: &mut self.passed, may_write: true };
        match self.protocol.flush(&mut stream) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(_) => Poll::Ready(Err(End::Gone)),
        }
    }
}

fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// An asynchronous stream as the blocking one that tungstenite expects: what is not ready would block.
struct Polled<'a, 'b, IO> {
    io: &'a mut IO,
    context: &'a mut Context<'b>,
    pieces: &'a mut Pieces,
    passed: &'a mut Passed,
    may_write: bool,
}

impl<IO: AsyncRead + Unpin> Read for Polled<'_, '_, IO> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pieces.most() > MAX_PIECES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.context, &mut buffer) {
            Poll::Ready(result) => result?,
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        }
        self.pieces.pass(buffer.filled());
        self.passed.read += buffer.filled().len();
        Ok(buffer.filled().len())
    }
}

impl<IO: AsyncWrite + Unpin> Write for Polled<'_, '_, IO> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.may_write {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match Pin::new(&mut *self.io).poll_write(self.context, bytes) {
            Poll::Ready(result) => result.inspect(|written| self.passed.written += written),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match Pin::new(&mut *self.io).poll_flush(self.context) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Takes nothing yet.
struct Nowhere;

impl Read for Nowhere {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Nowhere {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
