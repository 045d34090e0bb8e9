//! The examples of the three specifications, and what they demand of a reader, as a checklist.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use bytes::Bytes;
use stomp_frames::{Command, Decoder, Frame, Item, Limits, ParseError, Version};

/// Everything in `text`, where `^@` is NUL as in the specification.
fn decode(version: impl Into<Option<Version>>, text: &str) -> Result<Vec<Item>, ParseError> {
    let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
    if let Some(version) = version.into() {
        decoder.set_version(version);
    }
    decoder.push(Bytes::from(text.replace("^@", "\0")));
    let mut items = Vec::new();
    while let Some(item) = decoder.next_item()? {
        items.push(item);
    }
    Ok(items)
}

fn frame(version: impl Into<Option<Version>>, text: &str) -> Frame {
    match decode(version, text).unwrap().as_slice() {
        [Item::Frame(frame)] => frame.clone(),
        other => panic!("not one frame: {other:?}"),
    }
}

fn error(version: impl Into<Option<Version>>, text: &str) -> ParseError {
    decode(version, text).unwrap_err()
}

/// `text` is this command with these headers and this body.
#[track_caller]
fn check(version: Version, text: &str, command: Command, headers: &[(&str, &str)], body: &str) {
    let frame = frame(version, text);
    assert_eq!(frame.command, command);
    let found: Vec<_> = frame.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, headers, "{text}");
    assert_eq!(frame.body_text().unwrap(), body);
}

use Command::{Abort, Ack, Begin, Commit, Connect, Connected, Disconnect, Error, Message, Nack, Receipt, Send, Subscribe, Unsubscribe};
use Version::{V1_0, V1_1, V1_2};

#[test]
fn examples_of_1_0() {
    let q = ("destination", "/queue/a");
    // No version is agreed yet in these two, so the padding stays.
    check(V1_0, "CONNECT\nlogin: me\npasscode:secret\n\n^@", Connect, &[("login", " me"), ("passcode", "secret")], "");
    check(V1_0, "CONNECTED\nsession: s-1\n\n^@", Connected, &[("session", " s-1")], "");
    check(V1_0, "SEND\ndestination:/queue/a\n\nhello queue a\n^@", Send, &[q], "hello queue a\n");
    check(
        V1_0,
        "SUBSCRIBE\ndestination: /queue/foo\nack: client\n\n^@",
        Subscribe,
        &[("destination", "/queue/foo"), ("ack", "client")],
        "",
    );
    check(V1_0, "UNSUBSCRIBE\ndestination: /queue/a\n\n^@", Unsubscribe, &[q], "");
    for command in [Begin, Commit, Abort] {
        check(V1_0, &format!("{command}\ntransaction: t-1\n\n^@"), command, &[("transaction", "t-1")], "");
    }
    check(V1_0, "ACK\nmessage-id: m-1\ntransaction: t-1\n\n^@", Ack, &[("message-id", "m-1"), ("transaction", "t-1")], "");
    check(V1_0, "DISCONNECT\n\n^@", Disconnect, &[], "");
    check(V1_0, "SEND\ndestination:/queue/a\nreceipt:message-12345\n\nHello a!^@", Send, &[q, ("receipt", "message-12345")], "Hello a!");
    check(V1_0, "MESSAGE\ndestination:/queue/a\nmessage-id: m-1\n\nhello queue a^@", Message, &[q, ("message-id", "m-1")], "hello queue a");
    check(V1_0, "RECEIPT\nreceipt-id:message-12345\n\n^@", Receipt, &[("receipt-id", "message-12345")], "");
    let body = "The message:\n-----\nMESSAGE\ndestined:/queue/a\n\nHello queue a!\n-----\n\
                Did not contain a destination header, which is required\nfor message propagation.\n";
    let text = format!("ERROR\nmessage: malformed packet received\n\n{body}^@");
    check(V1_0, &text, Error, &[("message", "malformed packet received")], body);
}

