//! What a client asks of the broker once its frame was parsed and is legal in the session's state.

use std::sync::Arc;

use bytes::Bytes;
use stomp_frames::{Frame, Text, Version, message_head};

use super::error::ProtocolError;
use super::reserved::is_reserved;
use super::settings::SessionSettings;
use crate::message::{AckMode, ClientHeaders, Position, SendTo, SubscribeTo, Tag, Ticket};

/// A request that someone else must decide; the session waits for the outcome under its ticket.
#[derive(Debug)]
pub enum Request {
    /// Answered by [`super::Session::connected`] or [`super::Session::end`].
    Connect(Connect),
    Send(Ticket, Send),
    /// A SEND to [`REFRESH`].
    Refresh(Ticket, Refresh),
    Subscribe(Ticket, Subscribe),
    Unsubscribe(Ticket, Arc<Tag>),
}

/// What CONNECT brings to prove who it is. Never logged.
pub struct Connect {
    pub authorization: Option<Text>,
    pub passcode: Option<Text>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connect").finish_non_exhaustive()
    }
}

/// Where a client SENDs a new token for the session it has.
pub const REFRESH: &str = "/app/session/refresh";

/// A new token: in the `Authorization` header as in CONNECT, or as the body. Never logged.
pub struct Refresh {
    pub authorization: Option<Text>,
    pub body: Bytes,
}

impl std::fmt::Debug for Refresh {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Refresh").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Send {
    pub to: SendTo,
    pub content_type: Option<Arc<str>>,
    /// The client's own headers; what footfall reserves is not among them.
    pub headers: ClientHeaders,
    pub idempotency_key: Option<Text>,
    pub body: Bytes,
}

#[derive(Debug)]
pub struct Subscribe {
    pub to: SubscribeTo,
    pub from: From,
    pub tag: Arc<Tag>,
    /// Whether the client will see the outcome of a replay that can't be had.
    pub receipt: bool,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With whatever comes next.
    Now,
    /// `history: N`: the newest N, then live.
    History(u32),
    /// `after: P`: everything after P, then live.
    After(Position),
}

impl Send {
    /// Required headers are there already.
    pub(super) fn read(frame: &Frame, settings: &SessionSettings) -> Result<Self, ProtocolError> {
        let to = SendTo::parse(frame.header("destination").unwrap_or_default())?;
        let idempotency_key = short(frame, "idempotency-key", settings)?;
        let own = frame.headers.first_occurrences().filter(|(name, _)| !is_reserved(name));
        let headers: ClientHeaders = own.map(|(name, value)| (Box::from(&**name), Box::from(&**value))).collect();
        let content_type = frame.header("content-type").map(Arc::from);
        // A slice would keep all of the WebSocket message alive that it came in, however small it is itself.
        let body = Bytes::copy_from_slice(&frame.body);
        Ok(Self { to, content_type, headers, idempotency_key, body })
    }

    /// What it counts against the bytes that a session may have in flight.
    pub(super) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.body.len() + headers + self.content_type.as_ref().map_or(0, |content_type| content_type.len())
    }
}

impl Refresh {
    /// None if this SEND goes elsewhere.
    pub(super) fn read(frame: &Frame) -> Option<Self> {
        if frame.header("destination") != Some(REFRESH) {
            return None;
        }
        Some(Self { authorization: any_case(frame, "authorization"), body: Bytes::copy_from_slice(&frame.body) })
    }

    pub(super) fn size(&self) -> usize {
        self.body.len() + self.authorization.as_ref().map_or(0, |token| token.len())
    }
}

impl Subscribe {
    /// Required headers are there already.
    pub(super) fn read(frame: &Frame, version: Version, settings: &SessionSettings) -> Result<Self, ProtocolError> {
        let destination = frame.header("destination").unwrap_or_default();
        let to = SubscribeTo::parse(destination)?;
        let from = read_from(frame, settings)?;
        if matches!(to, SubscribeTo::Pattern(_)) && from != From::Now {
            return Err(ProtocolError::PatternWithoutHistory);
        }
        let ack = match frame.header("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            // Not in STOMP 1.0, but it has no other meaning there.
            Some("client-individual") => AckMode::ClientIndividual,
            Some(_) => return Err(ProtocolError::BadHeader("ack", "auto, client or client-individual")),
        };
        // In 1.0 the id is optional; the destination then is what the client knows its subscription by.
        let id = short(frame, "id", settings)?;
        let id = id.as_deref().unwrap_or(destination);
        let tag = Arc::new(Tag::new(id, message_head(id, version), ack));
        Ok(Self { to, from, tag, receipt: frame.header("receipt").is_some() })
    }
}

