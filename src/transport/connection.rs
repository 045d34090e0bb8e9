//! One client's connection: bytes in, frames to the session, what the session wants done, and deliveries out.
//!
//! One task polls everything and owns the session; nothing here is locked but the outbox. An automatic delivery never
//! touches the session.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use stomp_frames::{Decoder, Item, Limits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use super::connections::Registered;
use super::websocket::{End, Incoming, WebSocket};
use crate::broker::{Outbox, Slot};
use crate::channel::{Caller, Handled, InboundChannel};
use crate::message::{Close, Code, Message, Outcome, Refusal, Tag, Ticket, User};
use crate::session::{AckId, Due, Effect, Effects, Request, Session, SessionSettings, Timers, render};

/// How much of the input is worked on before others get their turn.
const FRAMES_A_TURN: usize = 32;
/// How often one wake-up goes round before others get their turn.
const TURNS: usize = 16;
/// A WebSocket message may hold several frames, or a part of one.
const MESSAGE_TO_FRAME: usize = 4;
/// How long a client may take to read the last words and to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub(super) struct ConnectionSettings {
    pub(super) session: Arc<SessionSettings>,
    pub(super) before_connect: Limits,
    pub(super) after_connect: Limits,
}

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Not,
    /// The last frame is being written; then it will be closed so.
    Writing(Close, Instant),
    /// The close frame is being written, or the client's is waited for.
    Closing(Instant),
}

/// Where the session's frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outbox,
    Socket,
}

/// What reading led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Nothing more for now.
    Waiting,
    /// There may be more at once.
    More,
}

/// A connection; resolves when the client is gone.
pub(super) struct Connection<IO> {
    socket: WebSocket<IO>,
    settings: ConnectionSettings,
    decoder: Decoder,
    session: Session,
    timers: Timers,
    channel: Arc<InboundChannel>,
    outbox: Arc<Outbox>,
    /// At home while no request is with the channel.
    caller: Option<Box<Caller>>,
    asking: Option<BoxFuture<'static, (Box<Caller>, Handled)>>,
    /// SENDs that the bus has, and replays under way.
    pending: FuturesUnordered<BoxFuture<'static, Option<(Ticket, Outcome)>>>,
    /// Taken from the outbox, the next at the end.
    slots: Vec<Slot>,
    /// What the bytes put into the socket count in the outbox.
    unreleased: usize,
    /// What the session holds back counts there too.
    held: usize,
    effects: Effects,
    alarm: Option<Pin<Box<Sleep>>>,
    ending: Ending,
    /// Among the connections of the node.
    _registered: Registered,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    pub(super) fn new(io: IO, settings: ConnectionSettings, session: Session, caller: Box<Caller>, channel: Arc<InboundChannel>, registered: Registered) -> Self {
        Self {
            socket: WebSocket::new(io, settings.before_connect.frame * MESSAGE_TO_FRAME),
            decoder: Decoder::new(settings.before_connect),
            session,
            timers: Timers::new(&settings.session, Instant::now()),
            channel,
            outbox: Arc::clone(&caller.outbox),
            caller: Some(caller),
            asking: None,
            pending: FuturesUnordered::new(),
            slots: Vec::new(),
            unreleased: 0,
            held: 0,
            effects: Effects::new(),
            alarm: None,
            ending: Ending::Not,
            _registered: registered,
            settings,
        }
    }

    /// Feeds what was read to the session.
    fn poll_input(&mut self, context: &mut Context<'_>, now: Instant) -> Result<Input, End> {
        for _ in 0..FRAMES_A_TURN {
            if !self.wants_input() {
                self.timers.pause_reading(now);
                return Ok(Input::Waiting);
            }
            self.timers.resume_reading(now);
            match self.decoder.next_item() {
                Ok(Some(Item::Frame(frame))) => {
                    self.timers.frame_done();
                    self.session.receive(frame, &mut self.effects);
                    self.apply(now);
                    if self.asking.is_some() {
                        // To be polled before anything else is read.
                        return Ok(Input::More);
                    }
                }
                Ok(Some(Item::HeartBeat)) => {}
                Ok(None) => match self.socket.poll_read(context) {
                    Poll::Ready(Ok(incoming)) => {
                        self.timers.read(now);
                        if let Incoming::Data(bytes) = incoming {
                            self.decoder.push(bytes);
                        }
                    }
                    Poll::Ready(Err(End::TooLarge)) => self.end(&Refusal::new(Code::MessageTooLarge), now),
                    Poll::Ready(Err(end)) => return Err(end),
                    Poll::Pending => {
                        if self.decoder.is_mid_frame() || self.socket.is_mid_message() {
                            self.timers.frame_begun(now);
                        } else {
                            self.timers.frame_done();
                        }
                        return Ok(Input::Waiting);
                    }
                },
                Err(error) => {
                    self.session.reject(&error, &mut self.effects);
                    self.apply(now);
                }
            }
        }
        Ok(Input::More)
    }

