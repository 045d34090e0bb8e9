//! Input made to cost more than it should: it is refused at the limit, and little of it is ever held.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use bytes::Bytes;
use stomp_frames::{Decoder, Item, Limits, ParseError};

const LIMITS: Limits = Limits::BEFORE_CONNECT;

/// Feeds `start` and then `again` for up to `times` times: the error, and how many bytes came before it.
fn feed(limits: Limits, start: &str, again: &str, times: usize) -> (Option<ParseError>, usize) {
    let mut decoder = Decoder::new(limits);
    let mut fed = 0;
    for chunk in std::iter::once(start).chain(std::iter::repeat_n(again, times)) {
        decoder.push(Bytes::copy_from_slice(chunk.as_bytes()));
        fed += chunk.len();
        match decoder.next_item() {
            Ok(None) => assert!(decoder.buffered() <= limits.frame),
            Ok(Some(item)) => panic!("{item:?}"),
            Err(error) => {
                assert_eq!(decoder.buffered(), 0);
                return (Some(error), fed);
            }
        }
    }
    (None, fed)
}

#[test]
fn an_endless_command_is_refused_without_its_line_end() {
    let (error, fed) = feed(LIMITS, "", "A", 1_000_000);
    assert_eq!(error, Some(ParseError::CommandTooLong { limit: 32 }));
    assert_eq!(fed, 33);
}

#[test]
fn an_endless_header_line_is_refused_without_its_line_end() {
    let (error, fed) = feed(LIMITS, "CONNECT\n", "A", 1_000_000);
    assert_eq!(error, Some(ParseError::HeaderTooLong { limit: 10_240 }));
    assert_eq!(fed, 8 + 10_241);
}

#[test]
fn a_million_headers_are_refused_at_the_first_byte_of_the_65th() {
    let allowed = format!("CONNECT\n{}", "a:b\n".repeat(64));
    let (error, fed) = feed(LIMITS, &allowed, "a", 1_000_000);
    assert_eq!(error, Some(ParseError::TooManyHeaders { limit: 64 }));
    assert_eq!(fed, allowed.len() + 1);
    let all_at_once = format!("CONNECT\n{}", "a:b\n".repeat(1_000_000));
    assert_eq!(feed(LIMITS, &all_at_once, "", 0).0, error);
}

#[test]
fn a_large_head_is_refused_though_each_line_is_small() {
    let (error, fed) = feed(LIMITS, "CONNECT\n", &format!("a:{}\n", "b".repeat(997)), 64);
    assert_eq!(error, Some(ParseError::HeadTooLarge { limit: 16_384 }));
    assert!(fed <= 16_384 + 1_000);
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_body_comes() {
    for length in ["65537", "1000000000", "18446744073709551615"] {
        let (error, _) = feed(Limits::AFTER_CONNECT, &format!("SEND\ncontent-length:{length}\n\n"), "", 0);
        assert_eq!(error, Some(ParseError::FrameTooLarge { limit: 65_536 }));
    }
    for length in ["-1", "+5", "18446744073709551616", "99999999999999999999999"] {
        let (error, _) = feed(Limits::AFTER_CONNECT, &format!("SEND\ncontent-length:{length}\n\n"), "", 0);
        assert_eq!(error, Some(ParseError::BadContentLength));
    }
    let (error, _) = feed(Limits::AFTER_CONNECT, "SEND\ncontent-length:5\ncontent-length:50\n\n", "", 0);
    assert_eq!(error, Some(ParseError::ContentLengthConflict));
}

#[test]
fn a_body_without_end_is_refused_at_the_limit() {
    let (error, fed) = feed(Limits::AFTER_CONNECT, "SEND\n\n", "0123456789abcdef", 1_000_000);
    assert_eq!(error, Some(ParseError::FrameTooLarge { limit: 65_536 }));
    assert!(fed <= 65_536 + 16);
}

#[test]
fn a_counted_body_without_nul_is_refused_at_its_next_byte() {
    let (error, fed) = feed(Limits::AFTER_CONNECT, "SEND\ncontent-length:1000\n\n", "x", 1_000_000);
    assert_eq!(error, Some(ParseError::MissingNul { length: 1000 }));
    assert_eq!(fed, 26 + 1001);
}

#[test]
fn a_body_where_none_may_be_is_refused_at_its_first_byte() {
    let (error, fed) = feed(LIMITS, "CONNECT\n\n", "x", 1_000_000);
    assert_eq!(error.unwrap().code(), "unexpected-body");
    assert_eq!(fed, 10);
}

#[test]
fn a_million_line_ends_in_one_chunk_are_one_heart_beat() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.push(Bytes::from(vec![b'\n'; 1_000_000]));
    assert_eq!(decoder.next_item(), Ok(Some(Item::HeartBeat)));
    assert_eq!(decoder.next_item(), Ok(None));
    assert_eq!(decoder.buffered(), 0);
    assert!(!decoder.is_mid_frame());
}

#[test]
fn an_unfinished_frame_is_seen_as_such() {
    let mut decoder = Decoder::new(LIMITS);
    for (chunk, mid_frame) in [("\n", false), ("\r", true), ("\n", false), ("S", true), ("END\n\nbody", true), ("\0", false)] {
        decoder.push(Bytes::copy_from_slice(chunk.as_bytes()));
        while decoder.next_item().unwrap().is_some() {}
        assert_eq!(decoder.is_mid_frame(), mid_frame, "after {chunk:?}");
    }
}

#[test]
fn limits_and_version_can_change_between_frames() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.push(Bytes::from_static(b"CONNECT\n\n\0SEND\n\n"));
    assert!(matches!(decoder.next_item(), Ok(Some(Item::Frame(_)))));
    decoder.set_limits(Limits::AFTER_CONNECT);
    decoder.push(Bytes::from(vec![b'x'; 60_000]));
    assert_eq!(decoder.next_item(), Ok(None));
    decoder.push(Bytes::from_static(b"\0"));
    assert!(matches!(decoder.next_item(), Ok(Some(Item::Frame(frame))) if frame.body.len() == 60_000));
}