#[test]
fn examples_of_1_1_and_1_2() {
    let q = ("destination", "/queue/a");
    let plain = ("content-type", "text/plain");
    let host = ("host", "stomp.github.org");
    for version in [V1_1, V1_2] {
        let v = version.as_str();
        check(version, &format!("CONNECT\naccept-version:{v}\nhost:stomp.github.org\n\n^@"), Connect, &[("accept-version", v), host], "");
        check(version, &format!("CONNECTED\nversion:{v}\n\n^@"), Connected, &[("version", v)], "");
        check(
            version,
            "CONNECT\naccept-version:1.0,1.1,2.0\nhost:stomp.github.org\n\n^@",
            Connect,
            &[("accept-version", "1.0,1.1,2.0"), host],
            "",
        );
        check(
            version,
            "ERROR\nversion:1.2,2.1\ncontent-type:text/plain\n\nSupported protocol versions are 1.2 2.1^@",
            Error,
            &[("version", "1.2,2.1"), plain],
            "Supported protocol versions are 1.2 2.1",
        );
        check(version, "SEND\ndestination:/queue/a\ncontent-type:text/plain\n\nhello queue a\n^@", Send, &[q, plain], "hello queue a\n");
        check(
            version,
            "SUBSCRIBE\nid:0\ndestination:/queue/foo\nack:client\n\n^@",
            Subscribe,
            &[("id", "0"), ("destination", "/queue/foo"), ("ack", "client")],
            "",
        );
        check(version, "UNSUBSCRIBE\nid:0\n\n^@", Unsubscribe, &[("id", "0")], "");
        for command in [Begin, Commit, Abort] {
            check(version, &format!("{command}\ntransaction:tx1\n\n^@"), command, &[("transaction", "tx1")], "");
        }
        check(
            version,
            "SEND\ndestination:/queue/a\nreceipt:message-12345\n\nhello queue a^@",
            Send,
            &[q, ("receipt", "message-12345")],
            "hello queue a",
        );
        check(
            version,
            "MESSAGE\nsubscription:0\nmessage-id:007\ndestination:/queue/a\ncontent-type:text/plain\n\nhello queue a^@",
            Message,
            &[("subscription", "0"), ("message-id", "007"), q, plain],
            "hello queue a",
        );
        check(version, "RECEIPT\nreceipt-id:message-12345\n\n^@", Receipt, &[("receipt-id", "message-12345")], "");
    }
    let by_message = [("subscription", "0"), ("message-id", "007"), ("transaction", "tx1")];
    check(V1_1, "ACK\nsubscription:0\nmessage-id:007\ntransaction:tx1\n\n^@", Ack, &by_message, "");
    check(V1_2, "ACK\nid:12345\ntransaction:tx1\n\n^@", Ack, &[("id", "12345"), ("transaction", "tx1")], "");
    check(V1_2, "NACK\nid:12345\ntransaction:tx1\n\n^@", Nack, &[("id", "12345"), ("transaction", "tx1")], "");
}

#[test]
fn the_error_examples_count_their_bodies_right() {
    for (version, gap, padding, length) in [(V1_1, "\n\n\n", " ", 171), (V1_2, "\n\n", "", 170)] {
        let body = format!(
            "The message:\n-----\nMESSAGE\ndestined:/queue/a\nreceipt:message-12345{gap}Hello queue a!\n-----\n\
             Did not contain a destination header, which is REQUIRED\nfor message propagation.\n"
        );
        let text = format!(
            "ERROR\nreceipt-id:message-12345\ncontent-type:text/plain\ncontent-length:{length}\n\
             message:{padding}malformed frame received\n\n{body}^@"
        );
        let frame = frame(version, &text);
        assert_eq!(frame.body_text(), Some(body.as_str()));
        assert_eq!(frame.header("message").unwrap(), format!("{padding}malformed frame received"));
    }
}

#[test]
fn the_disconnect_example_lacks_its_blank_line_and_is_refused_as_printed() {
    assert_eq!(error(V1_2, "DISCONNECT\nreceipt:77\n^@"), ParseError::NulInHead);
    check(V1_2, "DISCONNECT\nreceipt:77\n\n^@", Disconnect, &[("receipt", "77")], "");
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let frame = frame(V1_2, "MESSAGE\nfoo:World\nfoo:Hello\n\n^@");
    assert_eq!(frame.header("foo"), Some("World"));
    assert_eq!(frame.headers.len(), 2);
}

#[test]
fn header_names_and_commands_are_case_sensitive() {
    assert_eq!(frame(V1_2, "SEND\nDestination:/a\n\n^@").header("destination"), None);
    assert_eq!(error(V1_2, "send\n\n^@"), ParseError::UnknownCommand { command: "send".into() });
}

#[test]
fn a_line_ends_with_lf_or_crlf_in_every_version() {
    for version in Version::ALL {
        let lf = frame(version, "SEND\ndestination:/a\nk:v\n\n\r\nbody\r^@");
        let crlf = frame(version, "SEND\r\ndestination:/a\r\nk:v\r\n\r\n\r\nbody\r^@");
        assert_eq!(lf, crlf);
        assert_eq!(lf.header("k"), Some("v"));
        assert_eq!(lf.body, "\r\nbody\r");
    }
}

#[test]
fn a_bare_cr_is_refused_in_every_version() {
    for version in Version::ALL {
        for text in ["SEND\na:b\rc:d\n\n^@", "SEND\na:b\r\r\n\n^@", "SE\rND\n\n^@", "SEND\n\ra:b\n\n^@", "\rSEND\n\n^@"] {
            assert_eq!(error(version, text), ParseError::BareCarriageReturn, "{text:?}");
        }
    }
}

