//! How a connection ends: the last frame, the close frame, and the client's own close.

use std::mem;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, FRAMES_A_TURN};
use crate::broker::Slot;
use crate::message::Close;
use crate::metrics::Dropped;
use crate::session::{Effect, Effects};

/// How long a client may take to read the last words and to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Not,
    /// The last frame is being written; then it will be closed so.
    Writing(Close, Instant),
    /// The close frame is being written, or the client's is waited for.
    Closing(Instant),
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// The session is over: what was answered goes out, and after it the last frame. Deliveries that still wait are
    /// for subscriptions that are over, too.
    pub(super) fn write_last_words(&mut self, close: Close, effects: &mut Effects, now: Instant) {
        if !matches!(self.ending, Ending::Not) {
            return;
        }
        self.ending = Ending::Writing(close, now + CLOSE_WITHIN);
        // Nobody polls it any more, and what it holds others may wait for.
        self.asking = None;
        let mut waiting: Vec<_> = mem::take(&mut self.slots).into_iter().rev().collect();
        let mut last = Vec::new();
        self.outbox.take(&mut last);
        waiting.append(&mut last);
        let mut dropped = 0;
        for slot in waiting {
            match slot {
                Slot::Control(frame) => self.put_frame(&frame),
                slot => dropped += usize::from(slot.is_delivery()),
            }
        }
        for effect in effects.drain(..) {
            if let Effect::Write(frame) = effect {
                self.put_frame(&frame);
            }
        }
        self.registered.metrics.disconnected();
        self.registered.metrics.dropped(Dropped::SessionEnded, dropped + self.outbox.close());
    }

    /// Carries the end forward; ready when nothing more can be done for the client.
    pub(super) fn poll_ending(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<()> {
        if let Ending::Writing(close, by) = self.ending {
            match self.socket.poll_write(context) {
                Poll::Ready(Ok(())) => {
                    self.socket.close(close);
                    self.ending = Ending::Closing(by.max(now + CLOSE_WITHIN));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending if now >= by => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if let Ending::Closing(by) = self.ending {
            if let Poll::Ready(Err(_)) = self.socket.poll_write(context) {
                return Poll::Ready(());
            }
            // Also if bytes never cease: a client that goes on and on would be read for ever.
            if now >= by {
                return Poll::Ready(());
            }
            // Reading on until the client closes too: closing on unread bytes would reset the connection, and the
            // client might never see the last frame.
            for _ in 0..FRAMES_A_TURN {
                match self.socket.poll_discard(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
