//! Whatever a client sends and others answer, in any order: what must always hold.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use stomp_frames::{Command, Decoder, Frame, Item, Limits, ParseError, Version};
use uuid::Uuid;

use super::*;
use crate::message::{AckMode, Code, Destination, RenderedOnce};

#[derive(Debug, Clone)]
enum Step {
    Frame(Frame),
    Reject,
    Accept,
    End,
    /// One of the tickets given out so far, told again or not; or one that never was.
    Resolve(prop::sample::Index, Outcome),
    Stray(u64),
    /// To one of the subscriptions asked for so far.
    Message(prop::sample::Index),
    Withdraw(prop::sample::Index),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Done),
        2 => Just(Outcome::Subscribed { position: None, recovered: Some(true) }),
        2 => Just(Outcome::Refused(Refusal { notify: true, ..Refusal::new(Code::SendDenied) })),
        1 => Just(Outcome::Refused(Refusal::new(Code::BusUnavailable))),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let destination = prop::sample::select(vec!["/topic/a", "/topic/b", "/topic/*", "/user/queue/errors"]);
    let id = prop::sample::select(vec!["1", "2", "3"]);
    let ack = prop::sample::select(vec!["auto", "client", "client-individual"]);
    let answer = prop::sample::select(vec![Command::Ack, Command::Nack]);
    prop_oneof![
        8 => Just(Frame::new(Command::Send).with_header("destination", "/topic/a").with_body("hello")),
        8 => (destination, id.clone(), ack).prop_map(|(destination, id, ack)| {
            Frame::new(Command::Subscribe).with_header("destination", destination).with_header("id", id).with_header("ack", ack)
        }),
        4 => id.clone().prop_map(|id| Frame::new(Command::Unsubscribe).with_header("id", id)),
        6 => (answer, 1..5_u64, 1..6_u64).prop_map(|(command, serial, number)| {
            Frame::new(command)
                .with_header("id", format!("{serial}-{number}"))
                .with_header("message-id", Uuid::from_u128(number.into()).to_string())
                .with_header("subscription", serial.to_string())
        }),
        1 => Just(Frame::new(Command::Disconnect)),
        // Anything, with headers that mean something somewhere.
        1 => (0..15_usize, id).prop_map(|(index, id)| {
            let command = Command::all().nth(index).unwrap_or(Command::Error);
            Frame::new(command).with_header("id", id).with_header("destination", "/topic/a").with_header("transaction", "t")
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => frame().prop_map(Step::Frame),
        20 => (any::<prop::sample::Index>(), outcome()).prop_map(|(index, outcome)| Step::Resolve(index, outcome)),
        15 => any::<prop::sample::Index>().prop_map(Step::Message),
        2 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        1 => any::<u64>().prop_map(Step::Stray),
        1 => prop::sample::select(vec![Step::Reject, Step::Accept, Step::End]),
    ]
}

/// Drives a session and keeps book of everything that left it.
struct Book {
    session: Session,
    version: Version,
    tickets: Vec<Ticket>,
    tags: Vec<Arc<Tag>>,
    /// How often each receipt was asked for, and given.
    asked: HashMap<String, usize>,
    given: HashMap<String, usize>,
    last_send: u64,
    messages: u128,
    closed: bool,
    error: bool,
}

impl Book {
    fn new(version: Version) -> Self {
        let settings = SessionSettings { ack_window: 2, max_subscriptions: 2, ..SessionSettings::default() };
        Self {
            session: Session::new(Arc::new(settings), "s1".into()),
            version,
            tickets: Vec::new(),
            tags: Vec::new(),
            asked: HashMap::new(),
            given: HashMap::new(),
            last_send: 0,
            messages: 0,
            closed: false,
            error: false,
        }
    }

    fn connect(&mut self) {
        let mut effects = Effects::new();
        let frame = Frame::new(Command::Connect).with_header("accept-version", self.version.as_str());
        self.session.receive(&frame, &mut effects);
        assert!(!self.session.wants_frames());
        self.session.connected(&UserName::new("alice").unwrap(), "s1", &mut effects);
        assert!(matches!(effects[..], [Effect::Ask(Request::Connect(_)), Effect::Negotiated { .. }, Effect::Write(_)]));
    }

    fn step(&mut self, number: usize, step: Step) {
        let mut effects = Effects::new();
        match step {
            Step::Frame(frame) => {
                // Sends have receipts that rise, so that their order can be read; others share some.
                let receipt = if frame.command == Command::Send { format!("send-{}", number + 1) } else { format!("r{}", number % 3) };
                if !matches!(frame.command, Command::Connect | Command::Stomp) {
                    *self.asked.entry(receipt.clone()).or_default() += 1;
                }
                self.session.receive(&frame.with_header("receipt", receipt), &mut effects);
            }
            Step::Reject => self.session.reject(&ParseError::NotUtf8, &mut effects),
            Step::Accept => self.session.connected(&UserName::new("mallory").unwrap(), "s1", &mut effects),
            Step::End => self.session.end(&Refusal::new(Code::Draining), &mut effects),
            Step::Resolve(index, outcome) => {
                if !self.tickets.is_empty() {
                    let ticket = *index.get(&self.tickets);
                    self.session.resolve(ticket, outcome, &mut effects);
                }
            }
            Step::Stray(ticket) => self.session.resolve(Ticket(ticket.saturating_add(1_000_000)), Outcome::Done, &mut effects),
            Step::Message(index) => self.message(index),
            Step::Withdraw(index) => {
                if !self.tags.is_empty() {
                    index.get(&self.tags).end();
                }
            }
        }
        self.note(effects);
    }

    fn message(&mut self, index: prop::sample::Index) {
        if self.tags.is_empty() {
            return;
        }
        self.messages += 1;
        let message = Arc::new(Message {
            id: Uuid::from_u128(self.messages),
            destination: Destination::parse("/topic/a").unwrap(),
            sender: None,
            session: None,
            timestamp_ms: 0,
            content_type: None,
            headers: Arc::new([]),
            body: Bytes::new(),
            position: None,
            rendered: RenderedOnce::default(),
        });
        let tag = index.get(&self.tags);
        if tag.ack != AckMode::Auto && !tag.is_ended() {
            let id = self.session.track(&message, tag);
            assert!(id.is_none() || !self.closed, "no delivery after the end");
        }
    }

    fn note(&mut self, effects: Effects) {
        for effect in effects {
            assert!(!self.closed, "nothing comes after the close: {effect:?}");
            assert!(!self.error || matches!(effect, Effect::Close(_)), "nothing but the close comes after ERROR: {effect:?}");
            match effect {
                Effect::Write(bytes) => self.written(&bytes),
                Effect::Ask(request) => {
                    let ticket = match request {
                        Request::Connect(_) => panic!("asked to connect twice"),
                        Request::Send(ticket, _) | Request::Refresh(ticket, _) | Request::Unsubscribe(ticket, _) => ticket,
                        Request::Subscribe(ticket, subscribe) => {
                            self.tags.push(subscribe.tag);
                            ticket
                        }
                    };
                    assert!(!self.tickets.contains(&ticket));
                    self.tickets.push(ticket);
                }
                Effect::Telling(_) => {}
                Effect::Deliver(_, tag, _) => assert!(!tag.is_ended()),
                Effect::Negotiated { .. } => panic!("negotiated twice"),
                Effect::Close(_) => self.closed = true,
            }
        }
        assert_eq!(self.closed, self.session.is_over());
        assert!(!self.closed || self.tags.iter().all(|tag| tag.is_ended()), "subscriptions end with their session");
    }

    fn written(&mut self, bytes: &Bytes) {
        let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
        decoder.set_version(self.version);
        decoder.push(bytes.clone());
        let Ok(Some(Item::Frame(frame))) = decoder.next_item() else { panic!("no frame: {bytes:?}") };
        assert_eq!(decoder.next_item(), Ok(None), "one frame a write");
        let receipt = frame.header("receipt-id").map(str::to_owned);
        match frame.command {
            Command::Error => self.error = true,
            Command::Receipt | Command::Message => {}
            other => panic!("{other} is not for a connected client"),
        }
        let Some(receipt) = receipt else { return };
        *self.given.entry(receipt.clone()).or_default() += 1;
        assert!(self.given[&receipt] <= self.asked.get(&receipt).copied().unwrap_or_default(), "one answer a receipt: {receipt}");
        // An ERROR to a frame that is not legal does not wait.
        if let (false, Some(number)) = (self.error, receipt.strip_prefix("send-")) {
            let number = number.parse().unwrap();
            assert!(number > self.last_send, "sends are answered in order");
            self.last_send = number;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_comes_the_session_keeps_its_word(version in 0..3_usize, steps in prop::collection::vec(step(), 0..80)) {
        let mut book = Book::new(Version::ALL[version]);
        book.connect();
        for (number, step) in steps.into_iter().enumerate() {
            book.step(number, step);
        }
        // Once all is answered nothing is left, and every receipt was given.
        let mut effects = Effects::new();
        for ticket in book.tickets.clone() {
            book.session.resolve(ticket, Outcome::Done, &mut effects);
        }
        book.note(effects);
        prop_assert_eq!(book.session.in_flight(), InFlight::default());
        if !book.closed {
            prop_assert_eq!(&book.given, &book.asked);
        }
    }

    #[test]
    fn whatever_comes_first_nothing_but_connect_is_acted_on(frames in prop::collection::vec(frame(), 1..5)) {
        let mut session = Book::new(Version::V1_2).session;
        let mut effects = Effects::new();
        for frame in frames {
            session.receive(&frame, &mut effects);
        }
        let asked = effects.iter().filter(|effect| matches!(effect, Effect::Ask(request) if !matches!(request, Request::Connect(_))));
        prop_assert_eq!(asked.count(), 0);
    }
}

#[test]
fn a_frame_while_connect_is_undecided_ends_the_session() {
    let mut session = Book::new(Version::V1_2).session;
    let mut effects = Effects::new();
    session.receive(&Frame::new(Command::Connect).with_header("accept-version", "1.2"), &mut effects);
    effects.clear();
    session.receive(&Frame::new(Command::Send).with_header("destination", "/topic/a"), &mut effects);
    let [Effect::Telling(Code::NotConnected), Effect::Write(error), Effect::Close(Close::Protocol)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(error.windows(19).any(|window| window == b"\ncode:not-connected"), "{error:?}");
    session.connected(&UserName::new("alice").unwrap(), "s1", &mut effects);
    assert_eq!(effects.len(), 3);
}

#[test]
fn one_byte_too_many_in_flight_stops_the_reading() {
    let settings = SessionSettings { max_bytes_in_flight: 10, ..SessionSettings::default() };
    let mut book = Book::new(Version::V1_2);
    book.session = Session::new(Arc::new(settings), "s1".into());
    book.connect();
    let send = || Frame::new(Command::Send).with_header("destination", "/topic/a").with_body("12345");
    let mut effects = Effects::new();
    book.session.receive(&send(), &mut effects);
    assert!(book.session.wants_frames());
    book.session.receive(&send(), &mut effects);
    assert!(!book.session.wants_frames());
    assert_eq!(book.session.in_flight(), InFlight { sends: 2, bytes: 10, others: 0 });
    book.session.resolve(Ticket(2), Outcome::Done, &mut effects);
    assert!(!book.session.wants_frames(), "its turn has not come");
    book.session.resolve(Ticket(1), Outcome::Done, &mut effects);
    assert!(book.session.wants_frames());
}