#[test]
fn line_ends_between_frames_are_heart_beats() {
    let items = decode(V1_2, "\n\r\n\nSEND\n\na^@\r\n\nSEND\n\nb^@\n").unwrap();
    let shape: Vec<_> = items.iter().map(|item| matches!(item, Item::HeartBeat)).collect();
    assert_eq!(shape, [true, false, true, false, true]);
}

#[test]
fn escapes_of_1_2() {
    let frame = frame(V1_2, "SEND\n\\c\\\\n:\\r\\n\\c\\\\\n\n^@");
    assert_eq!(frame.header(":\\n"), Some("\r\n:\\"));
}

#[test]
fn escapes_of_1_1_have_no_cr() {
    assert_eq!(frame(V1_1, "SEND\nk:\\n\\c\\\\\n\n^@").header("k"), Some("\n:\\"));
    let bad = ParseError::BadEscape { line: 1, sequence: "\\r".into(), version: V1_1 };
    assert_eq!(error(V1_1, "SEND\nk:\\r\n\n^@"), bad);
}

#[test]
fn there_are_no_escapes_in_1_0() {
    assert_eq!(frame(V1_0, "SEND\nk:\\n\\t\\\n\n^@").header("k"), Some("\\n\\t\\"));
}

#[test]
fn undefined_escapes_are_fatal() {
    for sequence in ["\\t", "\\0", "\\N", "\\x41", "\\", "\\ "] {
        for version in [V1_1, V1_2] {
            for line in [format!("k:a{sequence}"), format!("a{sequence}:v")] {
                assert_eq!(error(version, &format!("SEND\n{line}\n\n^@")).code(), "bad-escape", "{line}");
            }
        }
    }
}

#[test]
fn connect_stomp_and_connected_are_never_unescaped() {
    for version in [None, Some(V1_0), Some(V1_1), Some(V1_2)] {
        for command in ["CONNECT", "STOMP", "CONNECTED"] {
            assert_eq!(frame(version, &format!("{command}\nk: \\n:\\t \n\n^@")).header("k"), Some(" \\n:\\t "));
        }
    }
}

#[test]
fn before_a_version_is_chosen_nothing_is_unescaped() {
    assert_eq!(frame(None, "ERROR\nmessage: C:\\temp\n\n^@").header("message"), Some(" C:\\temp"));
}

