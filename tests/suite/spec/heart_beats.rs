//! Heart-beats: what is agreed is kept, by both sides.

use std::time::{Duration, Instant};

use footfall::message::Code;
use stomp_frames::Command;

use crate::support::node::{OPEN, TestNode, token};
use crate::support::soon;
use crate::support::stomp::{Client, Heard, connect, send};
use crate::support::websocket::{FIN, PONG};

/// The node's own interval; short, so that tests are.
const INTERVAL: Duration = Duration::from_millis(500);
const FAST: &str = "[session]\nheart_beat_send = \"500ms\"\nheart_beat_expect = \"500ms\"\nheart_beat_least = \"500ms\"\n";
/// On a machine that is busy with other tests.
const LATE: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_pair_of_numbers_ends() {
    let node = TestNode::start(OPEN).await;
    for bad in [
        "",
        ",",
        "1",
        "1,",
        ",1",
        "-1,1",
        "+1,1",
        "a,b",
        "1,1,1",
        "1.5,1",
        "9223372036854775808,0",
        "0,18446744073709551616",
        "4294967296,0",
        "1e3,1",
        "0x1,1",
        "NaN,1",
        "1;1",
    ] {
        let mut client = Client::open(node.address).await;
        client.say(connect(&token("alice"), "1.2", bad)).await;
        client.refused(Code::BadHeartBeat).await;
    }
    for good in ["0,0", "1,1", "4294967295,4294967295", "0,4294967295", "10000, 10000"] {
        let mut client = Client::open(node.address).await;
        client.say(connect(&token("alice"), "1.2", good)).await;
        assert_eq!(client.connected().await.header("heart-beat"), Some("10000,10000"));
        client.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_come_in_time_and_no_faster_than_agreed() {
    let node = TestNode::start(&format!("{OPEN}{FAST}")).await;
    for (asked, interval) in [("0,1", INTERVAL), ("0,500", INTERVAL), ("0,1000", INTERVAL * 2)] {
        let begun = Instant::now();
        let mut client = Client::connect_with(node.address, &token("alice"), "1.2", asked).await;
        let mut last = Instant::now();
        for _ in 0..3 {
            assert!(matches!(client.heard().await, Heard::Beat));
            assert!(last.elapsed() <= interval * LATE, "{asked}: a beat took {:?}", last.elapsed());
            last = Instant::now();
        }
        // The first comes at 0.8 of the interval: a client that asks for one each millisecond gets no flood.
        assert!(begun.elapsed() >= interval * 2, "{asked}: three beats in {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_its_promise_is_closed_and_no_other() {
    let node = TestNode::start(&format!("{OPEN}{FAST}")).await;
    let begun = Instant::now();
    let mut silent = Client::connect_with(node.address, &token("silent"), "1.2", "1,0").await;
    let mut free = Client::connect_with(node.address, &token("free"), "1.2", "0,0").await;
    // STOMP 1.0 has no heart-beats, whatever its header says.
    let mut old = Client::connect_with(node.address, &token("old"), "1.0", "1,1").await;
    let mut rare = Client::connect_with(node.address, &token("rare"), "1.2", "60000,0").await;
    silent.refused(Code::HeartBeatLost).await;
    let tolerated = INTERVAL * 2 + Duration::from_secs(1);
    assert!(begun.elapsed() >= tolerated, "{:?}", begun.elapsed());
    assert!(begun.elapsed() <= tolerated * LATE, "{:?}", begun.elapsed());
    for client in [&mut free, &mut old, &mut rare] {
        client.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_beats_lives_however_busy_the_broker_is_with_it() {
    let node = TestNode::start(&format!("{OPEN}{FAST}")).await;
    let mut reader = Client::connect_with(node.address, &token("reader"), "1.2", "500,500").await;
    reader.subscribe("0", "/topic/open.busy").await;
    let mut writer = Client::connect(node.address, "writer").await;
    let (mut beat, mut heard, mut gap, mut last) = (tokio::time::interval(INTERVAL / 2), 0, Duration::ZERO, Instant::now());
    let begun = Instant::now();
    let body = "x".repeat(8000);
    let writing = async {
        // Longer than the broker tolerates silence.
        while begun.elapsed() < INTERVAL * 2 + Duration::from_millis(1500) {
            writer.done(send("/topic/open.busy", &body)).await;
        }
        writer.done(send("/topic/open.busy", "last")).await;
    };
    let reading = async {
        loop {
            tokio::select! {
                _ = beat.tick() => reader.say("\n").await,
                got = reader.hear() => {
                    gap = gap.max(last.elapsed());
                    last = Instant::now();
                    match got {
                        Heard::Frame(frame) if frame.body_text() == Some("last") => return,
                        Heard::Frame(frame) => {
                            assert_eq!(frame.command, Command::Message, "{frame:?}");
                            heard += 1;
                        }
                        Heard::Beat => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    };
    soon("the last message", async { tokio::join!(writing, reading) }).await;
    assert!(heard > 10);
    assert!(gap <= INTERVAL * LATE, "{gap:?}");
    reader.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_byte_is_a_sign_of_life() {
    let node = TestNode::start(&format!("{OPEN}{FAST}")).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect_with(node.address, &token("alice"), "1.2", "500,0").await);
    }
    let mut pause = tokio::time::interval(INTERVAL);
    let begun = Instant::now();
    while begun.elapsed() < INTERVAL * 2 + Duration::from_millis(1500) {
        pause.tick().await;
        let [beats, frames, pongs] = &mut clients[..] else { unreachable!() };
        beats.say("\n").await;
        frames.say("SEND\ndestination:/topic/open.room\n\nhi\0").await;
        pongs.socket.send(FIN | PONG, b"").await;
    }
    for client in &mut clients {
        client.lives().await;
    }
}
