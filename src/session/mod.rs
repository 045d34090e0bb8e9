//! One client's STOMP session: frames in, effects out.
//!
//! It sees no socket, clock, bus or right: whoever drives it reads and writes, keeps the time with [`Timers`], and
//! asks others what the session asks. It never blocks and never panics, whatever a client sends.

mod acknowledgement;
mod connected;
mod delivery;
mod error;
mod handshake;
mod heart_beat;
mod receipts;
mod request;
mod reserved;
mod settings;
mod state;
mod subscriptions;
mod timers;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use stomp_frames::{Command, Frame, ParseError, Text, Version};

pub use acknowledgement::AckId;
pub use delivery::render;
pub use error::ProtocolError;
pub use heart_beat::HeartBeats;
pub use request::{Connect, From, REFRESH, Refresh, Request, Send, Subscribe};
pub use reserved::is_reserved;
pub use settings::SessionSettings;
pub use timers::{Due, Timers};

use crate::message::{Close, Code, Message, Outcome, Refusal, Tag, Ticket, UserName};
use connected::{Connected, Fatal, Next};
use handshake::Negotiated;
use state::State;

/// What whoever drives a session has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write this whole frame. It is UTF-8, so WebSocket text will do.
    Write(Bytes),
    /// The next frame tells the client of a refusal with this code; for whoever counts them.
    Telling(Code),
    /// Let others decide; the outcome comes back by [`Session::resolve`], for CONNECT by [`Session::connected`] or
    /// [`Session::end`].
    Ask(Request),
    /// Write this delivery, which a full window held back: the tag's head, the id's line, the rendered rest. Skip it if
    /// the tag is ended. Its bytes are no longer among [`Session::held_bytes`].
    Deliver(Arc<Message>, Arc<Tag>, AckId),
    /// The handshake is over. Comes before the write of CONNECTED: from now on frames are read by this version and
    /// the limits after CONNECT, and the heart-beats run.
    Negotiated { version: Version, heart_beats: HeartBeats },
    /// Close the socket once what came before is written. The last effect of every session.
    Close(Close),
}

/// Filled by a session, emptied in order by whoever drives it.
pub type Effects = Vec<Effect>;

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InFlight {
    /// SENDs whose outcome was not told yet, and their bytes.
    pub sends: usize,
    pub bytes: usize,
    /// SUBSCRIBEs and UNSUBSCRIBEs.
    pub others: usize,
}

/// One client's session.
///
/// After each call [`Self::wants_frames`] and [`Self::is_over`] may have changed.
#[derive(Debug)]
pub struct Session {
    settings: Arc<SessionSettings>,
    id: Arc<str>,
    state: State,
}

impl Session {
    /// `id` is the public id of the session, which CONNECTED names.
    pub fn new(settings: Arc<SessionSettings>, id: Arc<str>) -> Self {
        Self { settings, id, state: State::default() }
    }

    /// Takes the next frame. Only while [`Self::wants_frames`]: a frame that comes while CONNECT is undecided ends
    /// the session with `not-connected`, since nobody knows yet whether this client may say anything.
    pub fn receive(&mut self, frame: &Frame, effects: &mut Effects) {
        let receipt = self.receipt_of(frame);
        let outcome = match &mut self.state {
            State::Opened => self.connect(frame, effects),
            State::Connecting(_) => Err(ProtocolError::NotConnected),
            State::Connected(inside) => inside.receive(frame, &self.settings, effects).map(|next| {
                if let Next::Disconnect(receipt) = next {
                    self.state.disconnect(receipt);
                    self.finish(effects);
                }
            }),
            // STOMP 1.2, DISCONNECT: "Clients MUST NOT send any more frames after the DISCONNECT frame is sent."
            State::Disconnecting(..) | State::Over => return,
        };
        if let Err(error) = outcome {
            self.fail(&error.into(), receipt.as_deref(), effects);
        }
    }

    /// Takes bytes that are no frame. None can follow them, so there is nothing more to read; after DISCONNECT they are
    /// ignored like frames.
    pub fn reject(&mut self, error: &ParseError, effects: &mut Effects) {
        if !matches!(self.state, State::Disconnecting(..)) {
            self.fail(&error::refusal_of(error), None, effects);
        }
    }

    /// CONNECT was accepted; [`Self::end`] with the reason if it was not. `sender_session` is what messages will name as
    /// their sender's.
    pub fn connected(&mut self, user: &UserName, sender_session: &str, effects: &mut Effects) {
        let State::Connecting(Negotiated { version, heart_beats }) = self.state else { return };
        self.state = State::Connected(Connected::new(version));
        effects.push(Effect::Negotiated { version, heart_beats });
        effects.push(Effect::Write(handshake::connected(version, user, &self.id, sender_session, &self.settings)));
    }

