//! What must go on when other things wait: writes, replays, answers, drains.

use std::time::Duration;

use bytes::Bytes;
use footfall::channel::{Call, ChannelInterceptor};
use footfall::message::{Code, Refusal};
use footfall::session::Request;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde_json::json;
use stomp_frames::Command;

use super::limits::deaf;
use crate::support::node::{OPEN, TestNode, now_s, signed};
use crate::support::soon;
use crate::support::stomp::{Client, Heard, connect, frame, send, subscribe};

/// Messages of a size, more than the kernels keep.
const MANY: usize = 200;
/// With its head a MESSAGE of this body fills the write buffer, 64 KiB, alone; its SEND is just small enough.
const FULL: usize = 65_400;
/// Kilobytes that are read slowly.
const SLOWLY: usize = 250;

const ROOM: &str = "[server]\nmax_outbox = 1073741824\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_during_a_replay_is_answered_all_the_same() {
    let node = TestNode::start(OPEN).await;
    let mut writer = Client::connect(node.address, "writer").await;
    for _ in 0..40 {
        writer.done(send("/topic/kept.room", &"x".repeat(16 * 1024))).await;
    }
    // So often that a ticket which stays open would let no further frame in.
    let mut client = Client::connect(node.address, "leaver").await;
    for round in 0..300 {
        client
            .say(format!(
                "SUBSCRIBE\nid:0\ndestination:/topic/kept.room\nhistory:40\nreceipt:join-{round}\n\n\0UNSUBSCRIBE\nid:0\nreceipt:leave-{round}\n\n\0"
            ))
            .await;
        let mut receipts = Vec::new();
        while receipts.len() < 2 {
            let frame = client.frame().await;
            if frame.command == Command::Receipt {
                receipts.push(frame.header("receipt-id").unwrap().to_owned());
            }
        }
        receipts.sort();
        assert_eq!(receipts, [format!("join-{round}"), format!("leave-{round}")]);
    }
    client.say("SUBSCRIBE\nid:0\ndestination:/topic/kept.room\nhistory:40\n\n\0DISCONNECT\nreceipt:bye\n\n\0").await;
    loop {
        let frame = client.frame().await;
        if frame.command == Command::Receipt {
            assert_eq!(frame.header("receipt-id"), Some("bye"));
            break;
        }
    }
    assert_eq!(client.closed().await, Some(1000));
}

/// A frame of the full 64 KiB fills the write buffer by itself; what comes behind it must not wait for a beat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_full_write_is_written_without_another_wake_up() {
    // No deadline is near that would wake it by chance.
    let node = TestNode::start(&format!("{OPEN}{ROOM}[session]\nwrite_timeout = \"60s\"\nconnect_timeout = \"60s\"\n")).await;
    let mut reader = deaf(&node).await;
    let mut writer = Client::connect(node.address, "writer").await;
    for _ in 0..MANY {
        writer.done(send("/topic/open.room", &"x".repeat(FULL))).await;
    }
    writer.done(send("/topic/open.room", "the last")).await;
    for _ in 0..MANY {
        assert_eq!(reader.message().await.body.len(), FULL);
    }
    reader.hears("the last").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_slowly_but_steadily_is_not_called_stalled() {
    let node = TestNode::start(&format!("{OPEN}{ROOM}[session]\nwrite_timeout = \"1s\"\n")).await;
    let mut reader = deaf(&node).await;
    let mut writer = Client::connect(node.address, "writer").await;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let mut slowly = [0; 1024];
    // 50 KB/s: the 64 KiB of a write take longer than the limit, and yet bytes go out all the time.
    let steadily = async {
        for _ in 0..SLOWLY {
            pause.tick().await;
            tokio::io::AsyncReadExt::read_exact(&mut reader.socket.stream, &mut slowly).await.unwrap();
        }
    };
    let write = async {
        for _ in 0..MANY {
            writer.done(send("/topic/open.room", &"x".repeat(65_000))).await;
        }
    };
    tokio::join!(steadily, write);
    let mut rest = MANY * 65_000 - SLOWLY * 1024;
    let mut bytes = vec![0; 64 * 1024];
    while rest > 0 {
        let read = soon("the rest", tokio::io::AsyncReadExt::read(&mut reader.socket.stream, &mut bytes)).await.unwrap();
        assert!(read > 0, "closed with {rest} bytes to come");
        rest = rest.saturating_sub(read);
    }
}

