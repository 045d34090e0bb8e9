//! Nobody is heard before CONNECT was accepted, nor after it failed.

use std::time::{Duration, Instant};

use footfall::message::Code;
use serde_json::json;
use stomp_frames::Command;

use crate::support::node::{OPEN, TestNode, now_s, signed, token};
use crate::support::stomp::{Client, connect, frame, send, subscribe};

const SEND: &str = "SEND\ndestination:/topic/open.room\n\nmust never arrive\0";

/// Five times what failure-matrix A1 allows.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Says something on a fresh socket for each of them; each must end with its code, in time, and reach nobody.
async fn refused(cases: &[(&str, Code)]) {
    let node = TestNode::start(OPEN).await;
    let mut watcher = Client::connect(node.address, "watcher").await;
    watcher.subscribe("0", "/topic/open.*").await;
    let mut took = Vec::new();
    for (bytes, code) in cases {
        let mut client = Client::open(node.address).await;
        let begun = Instant::now();
        client.say(bytes.replace("{token}", &token("mallory"))).await;
        let error = client.refused(*code).await;
        took.push(begun.elapsed());
        assert_eq!(error.header("subscription"), None);
        // What comes after the end is not even read.
        client.say(SEND).await;
    }
    took.sort();
    assert!(took[took.len() / 2] <= CLOSE_WITHIN, "{took:?}");
    let mut good = Client::connect(node.address, "good").await;
    good.send(send("/topic/open.room", "the only one")).await;
    watcher.hears("the only one").await;
    watcher.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_before_connect_ends_and_is_not_acted_on() {
    refused(&[
        (SEND, Code::NotConnected),
        ("SUBSCRIBE\nid:0\ndestination:/topic/open.room\n\n\0", Code::NotConnected),
        ("DISCONNECT\nreceipt:1\n\n\0", Code::NotConnected),
        ("ACK\nid:1-1\n\n\0", Code::NotConnected),
        ("UNSUBSCRIBE\nid:0\n\n\0", Code::NotConnected),
        ("BEGIN\ntransaction:1\n\n\0", Code::NotConnected),
        ("MESSAGE\ndestination:/topic/open.room\nmessage-id:1\nsubscription:0\n\nx\0", Code::NotConnected),
        ("CONNECTED\nversion:1.2\n\n\0", Code::NotConnected),
        ("\n\r\nSEND\ndestination:/topic/open.room\n\nmust never arrive\0", Code::NotConnected),
        // What follows makes nothing good.
        (&format!("{SEND}{}", connect("{token}", "1.2", "0,0")), Code::NotConnected),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_right_behind_a_failed_connect_are_not_acted_on() {
    refused(&[
        (&format!("CONNECT\naccept-version:1.2\n\n\0{SEND}"), Code::TokenMissing),
        (&format!("{}{SEND}{SEND}", connect("bad.bad.bad", "1.2", "0,0")), Code::TokenInvalid),
        (&format!("{}\n{SEND}", connect("bad.bad.bad", "1.2", "0,0")), Code::TokenInvalid),
        (&format!("{}SUBSCRIBE\nid:0\ndestination:/topic/open.room\n\n\0{SEND}", connect("", "1.2", "0,0")), Code::TokenInvalid),
        (&format!("{}{SEND}", connect("{token}", "9.9", "0,0")), Code::VersionUnsupported),
        (&format!("{}{SEND}", connect("{token}", "1.2", "no,no")), Code::BadHeartBeat),
        // The first was bad, so the second does not count.
        (&format!("{}{}{SEND}", connect("bad.bad.bad", "1.2", "0,0"), connect("{token}", "1.2", "0,0")), Code::TokenInvalid),
        (&format!("CONNECT\naccept-version:1.2\npasscode:bad\nAuthorization:Bearer {{token}}x\n\n\0{SEND}"), Code::TokenInvalid),
        (&format!("connect\naccept-version:1.2\n\n\0{SEND}"), Code::UnknownCommand),
        (&format!("CONNECT\naccept-version:1.2\n\nbody\0{SEND}"), Code::UnexpectedBody),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connect_ends_and_what_follows_is_not_acted_on() {
    let (once, again) = (connect("{token}", "1.2", "0,0"), connect("{token}", "1.1", "0,0"));
    let node = TestNode::start(OPEN).await;
    let mut watcher = Client::connect(node.address, "watcher").await;
    watcher.subscribe("0", "/topic/open.*").await;
    for second in [again.clone(), again.replace("CONNECT", "STOMP"), "CONNECT\n\n\0".to_owned()] {
        let mut client = Client::open(node.address).await;
        client.say(format!("{once}{second}{SEND}").replace("{token}", &token("mallory"))).await;
        client.connected().await;
        client.refused(Code::AlreadyConnected).await;
    }
    let mut good = Client::connect(node.address, "good").await;
    good.send(send("/topic/open.room", "the only one")).await;
    watcher.hears("the only one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_right_behind_a_good_connect_are_acted_on_in_order() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::open(node.address).await;
    let frames = "SUBSCRIBE\nid:0\ndestination:/topic/open.room\nreceipt:1\n\n\0\nSEND\ndestination:/topic/open.room\nreceipt:2\n\nhi\0";
    client.say(format!("\n\n{}{frames}", connect(&token("alice"), "1.2", "0,0"))).await;
    client.connected().await;
    client.receipt("1").await;
    // The message may come before its receipt or behind it: they are different matters.
    let both = [client.frame().await.command, client.frame().await.command];
    assert!(both.contains(&Command::Message) && both.contains(&Command::Receipt), "{both:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_is_spoken_and_connected_says_what_was_agreed() {
    let node = TestNode::start(OPEN).await;
    for (accept, version, beats) in [
        (None, "1.0", "0,0"),
        (Some("1.0"), "1.0", "0,0"),
        (Some("1.1,1.0"), "1.1", "10000,10000"),
        (Some("1.2, 1.1"), "1.2", "10000,10000"),
    ] {
        let mut client = Client::open(node.address).await;
        let accept = accept.map(|accept| format!("accept-version:{accept}\n")).unwrap_or_default();
        client.say(format!("STOMP\n{accept}passcode:{}\n\n\0", token("alice"))).await;
        let connected = client.connected().await;
        assert_eq!(connected.header("version"), Some(version));
        assert_eq!(connected.header("heart-beat"), Some(beats));
        assert_eq!(connected.header("user-name"), Some("alice"));
        assert_eq!(connected.header("session").map(str::len), Some(32));
        client.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_is_told_which_are_known() {
    let node = TestNode::start(OPEN).await;
    let mut client = Client::open(node.address).await;
    client.say(connect(&token("alice"), "2.0", "0,0")).await;
    assert_eq!(client.refused(Code::VersionUnsupported).await.header("version"), Some("1.0,1.1,1.2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_is_answered_and_what_follows_it_is_not_acted_on() {
    let node = TestNode::start(OPEN).await;
    let mut watcher = Client::connect(node.address, "watcher").await;
    watcher.subscribe("0", "/topic/open.*").await;
    let mut client = Client::connect(node.address, "alice").await;
    client.say(format!("DISCONNECT\nreceipt:bye\n\n\0{SEND}NONSENSE\n\n\0")).await;
    client.receipt("bye").await;
    assert_eq!(client.closed().await, Some(1000));
    let mut silent = Client::connect(node.address, "alice").await;
    silent.send(frame(Command::Disconnect, &[])).await;
    assert_eq!(silent.closed().await, Some(1000));
    let mut good = Client::connect(node.address, "good").await;
    good.send(send("/topic/open.room", "the only one")).await;
    watcher.hears("the only one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_before_connect_ends_with_4500() {
    let node = TestNode::start(&format!("{OPEN}[session]\nconnect_timeout = \"1000ms\"\n")).await;
    let begun = Instant::now();
    let mut silent = Client::open(node.address).await;
    let mut beats = Client::open(node.address).await;
    let mut slow = Client::open(node.address).await;
    let mut connected = Client::connect(node.address, "alice").await;
    // Line ends are tolerated, but they are no CONNECT; neither is half of one.
    beats.say("\n").await;
    slow.say("CONNECT\naccept-version:1.2\n").await;
    for client in [&mut silent, &mut beats, &mut slow] {
        client.refused(Code::ConnectTimeout).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    connected.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_ends_its_session() {
    let node = TestNode::start(&format!("{OPEN}[auth]\nleeway = \"0s\"\n")).await;
    let token = signed(&json!({ "sub": "alice", "exp": now_s() + 3 }));
    let mut client = Client::connect_with(node.address, &token, "1.2", "0,0").await;
    client.lives().await;
    client.refused(Code::TokenExpired).await;
    // Coming back with it ends the same way.
    let mut again = Client::open(node.address).await;
    again.say(connect(&token, "1.2", "0,0")).await;
    again.refused(Code::TokenExpired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_forged_or_strange_token_is_accepted() {
    let node = TestNode::start(OPEN).await;
    let good = token("alice");
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let other = token("mallory");
    let unsigned = "eyJhbGciOiJub25lIn0";
    let exp = now_s() + 3600;
    let forged = [
        format!("{unsigned}.{claims}."),
        format!("{unsigned}.{claims}.{signature}"),
        format!("{head}.{claims}."),
        format!("{head}.{}.{signature}", other.split('.').nth(1).unwrap()),
        format!("{head}.{claims}"),
        format!("{good}.{signature}"),
        signed(&json!({ "sub": "alice" })),
        signed(&json!({ "sub": "alice", "exp": exp.to_string() })),
        signed(&json!({ "sub": "alice", "exp": -1 })),
        signed(&json!({ "sub": "alice", "exp": exp, "nbf": exp })),
        signed(&json!({ "sub": "alice", "exp": exp, "nbf": "now" })),
        signed(&json!({ "exp": exp })),
        signed(&json!({ "sub": ["alice"], "exp": exp })),
        signed(&json!({ "sub": "", "exp": exp })),
        signed(&json!({ "sub": "alice", "exp": exp, "pad": "x".repeat(7000) })),
    ];
    for token in forged {
        let mut client = Client::open(node.address).await;
        client.say(connect(&token, "1.2", "0,0")).await;
        client.refused(Code::TokenInvalid).await;
    }
    let mut client = Client::open(node.address).await;
    client.say(connect(&signed(&json!({ "sub": "alice", "exp": now_s() - 3600 })), "1.2", "0,0")).await;
    client.refused(Code::TokenExpired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_name_never_becomes_a_line() {
    let node = TestNode::start(OPEN).await;
    for accept in ["1.0", "1.1", "1.2"] {
        for name in
            ["bob\nrole:admin", "bob\r\nrole:admin", "bob\0", "bob\n\nbody", "bob\r", "\nrole:admin", "bob\u{85}role:admin", "b\u{1b}[2J"]
        {
            let mut client = Client::open(node.address).await;
            client.say(connect(&token(name), accept, "0,0")).await;
            let error = client.refused(Code::TokenInvalid).await;
            assert_eq!(error.header("role"), None);
        }
        // What only looks like a line or an escape is a name like others.
        for name in ["bob\\nrole:admin", "bob:admin", "bob\\c", "\u{fc}\u{1f600}", "bob\u{2028}role:admin"] {
            let mut client = Client::open(node.address).await;
            client.say(connect(&token(name), accept, "0,0")).await;
            let connected = client.connected().await;
            // CONNECTED is not escaped in any version.
            assert_eq!(connected.header("user-name"), Some(name));
            assert_eq!(connected.header("role"), None);
            let names: Vec<_> = connected.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["version", "heart-beat", "user-name", "server", "session", "sender-session"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_senders_header_never_becomes_a_line() {
    let node = TestNode::start(OPEN).await;
    let evil = r"SEND
destination:/topic/open.room
x-one:a\nrole:admin
x-two\nrole:admin
x\crole:b\\nrole\cadmin
content-type:text/plain\nrole:admin

hi"
    .to_owned()
        + "\0";
    for reader in ["1.0", "1.1", "1.2"] {
        let mut watcher = Client::connect_with(node.address, &token("watcher"), reader, "0,0").await;
        watcher.send(subscribe("w\nrole:admin", "/topic/open.room").with_header("receipt", "1")).await;
        watcher.receipt("1").await;
        for writer in ["1.0", "1.1", "1.2"] {
            let mut client = Client::connect_with(node.address, &token("bob"), writer, "0,0").await;
            client.say(&evil).await;
            let message = watcher.hears("hi").await;
            assert_eq!(message.header("role"), None, "{writer} to {reader}: {message:?}");
            assert_eq!(message.header("sender"), Some("bob"));
        }
        if reader == "1.2" {
            let mut client = Client::connect_with(node.address, &token("bob"), "1.2", "0,0").await;
            client.say("SEND\ndestination:/topic/open.room\nx:a\\r\\nrole:admin\n\nhi\0").await;
            let message = watcher.hears("hi").await;
            assert_eq!(message.header("x"), Some("a\r\nrole:admin"));
            assert_eq!(message.header("role"), None);
        }
    }
}
