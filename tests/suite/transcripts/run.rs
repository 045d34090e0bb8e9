//! Plays a transcript: the part that a connection has around its session, with lines in place of a socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use footfall::message::{AckMode, Code, Destination, Message, Outcome, Refusal, SubscribeTo, Tag, Ticket, UserName};
use footfall::session::{AckId, Due, Effect, Effects, Request, Session, SessionSettings, Timers, render};
use stomp_frames::{Decoder, Item, Limits};
use uuid::Uuid;

use super::print;

pub(super) struct Run {
    session: Session,
    timers: Timers,
    decoder: Decoder,
    now: Instant,
    effects: Effects,
    /// The newest subscription with each id, as others know it.
    subscriptions: HashMap<String, (Arc<Tag>, SubscribeTo)>,
    reading: bool,
    nacks: u64,
    lines: Vec<String>,
}

impl Run {
    pub(super) fn play(script: &[&str]) -> Vec<String> {
        let settings = match script.first().and_then(|line| line.strip_prefix("! settings ")) {
            Some(settings) => serde_json::from_str(settings).unwrap(),
            None => SessionSettings::default(),
        };
        let now = Instant::now();
        let mut run = Self {
            timers: Timers::new(&settings, now),
            session: Session::new(Arc::new(settings), "s1".into()),
            decoder: Decoder::new(Limits::BEFORE_CONNECT),
            now,
            effects: Effects::new(),
            subscriptions: HashMap::new(),
            reading: true,
            nacks: 0,
            lines: Vec::new(),
        };
        let is_sent = |line: &str| line.starts_with('>');
        let mut rest = script;
        while let [line, after @ ..] = rest {
            if is_sent(line) {
                let count = rest.iter().take_while(|line| is_sent(line)).count();
                run.echo(&rest[..count]);
                run.sent(&rest[..count]);
                rest = &rest[count..];
                continue;
            }
            if let Some(time) = line.strip_prefix('+') {
                run.echo(&[line]);
                run.pass(duration(time));
            } else if let Some(words) = line.strip_prefix("! ") {
                run.echo(&[line]);
                run.others(words);
            }
            rest = after;
        }
        run.lines
    }

    fn echo(&mut self, lines: &[&str]) {
        self.lines.extend(lines.iter().map(|line| (*line).to_owned()));
    }

    fn sent(&mut self, lines: &[&str]) {
        let mut bytes = Vec::new();
        for line in lines {
            match line[1..].strip_prefix(' ').unwrap_or_default() {
                "(beat)" => bytes.push(b'\n'),
                text => {
                    bytes.extend_from_slice(text.replace("^@", "\0").replace("^M", "\r").as_bytes());
                    if !text.ends_with("^@") {
                        bytes.push(b'\n');
                    }
                }
            }
        }
        self.timers.read(self.now);
        self.decoder.push(bytes.into());
        self.feed();
    }

    fn feed(&mut self) {
        while self.session.wants_frames() {
            let item = match self.decoder.next_item() {
                Ok(None) => {
                    if self.decoder.is_mid_frame() {
                        self.timers.frame_begun(self.now);
                    }
                    break;
                }
                Ok(Some(Item::HeartBeat)) => continue,
                Ok(Some(Item::Frame(frame))) => frame,
                Err(error) => {
                    self.session.reject(&error, &mut self.effects);
                    self.act();
                    break;
                }
            };
            self.timers.frame_done();
            self.session.receive(&item, &mut self.effects);
            self.act();
        }
        self.watch();
    }

    /// What others say:
    /// `session <version>` a handshake that is not the transcript's point; `accepted <user>`; `end <code>`;
    /// `<ticket> done | live [position] [recovered | lost] | refused <code> [notify]`;
    /// `message <number> to <subscription> [<header>=<value, \n for a line end>]`;
    /// `withdrawn <subscription>` by others; `stalled`, `written`; `token expires in <time>`.
    fn others(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        match words[..] {
            ["settings", ..] => {}
            ["session", version] => {
                let bytes = format!("CONNECT\naccept-version:{version}\n\n\0");
                let before = self.lines.len();
                self.decoder.push(bytes.into());
                self.feed();
                self.session.connected(&UserName::new("alice").unwrap(), "l1", &mut self.effects);
                self.act();
                self.lines.truncate(before);
            }
            ["accepted", user] => self.session.connected(&UserName::new(user).unwrap(), "l1", &mut self.effects),
            ["end", code] => self.session.end(&Refusal::new(named(code)), &mut self.effects),
            ["message", number, "to", id] => self.message(number, id, None),
            ["message", number, "to", id, header] => self.message(number, id, Some(header)),
            ["withdrawn", id] => self.subscriptions[id].0.end(),
            ["stalled"] => self.timers.writing_since(self.now),
            ["written"] => {
                self.timers.write_done();
                self.timers.wrote(self.now);
            }
            ["token", "expires", "in", time] => self.timers.token_expires(Some(self.now + duration(time))),
            [ticket, "done"] => self.resolve(ticket, Outcome::Done),
            [ticket, "refused", code] => self.resolve(ticket, Outcome::Refused(Refusal::new(named(code)))),
            [ticket, "refused", code, "notify"] => {
                self.resolve(ticket, Outcome::Refused(Refusal { notify: true, ..Refusal::new(named(code)) }));
            }
            [ticket, "live", ref rest @ ..] => {
                let position = rest.first().map(|position| position.parse().unwrap());
                let recovered = rest.get(1).map(|word| *word == "recovered");
                self.resolve(ticket, Outcome::Subscribed { position, recovered });
            }
            _ => panic!("no such line: {words:?}"),
        }
        self.act();
        self.feed();
    }

