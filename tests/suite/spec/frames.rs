//! Frames on messages: however they are cut, whatever they hold, and where they are refused.

use footfall::message::Code;
use stomp_frames::{Command, Version};

use crate::support::node::{OPEN, TestNode, token};
use crate::support::stomp::{Client, connect, send};
use crate::support::websocket::{BINARY, FIN, Got, PING, TEXT};

const KIB: usize = 1024;

/// A node whose largest frames are small.
const SMALL: &str = "[server]\nmax_frame = 4096\nmax_frame_before_connect = 2048\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_come_in_any_number_of_messages_and_a_message_may_hold_any_number_of_frames() {
    let node = TestNode::start(OPEN).await;
    let conversation = format!(
        "\n\r\n{}\n\nSUBSCRIBE\r\nid:0\r\ndestination:/topic/open.room\r\nreceipt:1\r\n\r\n\0\r\n\n{}",
        connect(&token("alice"), "1.2", "0,0"),
        "SEND\ndestination:/topic/open.room\ncontent-length:7\n\na\0b\r\n\0c\0\n".repeat(3),
    );
    let conversation = conversation.as_bytes();
    for cut in [1, 2, 3, 5, 17, 100, conversation.len()] {
        for opcode in [TEXT, BINARY] {
            let mut client = Client::open(node.address).await;
            for part in conversation.chunks(cut) {
                client.socket.send(FIN | opcode, part).await;
            }
            client.connected().await;
            client.receipt("1").await;
            for _ in 0..3 {
                assert_eq!(&client.message().await.body[..], b"a\0b\r\n\0c");
            }
            client.lives().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_text_goes_out_as_text_and_everything_else_as_binary() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.subscribe("0", "/topic/open.room").await;
    for (content_type, body) in
        [("", &b"gr\xc3\xbc\xc3\x9fe"[..]), ("content-type:text/plain\n", b""), ("content-type:application/json\n", b"{}")]
    {
        client.say([format!("SEND\ndestination:/topic/open.room\n{content_type}\n").as_bytes(), body, b"\0"].concat()).await;
        assert_eq!(client.message().await.body, body);
    }
    for (content_type, body) in [("", &b"\xff\xfe"[..]), ("content-type:application/octet-stream\n", b"abc"), ("", b"\xe2\x82")] {
        client.say([format!("SEND\ndestination:/topic/open.room\n{content_type}\n").as_bytes(), body, b"\0"].concat()).await;
        // The client checks that text is UTF-8 (RFC 6455 §8.1).
        assert_eq!(client.message().await.body, body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_connect_a_frame_may_have_its_limit_and_no_more() {
    let node = TestNode::start(&format!("{OPEN}{SMALL}")).await;
    for extra in [0, 1] {
        let bare = connect(&token("alice"), "1.2", "0,0");
        // Without the NUL, which does not count.
        let padding = 2048 - (bare.len() - 1) - "x:\n".len() + extra;
        let mut client = Client::open(node.address).await;
        client.say(bare.replacen("CONNECT\n", &format!("CONNECT\nx:{}\n", "x".repeat(padding)), 1)).await;
        if extra == 0 {
            client.connected().await;
        } else {
            client.refused(Code::FrameTooLarge).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_connect_a_frame_may_have_its_limit_and_no_more() {
    let node = TestNode::start(&format!("{OPEN}{SMALL}")).await;
    for length in [false, true] {
        for extra in [0, 1] {
            let mut client = Client::connect(node.address, "alice").await;
            let head = |body: usize| {
                let length = if length { format!("content-length:{body}\n") } else { String::new() };
                format!("SEND\ndestination:/topic/open.room\nreceipt:1\n{length}\n")
            };
            let body = 4096 - head(4000).len() + extra;
            client.say(format!("{}{}\0", head(body), "x".repeat(body))).await;
            if extra == 0 {
                client.receipt("1").await;
            } else {
                client.refused(Code::FrameTooLarge).await;
            }
        }
    }
    // What is announced is refused before it comes.
    let mut client = Client::connect(node.address, "alice").await;
    client.say("SEND\ndestination:/topic/open.room\ncontent-length:4096\n\n").await;
    client.refused(Code::FrameTooLarge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_may_have_its_limits_and_no_more() {
    let node = TestNode::start(OPEN).await;
    let line = |bytes: usize| format!("x:{}\n", "x".repeat(bytes - 2));
    let lines = |count: usize| "x:y\n".repeat(count);
    // "SEND", destination, receipt and the blank line have 45 bytes.
    let head = |bytes: usize| format!("{}{}", line(8000), line(bytes - 45 - 8001 - 1));
    for (name, fits, too_much, code) in [
        ("a line", line(10 * 1024), line(10 * 1024 + 1), Code::HeaderTooLong),
        ("the number of lines", lines(62), lines(63), Code::TooManyHeaders),
        ("the head", head(16 * 1024), head(16 * 1024 + 1), Code::HeadTooLarge),
    ] {
        let frame = |lines: &str| format!("SEND\ndestination:/topic/open.room\nreceipt:1\n{lines}\n\0");
        assert!(name != "the head" || frame(&fits).len() == 16 * 1024 + 1, "{}", frame(&fits).len());
        let mut client = Client::connect(node.address, "alice").await;
        client.say(frame(&fits)).await;
        client.receipt("1").await;
        client.say(frame(&too_much)).await;
        client.refused(code).await;
    }
    for (command, code) in [("X".repeat(32), Code::UnknownCommand), ("X".repeat(33), Code::CommandTooLong)] {
        let mut client = Client::open(node.address).await;
        client.say(format!("{command}\n\n\0")).await;
        client.refused(code).await;
    }
}

/// Sends `begin` and then `piece` on and on, each answered before the next, until ERROR comes; how many bytes were taken.
async fn taken(client: &mut Client, begin: &str, piece: &str, code: Code) -> usize {
    client.socket.send(FIN | TEXT, begin.as_bytes()).await;
    let mut sent = begin.len();
    loop {
        client.socket.send(FIN | TEXT, piece.as_bytes()).await;
        client.socket.send(FIN | PING, b"").await;
        match client.socket.next().await {
            Got::Pong(_) => sent += piece.len(),
            Got::Data(error) => {
                let error = String::from_utf8(error).unwrap();
                assert!(error.contains(&format!("code:{code}\n")), "{begin:?}: {error}");
                return sent;
            }
            other => panic!("{begin:?} {other:?}"),
        }
        assert!(sent < 1 << 20, "{begin:?}: a megabyte was taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_without_end_is_refused_at_its_limit() {
    let node = TestNode::start(OPEN).await;
    let kib = "a".repeat(KIB);
    let headers = "a:b\n".repeat(KIB / 4);
    let long_lines = format!("x:{}\n", "a".repeat(KIB - 3));
    for connected in [false, true] {
        let command = if connected { "SEND\ndestination:/topic/open.room\n" } else { "CONNECT\n" };
        let frame_limit = if connected { 64 * KIB } else { 16 * KIB };
        for (begin, piece, code, limit) in [
            (String::new(), &kib, Code::CommandTooLong, 32),
            (format!("{command}x:"), &kib, Code::HeaderTooLong, 10 * KIB),
            (command.to_owned(), &kib, Code::HeaderTooLong, 10 * KIB),
            (command.to_owned(), &headers, Code::TooManyHeaders, 64 * 4),
            (command.to_owned(), &long_lines, Code::HeadTooLarge, 16 * KIB),
            ("SEND\ndestination:/topic/open.room\n\n".to_owned(), &kib, Code::FrameTooLarge, frame_limit),
        ] {
            let mut client = if connected { Client::connect(node.address, "alice").await } else { Client::open(node.address).await };
            // Before CONNECT the body of a SEND is read, as nobody knows yet that it is too early.
            let sent = taken(&mut client, &begin, piece, code).await;
            assert!(sent <= limit + begin.len() + 2 * KIB, "{begin:?}: {sent} bytes were taken, {limit} are allowed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_length_that_is_no_length_ends() {
    let node = TestNode::start(OPEN).await;
    for length in [
        "-1",
        "+5",
        "5.0",
        "5,5",
        "",
        " ",
        "0x5",
        "\u{ff15}",
        "5 5",
        "5\\c",
        "1e1",
        "five",
        "-0",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let mut client = Client::connect(node.address, "alice").await;
        client.say(format!("SEND\ndestination:/topic/open.room\ncontent-length:{length}\n\nhello\0")).await;
        client.refused(Code::BadContentLength).await;
    }
    for (headers, body, code) in [
        ("content-length:5\ncontent-length:6\n", "hello\0", Code::BadContentLength),
        ("content-length:6\ncontent-length:5\n", "hello\0", Code::BadContentLength),
        // It counts bytes, and a NUL must follow.
        ("content-length:4\n", "hello\0", Code::BadContentLength),
        ("content-length:0\n", "hello\0", Code::BadContentLength),
        ("content-length:9223372036854775807\n", "hello\0", Code::FrameTooLarge),
        ("content-length:65537\n", "", Code::FrameTooLarge),
    ] {
        let mut client = Client::connect(node.address, "alice").await;
        client.say(format!("SEND\ndestination:/topic/open.room\n{headers}\n{body}")).await;
        client.refused(code).await;
    }
    let mut client = Client::connect(node.address, "alice").await;
    client.say("SEND\ndestination:/topic/open.room\nreceipt:1\ncontent-length:5\ncontent-length:5\n\nhello\0").await;
    client.receipt("1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_frame_end() {
    let node = TestNode::start(OPEN).await;
    for (bytes, code) in [
        (&b"\0"[..], Code::MalformedFrame),
        (b"\n\0", Code::MalformedFrame),
        (b"\r\r", Code::MalformedFrame),
        (b"SEND\ndestination:/topic/open.room\n\0\nhi\0", Code::MalformedFrame),
        (b"SEND\ndestination:/topic/open.room\nno colon\n\n\0", Code::MalformedFrame),
        (b"SEND\ndestination:/topic/open.room\n:no name\n\n\0", Code::MalformedFrame),
        (b"SEND\ndestination:/topic/open.room\nx:a\rb\n\n\0", Code::MalformedFrame),
        (b"SEND\rx:y\n\n\0", Code::MalformedFrame),
        (b"SEND \ndestination:/topic/open.room\n\n\0", Code::UnknownCommand),
        (b" SEND\ndestination:/topic/open.room\n\n\0", Code::UnknownCommand),
        (b"\xff\xfe\n\n\0", Code::NotUtf8),
        (b"SEND\ndestination:/topic/open.room\nx:\xff\n\n\0", Code::NotUtf8),
        (b"SEND\ndestination:/topic/open.room\nx:\xc0\xaf\n\n\0", Code::NotUtf8),
        (b"SEND\ndestination:/topic/open.room\nx:a\\tb\n\n\0", Code::BadEscape),
        (b"SEND\ndestination:/topic/open.room\nx:a\\\n\n\0", Code::BadEscape),
        (b"SUBSCRIBE\nid:0\ndestination:/topic/open.room\n\nbody\0", Code::UnexpectedBody),
        (b"SEND\n\nhi\0", Code::MissingHeader),
        (b"SUBSCRIBE\ndestination:/topic/open.room\n\n\0", Code::MissingHeader),
        (b"SUBSCRIBE\nid:0\n\n\0", Code::MissingHeader),
        (b"UNSUBSCRIBE\n\n\0", Code::MissingHeader),
        (b"ACK\n\n\0", Code::MissingHeader),
        (b"SUBSCRIBE\nid:0\nack:maybe\ndestination:/topic/open.room\n\n\0", Code::BadHeader),
    ] {
        println!("{:?}", String::from_utf8_lossy(bytes));
        let mut client = Client::connect(node.address, "alice").await;
        client.say(bytes).await;
        client.refused(code).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_has_its_own_escapes() {
    let node = TestNode::start(OPEN).await;
    for (version, value, expected) in [
        ("1.0", r"a\nb\c\\\r\t", Some(r"a\nb\c\\\r\t")),
        ("1.1", r"a\nb\c\\", Some("a\nb:\\")),
        ("1.1", r"a\rb", None),
        ("1.2", r"a\nb\c\\\r", Some("a\nb:\\\r")),
        ("1.2", r"a\tb", None),
    ] {
        let mut watcher = Client::connect(node.address, "watcher").await;
        watcher.subscribe("0", "/topic/open.room").await;
        let mut client = Client::connect_with(node.address, &token("alice"), version, "0,0").await;
        client.say(format!("SEND\ndestination:/topic/open.room\nx:{value}\n\n\0")).await;
        match expected {
            Some(expected) => assert_eq!(watcher.message().await.header("x"), Some(expected), "{version}"),
            None => drop(client.refused(Code::BadEscape).await),
        }
    }
    assert_eq!(Version::V1_2.as_str(), "1.2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_head_no_body_and_no_line_of_a_frame_is_lost_on_the_way() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.subscribe("0", "/topic/open.room").await;
    let body: String = (0..60_000_u32).map(|index| char::from(b'a' + u8::try_from(index % 26).unwrap())).collect();
    client.send(send("/topic/open.room", &body).with_header("x-1", "one").with_header("x-2", "a:b\\c\nd")).await;
    let message = client.message().await;
    assert_eq!(message.command, Command::Message);
    assert_eq!(message.body_text(), Some(&*body));
    assert_eq!((message.header("x-1"), message.header("x-2")), (Some("one"), Some("a:b\\c\nd")));
}