/// A decoder that failed fails for ever; whoever may be ignored must still be read, or it turns a core for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_behind_disconnect_is_read_and_thrown_away() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::connect(node.address, "leaver").await;
    let held = node.hold_store().await;
    client.send(send("/topic/kept.room", "kept").with_header("receipt", "kept")).await;
    client.send(frame(Command::Disconnect, &[("receipt", "bye")])).await;
    let garbage = async {
        for _ in 0..400 {
            client.say("\0".repeat(16 * 1024)).await;
        }
    };
    soon("the end of 6 MB of garbage", garbage).await;
    drop(held);
    client.receipt("kept").await;
    client.receipt("bye").await;
    assert_eq!(client.closed().await, Some(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_what_the_bus_has_before_it_closes() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::connect(node.address, "writer").await;
    let held = node.hold_store().await;
    client.send(send("/topic/kept.room", "kept").with_header("receipt", "kept")).await;
    // It is with the bus once the frame behind it was answered.
    client.done(frame(Command::Unsubscribe, &[("id", "none")])).await;
    node.drain();
    drop(held);
    client.receipt("kept").await;
    client.refused(Code::Draining).await;
    assert!(node.ended().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_does_not_keep_a_node_from_ending_well() {
    let node = TestNode::start(&format!("{OPEN}{ROOM}drain = \"100ms\"\n[session]\nwrite_timeout = \"60s\"\n")).await;
    let _deaf = deaf(&node).await;
    let mut writer = Client::connect(node.address, "writer").await;
    for _ in 0..200 {
        writer.done(send("/topic/open.room", &"x".repeat(65_000))).await;
    }
    node.drain();
    assert!(node.ended().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_counts_against_the_rate_too() {
    let limit = "[rate_limit]\nsession_per_second = 1\nsession_burst = 20\n";
    let node = TestNode::start(&format!("{OPEN}{limit}")).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.subscribe("errors", "/user/queue/errors").await;
    let mut codes = Vec::new();
    for _ in 0..40 {
        client.send(send("/topic/nowhere", "")).await;
        codes.push(client.message().await.header("code").unwrap().to_owned());
    }
    assert_eq!(codes.iter().filter(|code| *code == "unknown-destination").count(), 20, "{codes:?}");
    assert!(codes[25..].iter().any(|code| code == "rate-limited"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_have_a_rate_that_lets_a_client_come_back() {
    let limit = "[rate_limit]\nsession_per_second = 1\nsession_burst = 20\n";
    let node = TestNode::start(&format!("{OPEN}{limit}")).await;
    let mut client = Client::connect(node.address, "alice").await;
    for number in 0..100 {
        client.subscribe(&number.to_string(), &format!("/topic/open.{number}")).await;
    }
    let mut refused = 0;
    for number in 0..300 {
        client.send(frame(Command::Unsubscribe, &[("id", "99")])).await;
        client.send(subscribe("99", &format!("/topic/open.other-{number}")).with_header("receipt", "r")).await;
        match client.heard().await {
            Heard::Frame(frame) if frame.command == Command::Receipt => {}
            Heard::Frame(frame) => {
                assert_eq!(frame.header("code"), Some("rate-limited"));
                refused = number;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 150, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_its_session_at_its_end_and_not_after_the_leeway() {
    let node = TestNode::start(OPEN).await;
    let token = |exp: u64| signed(&json!({ "sub": "alice", "exp": exp }));
    let mut client = Client::connect_with(node.address, &token(now_s() + 2), "1.2", "0,0").await;
    client.refused(Code::TokenExpired).await;
    // Accepted within the leeway, for clocks may differ, and then for a moment only.
    let mut late = Client::connect_with(node.address, &token(now_s() - 5), "1.2", "0,0").await;
    late.lives().await;
    late.refused(Code::TokenExpired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_after_all_clocks_is_just_a_token() {
    let token = signed(&json!({ "sub": "alice", "exp": i64::MAX }));
    // What nobody revokes may last for ever.
    let node = TestNode::start(&format!("auth.registry = \"off\"\n{OPEN}")).await;
    Client::connect_with(node.address, &token, "1.2", "0,0").await.lives().await;
    let node = TestNode::start(OPEN).await;
    let mut client = Client::open(node.address).await;
    client.say(connect(&token, "1.2", "0,0")).await;
    client.refused(Code::TokenInvalid).await;
}

/// Says no to a word, as an application's own step may.
#[derive(Debug)]
struct NoSwearing;

impl ChannelInterceptor for NoSwearing {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        let swears = matches!(&call.request, Request::Send(_, send) if send.body == Bytes::from_static(b"damn"));
        ready(if swears { Err(Refusal::with(Code::SendDenied, "Not in this house.")) } else { Ok(()) }).boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applications_own_interceptor_sees_what_was_let_through() {
    let node = TestNode::start_with(OPEN, vec![Box::new(NoSwearing)]).await;
    let mut client = Client::open(node.address).await;
    client.say(connect(&crate::support::node::token("alice"), "1.2", "0,0")).await;
    client.connected().await;
    client.done(send("/topic/open.room", "dear me")).await;
    client.send(send("/topic/open.room", "damn")).await;
    let error = client.refused(Code::SendDenied).await;
    assert_eq!(error.header("message"), Some("Not in this house."));
}