#[test]
fn a_version_holds_from_the_next_frame_on_even_in_the_same_chunk() {
    let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
    decoder.push(Bytes::from_static(b"CONNECT\nk:\\c\n\n\0SEND\nk:\\c\n\n\0"));
    let header = |decoder: &mut Decoder| match decoder.next_item() {
        Ok(Some(Item::Frame(frame))) => frame.header("k").unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(header(&mut decoder), "\\c");
    decoder.set_version(V1_2);
    assert_eq!(header(&mut decoder), ":");
}

#[test]
fn headers_are_trimmed_in_1_0_only() {
    for (version, value) in [(V1_0, "/queue/a b"), (V1_1, " /queue/a b\t "), (V1_2, " /queue/a b\t ")] {
        assert_eq!(frame(version, "SUBSCRIBE\ndestination: /queue/a b\t \n\n^@").header("destination"), Some(value));
    }
}

#[test]
fn a_header_needs_a_colon_and_a_name_but_no_value() {
    assert_eq!(error(V1_2, "SEND\na:b\nc\n\n^@"), ParseError::NoColon { line: 2 });
    assert_eq!(error(V1_2, "SEND\n:b\n\n^@"), ParseError::EmptyHeaderName { line: 1 });
    assert_eq!(error(V1_0, "SEND\n :b\n\n^@"), ParseError::EmptyHeaderName { line: 1 });
    assert_eq!(frame(V1_2, "SEND\nk:\n\n^@").header("k"), Some(""));
}

#[test]
fn only_the_first_colon_divides_a_header() {
    for version in Version::ALL {
        assert_eq!(frame(version, "SEND\nk:a:b:\n\n^@").header("k"), Some("a:b:"));
    }
}

#[test]
fn a_head_is_utf_8() {
    assert_eq!(frame(V1_2, "SEND\nname:Grüße \u{1f44b}\n\n^@").header("name"), Some("Grüße \u{1f44b}"));
    for head in [&b"SEND\nk:\xff\n\n\0"[..], b"SEND\nk\xc3:v\n\n\0", b"SEND\nk:\xc0\xaf\n\n\0", b"\xff\n\n\0"] {
        let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
        decoder.push(Bytes::copy_from_slice(head));
        assert_eq!(decoder.next_item(), Err(ParseError::NotUtf8));
    }
}

#[test]
fn a_nul_belongs_at_the_end_of_a_frame() {
    assert_eq!(error(V1_2, "^@"), ParseError::NulBetweenFrames);
    assert_eq!(error(V1_2, "SEND\n\n^@^@"), ParseError::NulBetweenFrames);
    assert_eq!(error(V1_2, "SEND^@"), ParseError::NulInHead);
    assert_eq!(error(V1_2, "SEND\nk:a^@b\n\n^@"), ParseError::NulInHead);
}

#[test]
fn a_counted_body_may_contain_nul() {
    assert_eq!(frame(V1_2, "SEND\ncontent-length:5\n\na^@b^@c^@").body, "a\0b\0c");
    assert_eq!(frame(V1_2, "SEND\ncontent-length:0\n\n^@").body, "");
}

#[test]
fn a_body_without_length_ends_at_its_first_nul() {
    let items = decode(V1_2, "SEND\n\na\n\n:b^@SEND\n\nc^@").unwrap();
    assert!(matches!(&items[..], [Item::Frame(a), Item::Frame(c)] if a.body == "a\n\n:b" && c.body == "c"));
}

#[test]
fn a_counted_body_is_followed_by_nul() {
    assert_eq!(error(V1_2, "SEND\ncontent-length:2\n\nabc^@"), ParseError::MissingNul { length: 2 });
    // Too large a length waits for the bytes that it announced.
    assert_eq!(decode(V1_2, "SEND\ncontent-length:4\n\nabc^@"), Ok(vec![]));
}

#[test]
fn a_length_is_made_of_digits() {
    for wrong in ["+5", "-1", " 5", "5 ", "", "5,5", "0x5", "1e3", "18446744073709551616", "\u{665}"] {
        for rest in ["", "content-length:5\n"] {
            let text = format!("SEND\ncontent-length:{wrong}\n{rest}\nhello^@");
            assert_eq!(error(V1_2, &text), ParseError::BadContentLength, "{wrong:?}");
        }
    }
    assert_eq!(frame(V1_0, "SEND\ncontent-length: 5\n\nhello^@").body, "hello");
}

#[test]
fn repeated_lengths_must_agree() {
    assert_eq!(frame(V1_2, "SEND\ncontent-length:5\ncontent-length:05\n\nhello^@").body, "hello");
    assert_eq!(error(V1_2, "SEND\ncontent-length:5\ncontent-length:4\n\nhello^@"), ParseError::ContentLengthConflict);
    assert_eq!(error(V1_2, "SEND\ncontent-length:5\ncontent-length:x\n\nhello^@"), ParseError::BadContentLength);
}

#[test]
fn only_send_message_and_error_may_have_a_body() {
    for command in Command::all() {
        for text in [format!("{command}\n\nx^@"), format!("{command}\ncontent-length:1\n\nx^@")] {
            if command.may_have_body() {
                assert_eq!(frame(V1_2, &text).body, "x");
            } else {
                assert_eq!(error(V1_2, &text), ParseError::UnexpectedBody { command });
            }
        }
        assert_eq!(frame(V1_2, &format!("{command}\ncontent-length:0\n\n^@")).body, "");
    }
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new(Limits::AFTER_CONNECT);
    decoder.push(Bytes::from_static(b"SEND\n\na\0NONSENSE\n\n\0SEND\n\nb\0"));
    assert!(matches!(decoder.next_item(), Ok(Some(Item::Frame(_)))));
    let error = decoder.next_item().unwrap_err();
    assert_eq!(error.code(), "unknown-command");
    decoder.push(Bytes::from_static(b"SEND\n\nb\0"));
    assert_eq!(decoder.next_item(), Err(error));
    assert_eq!(decoder.buffered(), 0);
    assert!(!decoder.is_mid_frame());
}

#[test]
fn an_unknown_command_is_quoted_by_its_first_word() {
    for (line, command) in [("GET /ws?token=abc HTTP/1.1", "GET…"), ("SEND ", "SEND…"), ("\u{feff}SEND", "…"), ("send", "send")] {
        assert_eq!(error(V1_2, &format!("{line}\n\n^@")), ParseError::UnknownCommand { command: command.into() });
    }
}

#[test]
fn errors_quote_nothing_that_breaks_a_line() {
    for text in ["\u{1b}[2J\u{7}\n\n^@", "SEND\nk:\\\u{1b}\n\n^@", "SEND\nrole\u{1b}admin\n\n^@", "SEND\ncontent-length:\u{1b}\n\n^@"] {
        let sentence = error(V1_2, text).to_string();
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
        assert!(sentence.ends_with('.'), "{sentence}");
    }
}