fn read_from(frame: &Frame, settings: &SessionSettings) -> Result<From, ProtocolError> {
    match (frame.header("history"), frame.header("after")) {
        (None, None) => Ok(From::Now),
        (Some(_), Some(_)) => Err(ProtocolError::BadHeader("history", "left out where after is given")),
        (Some(history), None) => {
            let plain = history.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u32> = if plain { history.parse().ok() } else { None };
            let number = number.ok_or(ProtocolError::BadHeader("history", "a number of messages"))?;
            Ok(From::History(number.min(settings.max_history)))
        }
        (None, Some(after)) => {
            let position = after.parse().map_err(|_| ProtocolError::BadHeader("after", "the position of a MESSAGE or a RECEIPT"))?;
            Ok(From::After(position))
        }
    }
}

/// A header that HTTP's habits may have spelled in other cases.
pub(super) fn any_case(frame: &Frame, name: &str) -> Option<Text> {
    frame.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
}

/// A header that names something: neither empty nor long.
pub(super) fn short(frame: &Frame, name: &'static str, settings: &SessionSettings) -> Result<Option<Text>, ProtocolError> {
    let Some(value) = frame.headers.get(name) else { return Ok(None) };
    if value.is_empty() || value.len() > settings.max_id_bytes {
        return Err(ProtocolError::BadLength(name, settings.max_id_bytes));
    }
    Ok(Some(value.clone()))
}

#[cfg(test)]
mod tests {
    use stomp_frames::Command;

    use super::*;

    fn send(headers: &[(&'static str, &'static str)]) -> Result<Send, ProtocolError> {
        let frame = headers.iter().fold(Frame::new(Command::Send), |frame, (name, value)| frame.with_header(*name, *value));
        Send::read(&frame, &SessionSettings::default())
    }

    fn subscribe(headers: &[(&'static str, &'static str)]) -> Result<Subscribe, ProtocolError> {
        let frame = headers.iter().fold(Frame::new(Command::Subscribe), |frame, (name, value)| frame.with_header(*name, *value));
        Subscribe::read(&frame, Version::V1_2, &SessionSettings::default())
    }

    #[test]
    fn a_small_body_does_not_keep_the_message_it_came_in() {
        let websocket_message = Bytes::from(vec![b'x'; 256 * 1024]);
        let frame = Frame::new(Command::Send).with_header("destination", "/topic/a").with_body(websocket_message.slice(..1));
        let request = Send::read(&frame, &SessionSettings::default()).unwrap();
        drop(frame);
        assert_eq!(&*request.body, b"x");
        assert!(websocket_message.is_unique());
    }

    #[test]
    fn readers_see_the_senders_own_headers_once_and_no_reserved_ones() {
        let request = send(&[
            ("destination", "/topic/a"),
            ("x-colour", "red"),
            ("x-colour", "blue"),
            ("Authorization", "Bearer secret"),
            ("SENDER", "root"),
            ("Message-Id", "7"),
            ("subscription", "0"),
            ("receipt", "r"),
            ("position", "1:1"),
            ("X-Colour", "green"),
        ])
        .unwrap();
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(headers, [("x-colour", "red"), ("X-Colour", "green")]);
    }

    #[test]
    fn the_first_of_two_destinations_counts() {
        let request = send(&[("destination", "/topic/a"), ("destination", "/topic/b")]).unwrap();
        assert_eq!(request.to, SendTo::parse("/topic/a").unwrap());
        assert!(matches!(send(&[("destination", "/topic/*")]), Err(ProtocolError::BadDestination(_))));
    }

    #[test]
    fn an_idempotency_key_is_neither_empty_nor_long() {
        let long: &'static str = "k".repeat(257).leak();
        for (key, expected) in [("", false), (long, false), (&long[1..], true)] {
            assert_eq!(send(&[("destination", "/topic/a"), ("idempotency-key", key)]).is_ok(), expected, "{} bytes", key.len());
        }
    }

    #[test]
    fn where_a_subscription_begins() {
        let after = "00000000000000ab:3";
        for (header, expected) in [
            (("x", "y"), Ok(From::Now)),
            (("history", "20"), Ok(From::History(20))),
            (("history", "0"), Ok(From::History(0))),
            (("history", "4294967295"), Ok(From::History(10_000))),
            (("after", after), Ok(From::After(after.parse().unwrap()))),
            (("history", "4294967296"), Err(())),
            (("history", "+1"), Err(())),
            (("history", ""), Err(())),
            (("after", "3"), Err(())),
        ] {
            let got = subscribe(&[("destination", "/topic/a"), ("id", "0"), header]);
            assert_eq!(got.map(|request| request.from).map_err(|_| ()), expected, "{header:?}");
        }
        assert!(subscribe(&[("destination", "/topic/a"), ("id", "0"), ("history", "1"), ("after", after)]).is_err());
        let wildcard = subscribe(&[("destination", "/topic/*"), ("id", "0"), ("history", "1")]);
        assert_eq!(wildcard.unwrap_err(), ProtocolError::PatternWithoutHistory);
    }
}
