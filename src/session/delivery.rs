//! A message as MESSAGE: the part that all its subscribers share, and the notices that are one session's own.

use bytes::Bytes;
use stomp_frames::{Command, FrameWriter, RestWriter, Version};
use uuid::Uuid;

use super::acknowledgement::AckId;
use super::error::explained;
use crate::message::{Message, Refusal, Rendered, Tag};

/// The frame after `tag.head` and [`AckId::line`]. Called through [`crate::message::RenderedOnce::get_or_render`].
///
/// Only the sender's own headers are free text; what can't be written in this version is left out and counted, and
/// nothing a sender writes can become a line of its own.
pub fn render(message: &Message, version: Version) -> Rendered {
    let mut writer = RestWriter::with_capacity(version, message.size());
    writer.header("destination", &message.destination.shown());
    writer.header("message-id", message.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    if let Some(content_type) = &message.content_type {
        writer.header("content-type", content_type);
    }
    writer.header("timestamp", &message.timestamp_ms.to_string());
    if let Some(sender) = &message.sender {
        writer.header("sender", sender.as_str());
    }
    if let Some(session) = &message.session {
        writer.header("sender-session", session);
    }
    if let Some(position) = &message.position {
        writer.header("position", &position.to_string());
    }
    for (name, value) in message.headers.iter() {
        writer.header(name, value);
    }
    let left_out = writer.left_out();
    let rest = writer.finish(&message.body);
    // The head before it is text in any case.
    let text = !is_octet_stream(message.content_type.as_deref()) && std::str::from_utf8(&message.body).is_ok();
    Rendered { rest, text, left_out }
}

/// `application/octet-stream`, with or without parameters (RFC 9110 §8.3.1: in any case).
fn is_octet_stream(content_type: Option<&str>) -> bool {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/octet-stream")
}

/// Names notices, which no store numbers and no clock dates, so that no two of all sessions are the same.
const NOTICES: Uuid = Uuid::from_u128(0x8f2b_6c1d_4a75_4e0e_b0a9_35d6_71c4_92ee);

/// A refusal, told on the session's own `/user/queue/errors` in place of an ERROR.
pub(super) fn notice(
    refusal: &Refusal,
    receipt: Option<&str>,
    to: (&Tag, Option<AckId>),
    from: (&str, u64),
    version: Version,
) -> Bytes {
    let (tag, ack) = to;
    let (session, number) = from;
    let mut writer = FrameWriter::new(Command::Message, version);
    writer.header("subscription", &tag.id);
    if let (Some(ack), Version::V1_2) = (ack, version) {
        writer.header("ack", &ack.to_string());
    }
    writer.header("destination", "/user/queue/errors");
    writer.header("message-id", &Uuid::new_v5(&NOTICES, format!("{session}/{number}").as_bytes()).to_string());
    writer.header("content-type", "text/plain");
    writer.header("code", refusal.code.as_str());
    if let Some(receipt) = receipt {
        writer.header("receipt-id", receipt);
    }
    writer.finish(explained(&refusal.sentence, refusal.code).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Destination, Epoch, Position, UserName};

    fn message(headers: &[(&str, &str)], content_type: Option<&str>, body: &'static [u8]) -> Message {
        Message {
            id: Uuid::from_u128(7),
            destination: Destination::parse("/topic/a").unwrap(),
            sender: Some(UserName::new("bob").unwrap()),
            session: Some("s1".into()),
            timestamp_ms: 1_700_000_000_000,
            content_type: content_type.map(Arc::from),
            headers: headers.iter().map(|(name, value)| (Box::from(*name), Box::from(*value))).collect(),
            body: Bytes::from_static(body),
            position: Some(Position { epoch: Epoch(0xab), sequence: 3 }),
            rendered: Default::default(),
        }
    }

    #[test]
    fn readers_see_what_footfall_says_and_then_the_senders_headers() {
        let rendered = render(&message(&[("x-colour", "red")], Some("text/plain"), b"hello"), Version::V1_2);
        let expected = "destination:/topic/a\nmessage-id:00000000-0000-0000-0000-000000000007\ncontent-type:text/plain\n\
            timestamp:1700000000000\nsender:bob\nsender-session:s1\nposition:00000000000000ab\\c3\nx-colour:red\n\
            content-length:5\n\nhello\0";
        assert_eq!(std::str::from_utf8(&rendered.rest).unwrap(), expected);
        assert!(rendered.text);
        assert_eq!(rendered.left_out, 0);
    }

    #[test]
    fn no_header_of_a_sender_becomes_a_line_of_its_own() {
        for (version, left_out) in [(Version::V1_0, 4), (Version::V1_1, 1), (Version::V1_2, 0)] {
            let nasty = [("a", "bob\nrole:admin"), ("b\nrole:admin\nc", "x"), ("d:role", "x"), ("e", "x\r\nrole:admin")];
            let rendered = render(&message(&nasty, None, b""), version);
            let text = std::str::from_utf8(&rendered.rest).unwrap();
            assert!(!text.split(['\n', '\r']).any(|line| line.starts_with("role")), "{version}: {text}");
            assert_eq!(rendered.left_out, left_out, "{version}: {text}");
        }
    }

    #[test]
    fn a_frame_is_text_if_all_of_it_is() {
        for (content_type, body, text) in [
            (None, &b"\xff"[..], false),
            (None, b"a\0b", true),
            (None, b"", true),
            (Some("text/plain"), "ü".as_bytes(), true),
            (Some("application/octet-stream"), b"a", false),
            (Some("Application/Octet-Stream; x=y"), b"a", false),
            (Some("application/octet-streams"), b"a", true),
        ] {
            assert_eq!(render(&message(&[], content_type, body), Version::V1_1).text, text, "{content_type:?} {body:?}");
        }
    }

    #[test]
    fn a_private_queue_shows_no_user() {
        let user = UserName::new("alice").unwrap();
        let mut message = message(&[], None, b"");
        message.destination = Destination::user_queue(&user, &Destination::parse("/queue/x").unwrap());
        let rest = render(&message, Version::V1_2).rest;
        assert!(rest.starts_with(b"destination:/user/queue/x\n"));
    }
}
