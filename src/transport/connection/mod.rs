//! One client's connection: bytes in, frames to the session, what the session wants done, and deliveries out.
//!
//! One task polls everything and owns the session; nothing here is locked but the outbox. An automatic delivery never
//! touches the session.

mod clock;
mod ending;
mod output;

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

use self::ending::Ending;
use super::connections::Registered;
use super::websocket::{End, Incoming, Passed, WebSocket};
use crate::broker::{Outbox, Slot};
use crate::channel::{Caller, Handled, InboundChannel};
use crate::message::{Code, Outcome, Refusal, Tag, Ticket, User};
use crate::metrics::{Dropped, Slow};
use crate::session::{Effect, Effects, Request, Session, SessionSettings, Timers};

/// How much of the input is worked on before others get their turn.
const FRAMES_A_TURN: usize = 32;
/// How often one wake-up goes round before others get their turn.
const TURNS: usize = 16;
/// What a session has whose token was accepted after its end, because clocks may differ.
const GRACE: Duration = Duration::from_secs(5);
/// A WebSocket message may hold several frames, or a part of one.
const MESSAGE_TO_FRAME: usize = 4;

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub(super) struct ConnectionSettings {
    pub(super) session: Arc<SessionSettings>,
    pub(super) before_connect: Limits,
    pub(super) after_connect: Limits,
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
    /// Headers that the client's STOMP version could not show it.
    left_out: usize,
    /// Deliveries that it refused.
    nacks: u64,
    /// The node stops, and this client leaves once its SENDs are answered.
    leaving: Option<Refusal>,
    ending: Ending,
    /// Among the connections of the node.
    registered: Registered,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    pub(super) fn new(
        io: IO,
        settings: ConnectionSettings,
        session: Session,
        caller: Box<Caller>,
        channel: Arc<InboundChannel>,
        registered: Registered,
    ) -> Self {
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
            left_out: 0,
            nacks: 0,
            leaving: None,
            ending: Ending::Not,
            registered,
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
                    self.registered.metrics.received(frame.command);
                    self.session.receive(&frame, &mut self.effects);
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
                    // After DISCONNECT what comes is ignored, and a decoder that failed would fail for ever.
                    self.decoder = Decoder::new(self.settings.after_connect);
                }
            }
        }
        Ok(Input::More)
    }

    /// One request at a time, and not more in flight than the session allows.
    fn wants_input(&self) -> bool {
        matches!(self.ending, Ending::Not) && self.leaving.is_none() && self.asking.is_none() && self.session.wants_frames()
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
        for code in effects.iter().filter_map(|effect| if let Effect::Telling(code) = effect { Some(*code) } else { None }) {
            self.registered.metrics.refused(code);
        }
        if let Some(close) = close {
            self.write_last_words(close, &mut effects, now);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Write(frame) if place == Place::Outbox => self.outbox.answer(Slot::Control(frame)),
                Effect::Write(frame) => self.put_frame(&frame),
                Effect::Deliver(message, tag, ack) => self.put_delivery(&message, &tag, Some(ack)),
                Effect::Negotiated { version, heart_beats } => {
                    self.decoder.set_version(version);
                    self.decoder.set_limits(self.settings.after_connect);
                    self.socket.set_max_message(self.settings.after_connect.frame * MESSAGE_TO_FRAME);
                    self.timers.negotiated(heart_beats, now);
                }
                Effect::Ask(request) => self.ask(request),
                Effect::Telling(_) | Effect::Close(_) => {}
            }
        }
        if self.held > 0 {
            self.count_held();
        }
        self.nacks = self.nacks.max(self.session.nacks());
    }

    fn ask(&mut self, request: Request) {
        // The session gives one request a frame, and frames wait while one is asked.
        if let Some(caller) = self.caller.take() {
            self.asking = Some(Arc::clone(&self.channel).handle(caller, request));
        }
    }

    fn poll_asked(&mut self, context: &mut Context<'_>, now: Instant) {
        while matches!(self.ending, Ending::Not) {
            self.take_over_roles();
            let Some(asking) = &mut self.asking else { return };
            let Poll::Ready((caller, handled)) = asking.as_mut().poll(context) else { return };
            self.asking = None;
            self.caller = Some(caller);
            self.handled(handled, now);
        }
    }

    /// Before the next request is asked, which is judged by them.
    fn take_over_roles(&mut self) {
        let Some(caller) = self.caller.take() else { return };
        match self.outbox.take_roles() {
            Some(roles) => self.asking = Some(Arc::clone(&self.channel).change_roles(caller, roles)),
            None => self.caller = Some(caller),
        }
    }

    fn handled(&mut self, handled: Handled, now: Instant) {
        match handled {
            Handled::Connected(user, sender_session) => self.connected(&user, &sender_session, now),
            Handled::Refreshed(ticket, user, withdrawn) => {
                self.expires(&user, now);
                self.resolve(ticket, Outcome::Done, now);
                self.withdraw(withdrawn, now);
            }
            Handled::Judged(withdrawn) => self.withdraw(withdrawn, now),
            Handled::Rejected(refusal) => {
                self.registered.metrics.denied(refusal.code);
                self.end(&refusal, now);
            }
            Handled::Done(ticket, outcome) => self.resolve(ticket, outcome, now),
            Handled::Answered => {}
            Handled::Pending(pending) => self.pending.push(pending),
        }
    }

    fn connected(&mut self, user: &User, sender_session: &str, now: Instant) {
        tracing::Span::current().record("user", user.name.as_str());
        tracing::debug!("session connected");
        self.registered.metrics.connected();
        self.expires(user, now);
        self.session.connected(&user.name, sender_session, &mut self.effects);
        self.apply(now);
    }

    /// When the session has to end for its token's sake.
    fn expires(&mut self, user: &User, now: Instant) {
        if let Some(expires_at) = user.expires_at {
            // So far in the future that no clock can say it: never.
            let expires_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires_at));
            let left = expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or(GRACE));
            self.timers.token_expires(left.and_then(|left| now.checked_add(left)));
        }
    }

    fn withdraw(&mut self, withdrawn: Vec<(Arc<Tag>, Refusal)>, now: Instant) {
        for (tag, refusal) in withdrawn {
            self.session.withdraw(&tag, refusal, &mut self.effects);
        }
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
        if self.session.in_flight().sends == 0
            && let Some(refusal) = self.leaving.take()
        {
            self.end(&refusal, now);
        }
    }

    /// Ends the session for a reason that is not the session's own.
    fn end(&mut self, refusal: &Refusal, now: Instant) {
        self.session.end(refusal, &mut self.effects);
        self.apply(now);
    }

    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let now = Instant::now();
            if !matches!(self.ending, Ending::Not) {
                // The alarm watches the end now.
                self.poll_timers(context, now);
                return self.poll_ending(context, now);
            }
            self.outbox.register(context.waker());
            if let Some(code) = self.ordered_end() {
                // Before anything that it asked for is answered: a token that was just revoked sees no CONNECTED.
                if code == Code::SlowConsumer {
                    self.registered.metrics.slow(Slow::OutboxFull);
                }
                self.end(&Refusal::new(code), now);
                continue;
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
            let wanted = self.wants_input();
            self.fill_socket(now);
            // Full: more may wait in the outbox, and nobody wakes a writer that has not emptied it.
            let full = !self.socket.has_room();
            let Ok(written) = self.poll_output(context, now) else { return Poll::Ready(()) };
            let acted = self.poll_timers(context, now);
            // An answer from the outbox may have let the next frame in.
            let wants_again = !wanted && self.wants_input();
            let more = input == Input::More || acted || wants_again || (written && full) || !matches!(self.ending, Ending::Not);
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
        let connection = self.get_mut();
        let polled = connection.poll_connection(context);
        let Passed { read, written } = connection.socket.take_passed();
        connection.registered.metrics.flush(read, written);
        polled
    }
}

impl<IO> Drop for Connection<IO> {
    fn drop(&mut self) {
        // Whoever still holds the outbox must not fill it any more.
        let waited = self.outbox.close() + self.slots.iter().filter(|slot| slot.is_delivery()).count();
        self.registered.metrics.dropped(Dropped::SessionEnded, waited);
        self.registered.metrics.dropped(Dropped::SlowConsumer, self.outbox.take_thrown_away());
        tracing::debug!(nacks = self.nacks, left_out_headers = self.left_out, "connection over");
    }
}
