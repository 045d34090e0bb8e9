//! RFC 6455, as a client that breaks it sees it. The code is always 1002, since coming back ends the same way.

use footfall::message::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::node::{OPEN, TestNode, token};
use crate::support::soon;
use crate::support::stomp::{Client, connect, send};
use crate::support::websocket::{BINARY, CLOSE, CONTINUATION, FIN, Got, PING, PONG, TEXT, WebSocket, frame, head_of};

/// Pieces that one message may have.
const MAX_FRAGMENTS: usize = 1024;

/// Bytes that no WebSocket client may write: each ends a session of its own, before CONNECT and after it.
async fn ends(node: &TestNode, name: &str, bytes: &[u8], code: Code) {
    println!("{name}");
    let mut client = Client::open(node.address).await;
    client.socket.write(bytes).await;
    client.refused(code).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.socket.write(bytes).await;
    client.refused(code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_breaks_the_protocol_ends() {
    let node = TestNode::start(OPEN).await;
    let unmasked = |first: u8, payload: &[u8]| [&[first, u8::try_from(payload.len()).unwrap()], payload].concat();
    let cases = [
        ("unmasked text", unmasked(FIN | TEXT, b"CONNECT\n\n\0")),
        ("unmasked ping", unmasked(FIN | PING, b"")),
        ("unmasked close", unmasked(FIN | CLOSE, &1000_u16.to_be_bytes())),
        ("RSV1, as compression has it, which was not agreed on", frame(FIN | 0x40 | TEXT, b"\n")),
        ("RSV2", frame(FIN | 0x20 | TEXT, b"\n")),
        ("RSV3", frame(FIN | 0x10 | BINARY, b"\n")),
        ("RSV1 on a ping", frame(FIN | 0x40 | PING, b"")),
        ("a fragmented ping", frame(PING, b"")),
        ("a fragmented pong", frame(PONG, b"")),
        ("a fragmented close", frame(CLOSE, b"")),
        ("a ping of 126 bytes", frame(FIN | PING, &[0; 126])),
        ("a pong of 126 bytes", frame(FIN | PONG, &[0; 126])),
        ("a close of 126 bytes", frame(FIN | CLOSE, &[3; 126])),
        ("text that is not UTF-8", frame(FIN | TEXT, b"\xff")),
        ("text that is over-long UTF-8", frame(FIN | TEXT, b"\xc0\xaf")),
        ("text that is half a surrogate", frame(FIN | TEXT, b"\xed\xa0\x80")),
        ("text that ends within a character", frame(FIN | TEXT, b"\xe2\x82")),
        ("a continuation of nothing", frame(FIN | CONTINUATION, b"\n")),
        ("an unfinished continuation of nothing", frame(CONTINUATION, b"\n")),
        ("text within fragments", [frame(TEXT, b"\n"), frame(FIN | TEXT, b"\n")].concat()),
        ("binary within fragments", [frame(TEXT, b"\n"), frame(FIN | BINARY, b"\n")].concat()),
        ("fragments within fragments", [frame(TEXT, b"\n"), frame(TEXT, b"\n")].concat()),
        ("fragments that are not UTF-8 together", [frame(TEXT, b"\xe2\x82"), frame(FIN | CONTINUATION, b"\n")].concat()),
        ("close with one byte", frame(FIN | CLOSE, b"\x03")),
        ("close whose reason is not UTF-8", frame(FIN | CLOSE, b"\x03\xe8\xff")),
    ];
    for (name, bytes) in &cases {
        ends(&node, name, bytes, Code::MalformedFrame).await;
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        ends(&node, &format!("opcode {opcode}"), &frame(FIN | opcode, b""), Code::MalformedFrame).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_beyond_the_limit_ends_before_its_payload_comes() {
    let node = TestNode::start(OPEN).await;
    for length in [1 << 63, u64::MAX, (1 << 63) - 1, 1 << 32, (1 << 32) + 1, 1 << 31, 4 * 64 * 1024 + 1] {
        for first in [FIN | TEXT, BINARY] {
            ends(&node, &format!("{length} bytes"), &head_of(first, length), Code::MessageTooLarge).await;
        }
    }
    let mut client = Client::open(node.address).await;
    client.socket.write(&head_of(FIN | PING, 1 << 63)).await;
    client.refused(Code::MessageTooLarge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_may_have_four_times_a_frames_limit_and_no_more() {
    let node = TestNode::start(&format!("{OPEN}[server]\nmax_frame = 2048\nmax_frame_before_connect = 1024\n")).await;
    for (connected, limit) in [(false, 4 * 1024), (true, 4 * 2048)] {
        for extra in [0, 1] {
            // Line ends are well-formed however many they are; whole, in two pieces, or in a thousand.
            for pieces in [1, 2, 1000] {
                let mut client = if connected { Client::connect(node.address, "alice").await } else { Client::open(node.address).await };
                let mut bytes = Vec::new();
                let message = vec![b'\n'; limit + extra];
                let chunk = message.len().div_ceil(pieces);
                let last = message.chunks(chunk).count() - 1;
                for (index, piece) in message.chunks(chunk).enumerate() {
                    let opcode = if index == 0 { TEXT } else { CONTINUATION };
                    bytes.extend(frame(if index == last { FIN | opcode } else { opcode }, piece));
                }
                client.socket.write(&bytes).await;
                if extra == 0 {
                    assert!(client.socket.answers_ping().await, "{limit} bytes in {pieces} pieces");
                } else {
                    client.refused(Code::MessageTooLarge).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_may_come_in_so_many_pieces_and_no_more() {
    let node = TestNode::start(OPEN).await;
    for extra in [0, 1] {
        let mut client = Client::connect(node.address, "alice").await;
        let mut bytes = frame(TEXT, b"");
        for _ in 2..MAX_FRAGMENTS + extra {
            bytes.extend(frame(CONTINUATION, b""));
        }
        bytes.extend(frame(FIN | CONTINUATION, b"\n"));
        client.socket.write(&bytes).await;
        if extra == 0 {
            // The next message counts anew.
            client.socket.write(&bytes).await;
            assert!(client.socket.answers_ping().await);
            client.lives().await;
        } else {
            client.refused(Code::MessageTooLarge).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_between_pieces_do_not_make_their_number_boundless() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::open(node.address).await;
    client.socket.send(TEXT, b"").await;
    let mut sent = 1;
    // Lock-step, so that what was taken is known to the piece.
    loop {
        let pieces = frame(CONTINUATION, b"").repeat(100);
        client.socket.write(&[pieces, frame(FIN | PING, b"")].concat()).await;
        sent += 100;
        match client.socket.next().await {
            // The answer to a ping may go out before the refusal of what came with it.
            Got::Pong(_) => assert!(sent <= MAX_FRAGMENTS + 100, "{sent} pieces were taken"),
            Got::Data(error) => {
                assert!(String::from_utf8(error).unwrap().contains("code:message-too-large"));
                assert!(sent > MAX_FRAGMENTS, "{sent} pieces are not too many");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_empty_pieces_end_soon_and_the_node_hangs_up_on_who_goes_on() {
    let node = TestNode::start(OPEN).await;
    let WebSocket { stream, .. } = WebSocket::open(node.address).await;
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        let flood = frame(CONTINUATION, b"").repeat(50_000);
        let mut pieces = 0;
        let _gone = writer.write_all(&frame(TEXT, b"")).await;
        // Without end: whoever is closed may go on and on.
        while writer.write_all(&flood).await.is_ok() {
            pieces += 50_000;
        }
        pieces
    };
    let mut heard = Vec::new();
    let reading = async { while matches!(reader.read_buf(&mut heard).await, Ok(1..)) {} };
    let (pieces, ()) = soon("the end of a flood", async { tokio::join!(writing, reading) }).await;
    assert!(pieces > MAX_FRAGMENTS);
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("code:message-too-large"), "{heard}");
    node.until_connections(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_with_what_it_held_also_between_pieces() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::connect(node.address, "alice").await;
    for payload in [&b""[..], b"hello", &[7; 125]] {
        client.socket.send(FIN | PING, payload).await;
        assert_eq!(client.socket.next().await, Got::Pong(payload.to_vec()));
    }
    client.subscribe("0", "/topic/open.room").await;
    client.socket.send(TEXT, b"SEND\ndestination:/topic/open.room\n").await;
    client.socket.send(FIN | PING, b"between").await;
    assert_eq!(client.socket.next().await, Got::Pong(b"between".to_vec()));
    client.socket.send(CONTINUATION, b"\nwhole").await;
    // A pong nobody asked for is a sign of life and nothing else.
    client.socket.send(FIN | PONG, b"unasked").await;
    client.socket.send(FIN | CONTINUATION, b"\0").await;
    client.hears("whole").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_of_pings_nobody_reads_at_most_a_few_answers_wait() {
    const PINGS: usize = 200_000;
    let node = TestNode::start(OPEN).await;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // What the kernels keep for both is not the node's, so let it be little here.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&node.address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(socket.into()).unwrap();
    let (mut socket, _) = WebSocket::open_on(stream, node.address, "").await.unwrap();
    let pings = frame(FIN | PING, &[b'x'; 125]).repeat(1000);
    for _ in 0..PINGS / 1000 {
        // All are taken though no answer is read: the node neither waits nor keeps them.
        socket.write(&pings).await;
    }
    socket.send(FIN | PING, b"last").await;
    let mut answers = 0;
    while socket.next().await != Got::Pong(b"last".to_vec()) {
        answers += 1;
    }
    // 127 bytes an answer; all of them would be 25 MB, which no kernel keeps for a socket.
    assert!(answers < PINGS / 2, "{answers}");
    println!("{answers} answers");
    let mut client = Client::on(socket);
    client.say(connect(&token("alice"), "1.2", "0,0")).await;
    client.connected().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_answered_with_its_code() {
    let node = TestNode::start(OPEN).await;
    for code in [1000_u16, 1001, 1003, 3000, 4999] {
        let mut client = Client::connect(node.address, "alice").await;
        client.socket.send(FIN | CLOSE, &code.to_be_bytes()).await;
        assert_eq!(client.socket.next().await, Got::Close(Some(code)));
        assert_eq!(client.socket.next().await, Got::End, "the server closes the connection first");
    }
    let mut client = Client::open(node.address).await;
    client.socket.send(FIN | CLOSE, b"").await;
    assert_eq!(client.socket.next().await, Got::Close(None));
    assert_eq!(client.socket.next().await, Got::End);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_with_a_code_that_nobody_may_send_is_answered_with_1002() {
    let node = TestNode::start(OPEN).await;
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let mut client = Client::connect(node.address, "alice").await;
        client.socket.send(FIN | CLOSE, &code.to_be_bytes()).await;
        assert_eq!(client.socket.next().await, Got::Close(Some(1002)), "{code}");
        assert_eq!(client.socket.next().await, Got::End);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_close_is_not_acted_on() {
    let node = TestNode::start(OPEN).await;
    let mut watcher = Client::connect(node.address, "watcher").await;
    watcher.subscribe("0", "/topic/open.room").await;
    let mut client = Client::connect(node.address, "alice").await;
    let late = frame(FIN | TEXT, b"SEND\ndestination:/topic/open.room\n\nlate\0");
    client.socket.write(&[frame(FIN | CLOSE, &1000_u16.to_be_bytes()), late].concat()).await;
    assert_eq!(client.closed().await, Some(1000));
    let mut good = Client::connect(node.address, "good").await;
    good.send(send("/topic/open.room", "the only one")).await;
    watcher.hears("the only one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_our_close_frame_the_client_has_two_seconds() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::open(node.address).await;
    client.say("NONSENSE\n\n\0").await;
    client.refused(Code::UnknownCommand).await;
    // It neither closes nor answers.
    assert_eq!(client.socket.next().await, Got::End);
    node.until_connections(0).await;
}
