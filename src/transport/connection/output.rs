//! From the outbox to the socket, in order; what a delivery costs, and when that is given back.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Place};
use crate::broker::Slot;
use crate::message::{Code, Message, Tag};
use crate::session::{AckId, render};
use crate::transport::websocket::End;

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// Why the session has to end at once, whatever waits for its client.
    pub(super) fn ordered_end(&self) -> Option<Code> {
        self.outbox.ended().or_else(|| self.outbox.is_overflowed().then_some(Code::SlowConsumer))
    }

    /// Moves from the outbox into the socket what fits.
    pub(super) fn fill_socket(&mut self, now: Instant) {
        while self.socket.has_room() {
            if self.slots.is_empty() {
                if !self.outbox.take(&mut self.slots) {
                    return;
                }
                self.slots.reverse();
            }
            while self.socket.has_room() {
                let Some(slot) = self.slots.pop() else { break };
                self.put(slot, now);
            }
            // An idle connection keeps no room for a burst.
            if self.slots.is_empty() && self.slots.capacity() > 4 {
                self.slots = Vec::new();
            }
        }
    }

    pub(super) fn put(&mut self, slot: Slot, now: Instant) {
        match slot {
            Slot::Control(frame) => {
                self.unreleased += frame.len();
                self.put_frame(&frame);
            }
            Slot::Auto(message, tag) => {
                self.unreleased += message.size();
                self.put_delivery(&message, &tag, None);
            }
            Slot::Tracked(message, tag) => {
                self.unreleased += message.size();
                match self.session.track(&message, &tag) {
                    Some(ack) => self.put_delivery(&message, &tag, Some(ack)),
                    // The client's window is full: the session keeps it, and its bytes keep counting.
                    None => self.count_held(),
                }
            }
            Slot::Answer(ticket, outcome) => {
                // Its turn is now: what follows in the outbox may rest on it.
                self.session.resolve(ticket, outcome, &mut self.effects);
                self.apply_to(Place::Socket, now);
            }
            // What the bus has already will be answered, so that nobody sends it again.
            Slot::End(refusal) if refusal.code == Code::Draining && self.session.in_flight().sends > 0 => self.leaving = Some(refusal),
            Slot::End(refusal) => self.end(&refusal, now),
        }
    }

    /// A frame that is no delivery.
    pub(super) fn put_frame(&mut self, frame: &[u8]) {
        self.registered.metrics.sent(frame);
        self.socket.put(true, &[frame]);
    }

    /// Moves what the session began to hold, or let go, between what counts on and what counts until it is written.
    pub(super) fn count_held(&mut self) {
        let held = self.session.held_bytes();
        self.unreleased = (self.unreleased + self.held).saturating_sub(held);
        self.held = held;
    }

    pub(super) fn put_delivery(&mut self, message: &Arc<Message>, tag: &Arc<Tag>, ack: Option<AckId>) {
        let Some(version) = self.session.version() else { return };
        if tag.is_ended() {
            return self.registered.metrics.too_late();
        }
        self.registered.metrics.delivered();
        let rendered = message.rendered.get_or_render(version.index(), || render(message, version));
        self.left_out += rendered.left_out;
        match ack {
            None => self.socket.put(rendered.text, &[&tag.head, &rendered.rest]),
            Some(ack) => self.socket.put(rendered.text, &[&tag.head, &ack.line(version), &rendered.rest]),
        }
    }

    /// Writes what is there; whether the socket took all of it.
    pub(super) fn poll_output(&mut self, context: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        let had_some = !self.socket.is_written();
        match self.socket.poll_write(context) {
            Poll::Ready(result) => {
                result?;
                if had_some {
                    self.timers.wrote(now);
                }
                self.timers.write_done();
                self.outbox.release(mem::take(&mut self.unreleased));
                Ok(true)
            }
            Poll::Pending => {
                if self.socket.take_progress() {
                    self.timers.write_done();
                }
                self.timers.writing_since(now);
                Ok(false)
            }
        }
    }
}
