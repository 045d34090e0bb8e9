//! How much one client may ask for, how long it may take, and what others notice of it.

use std::time::{Duration, Instant};

use footfall::message::Code;
use sqlx::Connection;
use stomp_frames::Command;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http;
use crate::support::node::{NARROW, OPEN, TestNode, slow_consumer, token};
use crate::support::soon;
use crate::support::stomp::{Client, Heard, frame, send, subscribe};
use crate::support::websocket::{CONTINUATION, FIN, Got, PING, TEXT, frame as ws_frame};

const FRAME_TIMEOUT: Duration = Duration::from_millis(800);

/// A partial frame or message, pings between, and whatever else might make it look alive: it must end in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_never_finished_ends() {
    let node = TestNode::start(&format!("{OPEN}[session]\nframe_timeout = \"800ms\"\n")).await;
    let whole = ws_frame(FIN | TEXT, b"\n");
    let half_head = &ws_frame(FIN | TEXT, &[b'x'; 200])[..3];
    let mut unfinished = Vec::new();
    for (name, bytes) in [
        ("half a head", ws_frame(FIN | TEXT, b"SEND\ndestination:/topic/op")),
        ("half a body", ws_frame(FIN | TEXT, b"SEND\ndestination:/topic/open.room\n\nhal")),
        ("half a body of a known length", ws_frame(FIN | TEXT, b"SEND\ndestination:/topic/open.room\ncontent-length:9\n\nhal")),
        ("half a line end", ws_frame(FIN | TEXT, b"\r")),
        ("half a message", ws_frame(TEXT, b"\n")),
        ("an empty half of a message", ws_frame(TEXT, b"")),
        ("half a WebSocket frame's head", half_head.to_vec()),
        ("half a WebSocket frame", ws_frame(FIN | TEXT, b"\n\n\n\n")[..8].to_vec()),
        ("half a frame right behind a whole one", [&whole[..], half_head].concat()),
        ("half a message right behind a whole one", [whole.clone(), ws_frame(TEXT, b"\n")].concat()),
        ("half a message and a ping", [ws_frame(TEXT, b"\n"), ws_frame(FIN | PING, b"")].concat()),
        ("half a ping", ws_frame(FIN | PING, b"ping")[..7].to_vec()),
    ] {
        let mut client = Client::connect(node.address, "alice").await;
        let begun = Instant::now();
        client.socket.write(&bytes).await;
        unfinished.push((name, begun, client));
    }
    for (name, begun, mut client) in unfinished {
        println!("{name}");
        client.refused(Code::FrameTimeout).await;
        assert!(begun.elapsed() >= FRAME_TIMEOUT, "{name}");
    }
    // A byte now and then finishes nothing, and neither do pings.
    let mut client = Client::connect(node.address, "alice").await;
    client.say("SEND\ndestination:").await;
    let mut pause = tokio::time::interval(FRAME_TIMEOUT / 8);
    let begun = Instant::now();
    let ended = soon("the end of a slow frame", async {
        loop {
            tokio::select! {
                heard = client.hear() => return heard,
                _ = pause.tick() => {
                    client.socket.send(TEXT, b"x").await;
                    client.socket.send(FIN | PING, b"").await;
                    client.socket.send(FIN | CONTINUATION, b"").await;
                }
            }
        }
    });
    let Heard::Frame(error) = ended.await else { panic!("an ERROR should come") };
    assert_eq!(error.header("code"), Some(Code::FrameTimeout.as_str()));
    assert!(begun.elapsed() >= FRAME_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_finished_in_time_lives() {
    let node = TestNode::start(&format!("{OPEN}[session]\nframe_timeout = \"800ms\"\n")).await;
    let mut client = Client::connect(node.address, "alice").await;
    let mut pause = tokio::time::interval(FRAME_TIMEOUT / 4);
    // Frames one after the other, each begun where another ended, for longer than one may take.
    client.say("SEND\ndestination:/topic/open.room\n").await;
    for _ in 0..8 {
        pause.tick().await;
        client.say("\nhi\0SEND\ndestination:/topic/open.room\n").await;
    }
    client.say("\nhi\0").await;
    client.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_have_a_limit_that_unsubscribe_gives_back() {
    let node = TestNode::start(&format!("{OPEN}[session]\nmax_subscriptions = 3\n")).await;
    let mut client = Client::connect(node.address, "alice").await;
    for id in ["0", "1", "2"] {
        client.subscribe(id, &format!("/topic/open.{id}")).await;
    }
    // The same again is none more.
    client.subscribe("1", "/topic/open.1").await;
    client.done(frame(Command::Unsubscribe, &[("id", "1")])).await;
    client.subscribe("3", "/topic/open.3").await;
    client.send(subscribe("4", "/topic/open.4")).await;
    client.refused(Code::TooManySubscriptions).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.subscribe("0", "/topic/open.a").await;
    client.send(subscribe("0", "/topic/open.b")).await;
    client.refused(Code::DuplicateSubscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_and_destinations_have_their_length_and_no_more() {
    let node = TestNode::start(OPEN).await;
    for (extra, fits) in [(0, true), (1, false)] {
        let id = "i".repeat(256 + extra);
        let destination = format!("/topic/open.{}", "d".repeat(188 + extra));
        for (asked, receipt, code) in [
            (subscribe(&id, "/topic/open.room"), "r", Code::BadHeader),
            (send("/topic/open.room", "").with_header("idempotency-key", id.clone()), "r", Code::BadHeader),
            (send("/topic/open.room", ""), &*id, Code::BadHeader),
            (frame(Command::Disconnect, &[]), &*id, Code::BadHeader),
            (subscribe("0", &destination), "r", Code::BadDestination),
            (send(&destination, ""), "r", Code::BadDestination),
        ] {
            let mut client = Client::connect(node.address, "alice").await;
            client.send(asked.with_header("receipt", receipt.to_owned())).await;
            if fits {
                client.receipt(receipt).await;
            } else {
                client.refused(code).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sends_at_once_are_all_answered_in_their_order() {
    const SENDS: u32 = 500;
    for at_once in [1, 3, 64] {
        let node = TestNode::start(&format!("{OPEN}[session]\nmax_sends_in_flight = {at_once}\n")).await;
        let mut watcher = Client::connect(node.address, "watcher").await;
        watcher.subscribe("0", "/topic/kept.room").await;
        let mut client = Client::connect(node.address, "alice").await;
        let all: String = (0..SENDS).map(|number| format!("SEND\ndestination:/topic/kept.room\nreceipt:{number}\n\n{number}\0")).collect();
        client.say(all).await;
        for number in 0..SENDS {
            client.receipt(&number.to_string()).await;
            let message = watcher.hears(&number.to_string()).await;
            let position = message.header("position").unwrap();
            assert_eq!(position.split_once(':').unwrap().1, (number + 1).to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_flight_are_bounded_and_none_is_lost() {
    let node = TestNode::start(&format!("{OPEN}[session]\nmax_bytes_in_flight = 1000\n")).await;
    let mut client = Client::connect(node.address, "alice").await;
    let body = "x".repeat(5000);
    let all: String = (0..40).map(|number| format!("SEND\ndestination:/topic/kept.room\nreceipt:{number}\n\n{body}\0")).collect();
    for part in all.as_bytes().chunks(60_000) {
        client.say(part).await;
    }
    for number in 0..40 {
        client.receipt(&number.to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_stands_still_a_sender_is_not_read_and_loses_nothing() {
    for limit in ["max_sends_in_flight = 4", "max_bytes_in_flight = 16"] {
        let node = TestNode::start(&format!("{OPEN}[session]\n{limit}\n")).await;
        let mut client = Client::connect(node.address, "alice").await;
        let mut other = Client::connect(node.address, "other").await;
        client.done(send("/topic/kept.room", "stored")).await;
        let held = node.hold_store().await;
        let kept = |number: u32| send("/topic/kept.room", "4321").with_header("receipt", number.to_string());
        for number in 0..3 {
            client.send(kept(number)).await;
        }
        assert!(client.socket.answers_ping().await);
        client.send(kept(3)).await;
        client.socket.send(FIN | PING, b"unread").await;
        client.send(kept(4)).await;
        // While another one has its answers.
        for _ in 0..50 {
            tokio::select! {
                biased;
                got = client.socket.read_frame() => panic!("{limit}: it was read on, {got:?}"),
                () = other.lives() => {}
            }
        }
        held.close().await.unwrap();
        for number in 0..5 {
            client.receipt(&number.to_string()).await;
        }
        client.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_sends_than_the_rate_allows_are_refused() {
    let rates = "[rate_limit]\nsession_per_second = 1\nsession_burst = 5\nuser_per_second = 1\nuser_burst = 8\n";
    let node = TestNode::start(&format!("{OPEN}{rates}")).await;
    let mut client = Client::connect(node.address, "alice").await;
    let mut taken = 0;
    loop {
        client.send(send("/topic/kept.room", "hi").with_header("receipt", "r")).await;
        let answer = client.frame().await;
        if answer.command == Command::Error {
            assert_eq!(answer.header("code"), Some("rate-limited"));
            assert_eq!(client.closed().await, Some(1012));
            break;
        }
        taken += 1;
    }
    assert!((5..=20).contains(&taken), "{taken}");
    // Another session of the same user has what is left of the user's; another user has all.
    let mut other = Client::connect(node.address, "bob").await;
    for _ in 0..5 {
        other.done(send("/topic/kept.room", "hi")).await;
    }
}

/// A session that has asked for everything and reads nothing, with little room on its way.
pub(super) async fn deaf(node: &TestNode) -> Client {
    let mut client = Client::connect_narrow(node.address, &token("deaf")).await;
    client.subscribe("0", "/topic/open.room").await;
    client
}

/// One writes, one reads; a third that reads nothing is dropped, and the two notice nothing of it.
async fn a_deaf_one_is_dropped(settings: &str) {
    let node = TestNode::start(&format!("{OPEN}{settings}")).await;
    let mut reader = Client::connect(node.address, "reader").await;
    reader.subscribe("0", "/topic/open.room").await;
    let mut writer = Client::connect(node.address, "writer").await;
    let mut deaf = deaf(&node).await;
    node.until_connections(3).await;
    let body = "x".repeat(15_000);
    let mut written = 0_u64;
    let dropped = async {
        loop {
            written += 1;
            // A receipt says that the broker has it, not that anybody reads.
            writer.done(send("/topic/open.room", &body)).await;
            assert_eq!(reader.message().await.body.len(), body.len());
            if written.is_multiple_of(50) {
                let ready: serde_json::Value = serde_json::from_slice(&http::get(node.address, "/health/ready").await.body).unwrap();
                if ready["connections"] == 2 {
                    return;
                }
            }
        }
    };
    soon("the end of the deaf one", dropped).await;
    reader.lives().await;
    writer.lives().await;
    // What was on its way to it may be read still; then nothing comes.
    let begun = Instant::now();
    let mut heard = 0;
    while let Heard::Frame(_) | Heard::Beat = deaf.heard().await {
        heard += 1;
    }
    assert!(heard < written, "{heard} of {written}, {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lets_too_much_wait_is_dropped_and_no_other() {
    a_deaf_one_is_dropped("[server]\nmax_frame = 16384\nmax_outbox = 65536\n[session]\nwrite_timeout = \"60000ms\"\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_no_bytes_is_dropped_and_no_other() {
    a_deaf_one_is_dropped("[server]\nmax_frame = 16384\nmax_outbox = 1073741824\n[session]\nwrite_timeout = \"500ms\"\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_on_and_on_and_reads_no_answer_is_dropped() {
    let node =
        TestNode::start(&format!("{OPEN}[server]\nmax_frame = 16384\nmax_outbox = 65536\n[session]\nwrite_timeout = \"60000ms\"\n")).await;
    let receipt = "r".repeat(250);
    for asked in [
        format!("UNSUBSCRIBE\nid:none\nreceipt:{receipt}\n\n\0"),
        format!("SEND\ndestination:/topic/open.other\nreceipt:{receipt}\n\n\0"),
        format!("SUBSCRIBE\nid:0\ndestination:/topic/open.room\nreceipt:{receipt}\n\n\0"),
    ] {
        let mut deaf = deaf(&node).await;
        let many = ws_frame(FIN | TEXT, asked.repeat(100).as_bytes());
        let written = soon("the end of the deaf one", async {
            let mut written = 0_usize;
            while deaf.socket.stream.write_all(&many).await.is_ok() {
                written += 100;
            }
            written
        });
        // 64 KiB of answers, and what the kernels keep; not one for each that was asked.
        assert!(written.await > 100);
        node.until_connections(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_one_that_reads_again_is_told_to_come_back() {
    let node = TestNode::start(&format!("{OPEN}{NARROW}")).await;
    let (mut writer, _client) = slow_consumer(&node).await;
    writer.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_tells_everyone_to_come_back_and_ends_well() {
    let node = TestNode::start(&format!("{OPEN}[server]\ndrain = \"300ms\"\n")).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::connect(node.address, "alice").await);
    }
    let mut early = Client::open(node.address).await;
    node.until_connections(6).await;
    let address = node.address;
    let begun = Instant::now();
    node.drain();
    for client in &mut clients {
        client.refused(Code::Draining).await;
    }
    early.refused(Code::Draining).await;
    // Spread over the time, so that they don't all come back at once.
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    for client in clients.iter_mut().chain([&mut early]) {
        client.socket.send(FIN | 0x8, &1012_u16.to_be_bytes()).await;
        assert_eq!(client.socket.next().await, Got::End);
    }
    assert!(node.ended().await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_connections_wait_until_one_goes() {
    let node = TestNode::start(&format!("{OPEN}[server]\nmax_connections = 2\n")).await;
    let first = Client::connect(node.address, "first").await;
    let mut second = Client::connect(node.address, "second").await;
    let mut third = Box::pin(Client::connect(node.address, "third"));
    // While the second has its answers, the third has none.
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = &mut third => panic!("there is a third connection"),
            () = second.lives() => {}
        }
    }
    drop(first);
    third.await.lives().await;
    second.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_full_drains_like_others() {
    let node = TestNode::start(&format!("{OPEN}[server]\nmax_connections = 1\ndrain = \"100ms\"\n")).await;
    let mut only = Client::connect(node.address, "only").await;
    let _waiting = TcpStream::connect(node.address).await.unwrap();
    node.drain();
    only.refused(Code::Draining).await;
    drop(only);
    assert!(node.ended().await);
}