    /// One request at a time, and not more in flight than the session allows.
    fn wants_input(&self) -> bool {
        matches!(self.ending, Ending::Not) && self.asking.is_none() && self.session.wants_frames()
    }

    /// Does what the session wants, in its order; its frames go behind what waits in the outbox.
    fn apply(&mut self, now: Instant) {
        self.apply_to(Place::Outbox, now);
    }

    fn apply_to(&mut self, place: Place, now: Instant) {
        let mut effects = mem::take(&mut self.effects);
        let close = effects.iter().find_map(|effect| match effect {
            Effect::Close(close) => Some(*close),
            _ => None,
        });
        if let Some(close) = close {
            self.write_last_words(close, &mut effects, now);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Write(frame) if place == Place::Outbox => self.outbox.answer(Slot::Control(frame)),
                Effect::Write(frame) => self.socket.put(true, &[&frame]),
                Effect::Deliver(message, tag, ack) => self.put_delivery(&message, &tag, Some(ack)),
                Effect::Negotiated { version, heart_beats } => {
                    self.decoder.set_version(version);
                    self.decoder.set_limits(self.settings.after_connect);
                    self.socket.set_max_message(self.settings.after_connect.frame * MESSAGE_TO_FRAME);
                    self.timers.negotiated(heart_beats, now);
                }
                Effect::Ask(request) => self.ask(request),
                Effect::Close(_) => {}
            }
        }
        if self.held > 0 {
            self.count_held();
        }
    }

    fn ask(&mut self, request: Request) {
        // The session gives one request a frame, and frames wait while one is asked.
        if let Some(caller) = self.caller.take() {
            self.asking = Some(Arc::clone(&self.channel).handle(caller, request));
        }
    }

    fn poll_asked(&mut self, context: &mut Context<'_>, now: Instant) {
        let Some(asking) = &mut self.asking else { return };
        let Poll::Ready((caller, handled)) = asking.as_mut().poll(context) else { return };
        self.asking = None;
        self.caller = Some(caller);
        match handled {
            Handled::Connected(user) => self.connected(&user, now),
            Handled::Rejected(refusal) => self.end(&refusal, now),
            Handled::Done(ticket, outcome) => self.resolve(ticket, outcome, now),
            Handled::Answered => {}
            Handled::Pending(pending) => self.pending.push(pending),
        }
    }

    fn connected(&mut self, user: &User, now: Instant) {
        tracing::Span::current().record("user", user.name.as_str());
        tracing::debug!("session connected");
        if let Some(expires_at) = user.expires_at {
            let left = (SystemTime::UNIX_EPOCH + Duration::from_secs(expires_at)).duration_since(SystemTime::now()).unwrap_or_default();
            // So far in the future that no clock can say it: never.
            self.timers.token_expires(now.checked_add(left));
        }
        self.session.connected(&user.name, &mut self.effects);
        self.apply(now);
    }

    fn resolve(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        self.session.resolve(ticket, outcome, &mut self.effects);
        self.apply(now);
    }

    fn poll_pending(&mut self, context: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(Some(ended)) = self.pending.poll_next_unpin(context) {
            if let Some((ticket, outcome)) = ended {
                self.resolve(ticket, outcome, now);
            }
        }
    }

    /// Ends the session for a reason that is not the session's own.
    fn end(&mut self, refusal: &Refusal, now: Instant) {
        self.session.end(refusal, &mut self.effects);
        self.apply(now);
    }

    /// Moves from the outbox into the socket what fits.
    fn fill_socket(&mut self, context: &Context<'_>, now: Instant) {
        self.outbox.register(context.waker());
        if self.outbox.is_overflowed() && matches!(self.ending, Ending::Not) {
            self.end(&Refusal::new(Code::SlowConsumer), now);
        }
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

    fn put(&mut self, slot: Slot, now: Instant) {
        match slot {
            Slot::Control(frame) => {
                self.unreleased += frame.len();
                self.socket.put(true, &[&frame]);
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
            Slot::End(refusal) => self.end(&refusal, now),
        }
    }

    /// Moves what the session began to hold, or let go, between what counts on and what counts until it is written.
    fn count_held(&mut self) {
        let held = self.session.held_bytes();
        self.unreleased = (self.unreleased + self.held).saturating_sub(held);
        self.held = held;
    }

    fn put_delivery(&mut self, message: &Arc<Message>, tag: &Arc<Tag>, ack: Option<AckId>) {
        let Some(version) = self.session.version() else { return };
        if tag.is_ended() {
            return;
        }
        let rendered = message.rendered.get_or_render(version.index(), || render(message, version));
        match ack {
            None => self.socket.put(rendered.text, &[&tag.head, &rendered.rest]),
            Some(ack) => self.socket.put(rendered.text, &[&tag.head, &ack.line(version), &rendered.rest]),
        }
    }

    /// The session is over: what was answered goes out, and after it the last frame. Deliveries that still wait go
    /// out only if the client asked for the end; after an error they would only keep it from being told.
    fn write_last_words(&mut self, close: Close, effects: &mut Effects, now: Instant) {
        if !matches!(self.ending, Ending::Not) {
            return;
        }
        self.ending = Ending::Writing(close, now + CLOSE_WITHIN);
        let mut waiting: Vec<_> = mem::take(&mut self.slots).into_iter().rev().collect();
        let mut last = Vec::new();
        self.outbox.take(&mut last);
        waiting.append(&mut last);
        for slot in waiting {
            if matches!(slot, Slot::Control(_)) || close == Close::Normal {
                self.put(slot, now);
            }
        }
        for effect in effects.drain(..) {
            if let Effect::Write(frame) = effect {
                self.socket.put(true, &[&frame]);
            }
        }
        self.outbox.close();
    }

    /// Writes what is there; whether the socket took all of it.
    fn poll_output(&mut self, context: &mut Context<'_>, now: Instant) -> Result<bool, End> {
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
                self.timers.writing_since(now);
                Ok(false)
            }
        }
    }

    /// Acts on what is due, and sets the alarm for what comes next.
    fn poll_timers(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        let mut acted = false;
        while let (Ending::Not, Some(due)) = (&self.ending, self.timers.due(now)) {
            acted = true;
            let code = match due {
                Due::Beat => {
                    self.socket.put(true, &[b"\n"]);
                    self.timers.wrote(now);
                    continue;
                }
                Due::HeartBeatLost => Code::HeartBeatLost,
                Due::ConnectTimeout => Code::ConnectTimeout,
                Due::FrameTimeout => Code::FrameTimeout,
                Due::WriteStalled => Code::SlowConsumer,
                Due::TokenExpired => Code::TokenExpired,
                Due::Drain => Code::Draining,
            };
            self.end(&Refusal::new(code), now);
        }
        let next = match self.ending {
            Ending::Not => self.timers.next(),
            Ending::Writing(_, by) | Ending::Closing(by) => Some(by),
        };
        acted | self.poll_alarm(context, next)
    }

    /// Wakes this task at `next` or a little before; whether that time has come. An alarm that is early enough stays:
    /// moving it at every write would cost more than one wake-up too many.
    fn poll_alarm(&mut self, context: &mut Context<'_>, next: Option<Instant>) -> bool {
        let Some(next) = next.map(tokio::time::Instant::from_std) else { return false };
        let alarm = match &mut self.alarm {
            Some(alarm) => {
                if alarm.deadline() > next || alarm.is_elapsed() {
                    alarm.as_mut().reset(next);
                }
                alarm
            }
            None => self.alarm.insert(Box::pin(tokio::time::sleep_until(next))),
        };
        alarm.as_mut().poll(context).is_ready()
    }

    /// Carries the end forward; ready when nothing more can be done for the client.
    fn poll_ending(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<()> {
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

    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let now = Instant::now();
            if !matches!(self.ending, Ending::Not) {
                // The alarm watches the end now.
                self.poll_timers(context, now);
                return self.poll_ending(context, now);
            }
            self.poll_asked(context, now);
            self.poll_pending(context, now);
            let input = match self.poll_input(context, now) {
                Ok(input) => input,
                Err(End::Protocol) => {
                    self.end(&Refusal::new(Code::MalformedFrame), now);
                    continue;
                }
                Err(_) => return Poll::Ready(()),
            };
            self.fill_socket(context, now);
            let Ok(written) = self.poll_output(context, now) else { return Poll::Ready(()) };
            let acted = self.poll_timers(context, now);
            let more = input == Input::More || acted || (written && !self.slots.is_empty()) || !matches!(self.ending, Ending::Not);
            if !more {
                return Poll::Pending;
            }
        }
        // Others on this thread get their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Connection<IO> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_connection(context)
    }
}

impl<IO> Drop for Connection<IO> {
    fn drop(&mut self) {
        // Whoever still holds the outbox must not fill it any more.
        self.outbox.close();
    }
}
