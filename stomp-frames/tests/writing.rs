//! What the specifications demand of a writer, as a checklist.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use bytes::Bytes;
use stomp_frames::Command::{Connected, Disconnect, Error, Message, Send};
use stomp_frames::Version::{V1_0, V1_1, V1_2};
use stomp_frames::{Decoder, Frame, FrameWriter, Item, Limits, RestWriter, Version, ack_header, encode, message_head};

/// The one frame in `bytes`.
fn read(version: Version, bytes: impl Into<Bytes>) -> Frame {
    let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
    decoder.set_version(version);
    decoder.push(bytes.into());
    let Some(Item::Frame(frame)) = decoder.next_item().unwrap() else { panic!("no frame") };
    assert_eq!(decoder.next_item(), Ok(None));
    frame
}

#[test]
fn a_writer_always_counts_the_body() {
    let mut writer = FrameWriter::new(Send, V1_2);
    assert!(writer.header("destination", "/queue/a"));
    assert!(!writer.header("content-length", "999"));
    assert_eq!(writer.left_out(), 0);
    assert_eq!(writer.finish(b"a\0b"), "SEND\ndestination:/queue/a\ncontent-length:3\n\na\0b\0");
    assert_eq!(FrameWriter::new(Error, V1_2).finish(b""), "ERROR\ncontent-length:0\n\n\0");
    assert_eq!(FrameWriter::new(Disconnect, V1_2).finish(b"dropped"), "DISCONNECT\n\n\0");
}

#[test]
fn a_message_is_written_in_parts() {
    for version in Version::ALL {
        let mut rest = RestWriter::new(version);
        assert!(rest.header("message-id", "007"));
        assert!(rest.header("destination", "/queue/a"));
        let rest = rest.finish(b"hello");
        let whole = [message_head("7", version), ack_header("x-1", version), rest].concat();
        let headers = [("subscription", "7"), ("ack", "x-1"), ("message-id", "007"), ("destination", "/queue/a"), ("content-length", "5")];
        let expected = Frame { command: Message, headers: headers.into_iter().collect(), body: "hello".into() };
        assert_eq!(read(version, whole), expected);
    }
    assert_eq!(message_head("7", V1_2), "MESSAGE\nsubscription:7\n");
    assert_eq!(message_head("a:b", V1_2), "MESSAGE\nsubscription:a\\cb\n");
    assert_eq!(ack_header("1", V1_2), "ack:1\n");
}

#[test]
fn a_writer_leaves_out_what_the_version_can_not_write_and_counts_it() {
    for (version, expected) in [(V1_0, 3), (V1_1, 2), (V1_2, 1)] {
        let mut rest = RestWriter::new(version);
        for value in ["a\nb", "a\rb", "a\0b", "a:b"] {
            rest.header("k", value);
        }
        assert_eq!(rest.left_out(), expected, "{version}");
    }
}

#[test]
fn a_user_name_can_not_add_a_line_to_connected() {
    for version in Version::ALL {
        for name in ["bob\nrole:admin", "bob\r\nrole:admin", "bob\rrole:admin", "bob\0SEND\n\n\0"] {
            let mut writer = FrameWriter::new(Connected, version);
            assert!(writer.header("version", version.as_str()));
            assert!(!writer.header("user-name", name));
            assert!(!writer.header("a:b", "c"));
            assert_eq!(writer.left_out(), 2);
            assert_eq!(writer.finish(b""), format!("CONNECTED\nversion:{version}\n\n\0"));
        }
    }
}

#[test]
fn encode_writes_a_frame_that_reads_back() {
    let sent = Frame::new(Send).with_header("destination", "/queue/ä:b\\").with_body("hello");
    let read = read(V1_2, encode(&sent, V1_2));
    assert_eq!(read, sent.with_header("content-length", "5"));
}