    /// A request of this session ended. Outcomes of SENDs may come in any order and are told in the order of the
    /// SENDs. A ticket that is not open is passed over.
    pub fn resolve(&mut self, ticket: Ticket, outcome: Outcome, effects: &mut Effects) {
        let Some(inside) = self.state.inside_mut() else { return };
        match inside.resolve(ticket, outcome, &self.id, effects) {
            Ok(()) => self.finish(effects),
            Err(Fatal { refusal, receipt }) => self.fail(&refusal, receipt.as_deref(), effects),
        }
    }

    /// A subscription lost its right: it ends, with a notice or with the session. One that is gone already is passed over.
    pub fn withdraw(&mut self, tag: &Arc<Tag>, refusal: Refusal, effects: &mut Effects) {
        let Some(inside) = self.state.inside_mut() else { return };
        if let Err(Fatal { refusal, receipt }) = inside.withdraw(tag, refusal, &self.id, effects) {
            self.fail(&refusal, receipt.as_deref(), effects);
        }
    }

    /// Ends the session from outside: the token expired, the client is slow, the node drains …
    pub fn end(&mut self, refusal: &Refusal, effects: &mut Effects) {
        self.fail(refusal, None, effects);
    }

    /// Registers a delivery that the client is to acknowledge, directly before it is written. None: don't write it.
    /// The subscription's window is full and the session holds the message until [`Effect::Deliver`], or the
    /// subscription is gone.
    pub fn track(&mut self, message: &Arc<Message>, tag: &Arc<Tag>) -> Option<AckId> {
        self.state.inside_mut()?.track(message, tag, &self.settings)
    }

    /// About how many bytes full windows hold back. They count against the outbox's budget, or a client that never
    /// acknowledges would cost any amount of memory.
    pub fn held_bytes(&self) -> usize {
        self.state.inside().map_or(0, |inside| inside.subscriptions.held_bytes())
    }

    /// What was agreed; none before CONNECTED and after the end.
    pub fn version(&self) -> Option<Version> {
        self.state.inside().map(|inside| inside.version)
    }

    /// Whether the next frame may be fed. While it is false its socket should not be read, and its inbound deadlines
    /// stand still.
    pub fn wants_frames(&self) -> bool {
        match &self.state {
            State::Connected(_) => {
                let InFlight { sends, bytes, others } = self.in_flight();
                // More SUBSCRIBEs than there may be subscriptions are refused, so these are bounded; and they must not keep
                // ACKs from being read, which a replay may be waiting for.
                let others_fit = others < self.settings.max_subscriptions.saturating_mul(2).max(self.settings.max_sends_in_flight);
                sends < self.settings.max_sends_in_flight && others_fit && bytes < self.settings.max_bytes_in_flight
            }
            // After DISCONNECT frames are ignored, so reading on costs nothing, and shows that the client closed its end.
            State::Opened | State::Disconnecting(..) => true,
            State::Connecting(_) | State::Over => false,
        }
    }

    pub fn in_flight(&self) -> InFlight {
        let (sends, bytes, others) = self.state.inside().map_or((0, 0, 0), |inside| inside.open.count());
        InFlight { sends, bytes, others }
    }

    /// How many deliveries this client has refused by NACK.
    pub fn nacks(&self) -> u64 {
        self.state.inside().map_or(0, |inside| inside.nacks)
    }

    /// Whether [`Effect::Close`] was given: nothing will be written any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn connect(&mut self, frame: &Frame, effects: &mut Effects) -> Result<(), ProtocolError> {
        let (negotiated, connect) = handshake::read(frame, &self.settings)?;
        self.state = State::Connecting(negotiated);
        effects.push(Effect::Ask(Request::Connect(connect)));
        Ok(())
    }

    /// Answers DISCONNECT once nothing is open.
    fn finish(&mut self, effects: &mut Effects) {
        let State::Disconnecting(inside, receipt) = &self.state else { return };
        if !inside.open.is_empty() {
            return;
        }
        effects.extend(receipt.as_deref().map(|receipt| Effect::Write(inside.receipt(receipt, &Outcome::Done))));
        self.close(Close::Normal, effects);
    }

    fn fail(&mut self, refusal: &Refusal, receipt: Option<&str>, effects: &mut Effects) {
        if self.is_over() {
            return;
        }
        effects.push(Effect::Telling(refusal.code));
        effects.push(Effect::Write(error::frame(refusal, receipt, self.version())));
        self.close(refusal.code.close(), effects);
    }

    fn close(&mut self, close: Close, effects: &mut Effects) {
        if let Some(inside) = self.state.inside() {
            inside.subscriptions.end();
        }
        effects.push(Effect::Close(close));
        self.state = State::Over;
    }

    /// The receipt that an ERROR to this frame is to name; none that is not one.
    fn receipt_of(&self, frame: &Frame) -> Option<Text> {
        // STOMP 1.2, receipt: "Any client frame other than CONNECT MAY specify a receipt header".
        if matches!(frame.command, Command::Connect | Command::Stomp) {
            return None;
        }
        request::short(frame, "receipt", &self.settings).ok().flatten()
    }
}