    fn resolve(&mut self, ticket: &str, outcome: Outcome) {
        self.session.resolve(Ticket(ticket.parse().unwrap()), outcome, &mut self.effects);
    }

    fn message(&mut self, number: &str, id: &str, header: Option<&str>) {
        let (tag, to) = &self.subscriptions[&id.replace("\\n", "\n")];
        let destination = match to {
            SubscribeTo::Destination(to) | SubscribeTo::Application(to) => to.clone(),
            SubscribeTo::Pattern(_) => Destination::parse("/topic/matched").unwrap(),
            SubscribeTo::OwnQueue(queue) => Destination::user_queue(&UserName::new("alice").unwrap(), queue),
        };
        let header = header.and_then(|header| header.split_once('='));
        let message = Arc::new(Message {
            id: Uuid::from_u128(number.parse().unwrap()),
            destination,
            sender: Some(UserName::new("bob").unwrap()),
            session: None,
            timestamp_ms: 1000,
            content_type: None,
            headers: header.iter().map(|(name, value)| (Box::from(*name), value.replace("\\n", "\n").into())).collect(),
            body: Bytes::from(format!("m{number}")),
            position: None,
            rendered: footfall::message::RenderedOnce::default(),
        });
        let tag = Arc::clone(tag);
        if tag.is_ended() {
            self.lines.push("= skipped".into());
        } else if tag.ack == AckMode::Auto {
            self.deliver(&message, &tag, None);
        } else {
            match self.session.track(&message, &tag) {
                Some(id) => self.deliver(&message, &tag, Some(id)),
                None => self.lines.push(format!("= held, in all {} bytes", self.session.held_bytes())),
            }
        }
    }

    fn deliver(&mut self, message: &Message, tag: &Tag, id: Option<AckId>) {
        let Some(version) = self.session.version() else { return };
        let rendered = message.rendered.get_or_render(version.index(), || render(message, version));
        let line = id.map(|id| id.line(version)).unwrap_or_default();
        self.write(&[&tag.head, &line, &rendered.rest].map(|part| &part[..]).concat());
    }

    fn write(&mut self, frame: &[u8]) {
        self.timers.wrote(self.now);
        self.lines.extend(print::frame(frame));
    }

    fn act(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Write(frame) => self.write(&frame),
                Effect::Telling(_) => {}
                Effect::Ask(request) => {
                    self.lines.push(print::asked(&request));
                    if let Request::Subscribe(_, subscribe) = request {
                        self.subscriptions.insert(subscribe.tag.id.to_string(), (subscribe.tag, subscribe.to));
                    }
                }
                Effect::Deliver(message, tag, id) => self.deliver(&message, &tag, Some(id)),
                Effect::Negotiated { version, heart_beats } => {
                    self.decoder.set_version(version);
                    self.decoder.set_limits(Limits::AFTER_CONNECT);
                    self.timers.negotiated(heart_beats, self.now);
                    self.lines.push(print::negotiated(version, heart_beats));
                }
                Effect::Close(close) => self.lines.push(format!("= closed {}", close.code())),
            }
        }
        if self.session.nacks() > self.nacks {
            self.nacks = self.session.nacks();
            self.lines.push(format!("= nacks {}", self.nacks));
        }
    }

    /// What a connection does about a session that wants no frames; told only where the session is connected.
    fn watch(&mut self) {
        let wants = self.session.wants_frames();
        if wants == self.reading || self.session.is_over() {
            return;
        }
        self.reading = wants;
        if wants {
            self.timers.resume_reading(self.now);
        } else {
            self.timers.pause_reading(self.now);
        }
        if self.session.in_flight().sends > 0 {
            self.lines.push(if wants { "= reads on" } else { "= reads no more" }.into());
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.timers.next().filter(|next| *next <= until && !self.session.is_over()) {
            self.now = self.now.max(next);
            let code = match self.timers.due(self.now).unwrap() {
                Due::Beat => {
                    self.timers.wrote(self.now);
                    self.lines.push("< (beat)".into());
                    continue;
                }
                Due::HeartBeatLost => Code::HeartBeatLost,
                Due::ConnectTimeout => Code::ConnectTimeout,
                Due::FrameTimeout => Code::FrameTimeout,
                Due::WriteStalled => Code::SlowConsumer,
                Due::TokenExpired => Code::TokenExpired,
            };
            self.session.end(&Refusal::new(code), &mut self.effects);
            assert!(self.session.is_over(), "an end from outside ends it");
            self.act();
        }
        self.now = until;
    }
}

fn named(code: &str) -> Code {
    Code::ALL.iter().copied().find(|known| known.as_str() == code).unwrap()
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().unwrap()),
        None => Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}
