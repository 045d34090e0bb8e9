//! Nobody does what they have no right to, and nobody acts as another.

use footfall::message::Code;
use stomp_frames::Command;

use crate::support::node::{TestNode, token, token_with_role};
use crate::support::stomp::{Client, frame, send, subscribe};

/// What a refusal does is left at its default: the connection is closed.
const CLOSED: &str = r#"
    [[destinations]]
    pattern = "/topic/open.{name}"
    subscribe = "true"
    send = "true"
    [[destinations]]
    pattern = "/topic/news.{name}"
    subscribe = "true"
    send = "'EDITOR' in user.roles"
    store = true
    [[destinations]]
    pattern = "/topic/staff.{name}"
    subscribe = "'STAFF' in user.roles"
    send = "'STAFF' in user.roles"
    wildcard = true
    [[destinations]]
    pattern = "/topic/dead.{name}"
    [[destinations]]
    pattern = "/topic/broken.{name}"
    subscribe = "claims.nowhere.at.all == 1"
    send = "message.json.price > 1"
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "true"
    send = "params.name == 'notices'"
    [[applications]]
    pattern = "/app/chat/{room}"
    target = "/topic/staff.{room}"
    send = "params.room == 'desk'"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_rule_allows_ends_and_reaches_nobody() {
    let node = TestNode::start(CLOSED).await;
    let mut staff = Client::connect_with(node.address, &token_with_role("sam", "STAFF"), "1.2", "0,0").await;
    staff.subscribe("0", "/topic/staff.*").await;
    staff.subscribe("1", "/topic/news.today").await;
    staff.subscribe("2", "/user/queue/secrets").await;
    for (asked, code) in [
        (subscribe("0", "/topic/staff.desk"), Code::SubscribeDenied),
        (subscribe("0", "/topic/staff.*"), Code::SubscribeDenied),
        (subscribe("0", "/topic/open.*"), Code::PatternDenied),
        (subscribe("0", "/topic/**"), Code::PatternDenied),
        (subscribe("0", "/topic/dead.x"), Code::SubscribeDenied),
        (subscribe("0", "/topic/broken.x"), Code::SubscribeDenied),
        (subscribe("0", "/topic/nowhere"), Code::UnknownDestination),
        (subscribe("0", "/queue/nowhere"), Code::UnknownDestination),
        (subscribe("0", "/app/chat/desk"), Code::UnknownDestination),
        (subscribe("0", "/user/sam/queue/secrets"), Code::BadDestination),
        (send("/topic/staff.desk", "no"), Code::SendDenied),
        (send("/topic/news.today", "no"), Code::SendDenied),
        (send("/topic/dead.x", "no"), Code::SendDenied),
        (send("/topic/broken.x", "{\"price\":\"2\"}"), Code::SendDenied),
        (send("/topic/broken.x", "no JSON"), Code::SendDenied),
        (send("/topic/nowhere", "no"), Code::UnknownDestination),
        (send("/topic/staff.*", "no"), Code::BadDestination),
        (send("/user/sam/queue/secrets", "no"), Code::SendDenied),
        (send("/user/queue/secrets", "no"), Code::BadDestination),
        (send("/app/chat/boss", "no"), Code::SendDenied),
        (send("/app/nowhere", "no"), Code::UnknownDestination),
    ] {
        let mut client = Client::connect(node.address, "mallory").await;
        client.send(asked.clone().with_header("receipt", "r")).await;
        let error = client.refused(code).await;
        assert_eq!(error.header("receipt-id"), Some("r"), "{asked:?}");
    }
    // What a target's own rule denies may be allowed by way of /app, and only so.
    let mut client = Client::connect(node.address, "mallory").await;
    client.done(send("/app/chat/desk", "by the front door")).await;
    staff.hears("by the front door").await;
    staff.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_what_only_a_server_sends_ends() {
    let node = TestNode::start(CLOSED).await;
    let mut watcher = Client::connect(node.address, "watcher").await;
    watcher.subscribe("0", "/topic/open.room").await;
    for command in [Command::Message, Command::Receipt, Command::Error, Command::Connected] {
        let mut client = Client::connect(node.address, "mallory").await;
        let headers =
            [("destination", "/topic/open.room"), ("message-id", "1"), ("subscription", "0"), ("receipt-id", "1"), ("version", "1.2")];
        client.send(frame(command, &headers)).await;
        client.refused(Code::UnexpectedCommand).await;
    }
    for command in [Command::Begin, Command::Commit, Command::Abort] {
        let mut client = Client::connect(node.address, "mallory").await;
        client.send(frame(command, &[("transaction", "1")])).await;
        client.refused(Code::TransactionsUnsupported).await;
    }
    for version in ["1.0", "1.1", "1.2"] {
        for command in ["PUBLISH", "send", "Send", "SENDX", "GET / HTTP/1.1"] {
            let mut client = Client::connect_with(node.address, &token("mallory"), version, "0,0").await;
            client.say(format!("{command}\ndestination:/topic/open.room\n\nno\0")).await;
            client.refused(Code::UnknownCommand).await;
        }
    }
    watcher.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_and_the_session_lives_where_the_policy_says_so() {
    let node = TestNode::start(&format!("refusals = \"notify\"\n{CLOSED}")).await;
    let mut client = Client::connect(node.address, "mallory").await;
    client.subscribe("errors", "/user/queue/errors").await;
    for (asked, code) in [
        (subscribe("0", "/topic/staff.desk"), "subscribe-denied"),
        (send("/topic/staff.desk", "no"), "send-denied"),
        (subscribe("0", "/topic/**"), "pattern-denied"),
        (send("/topic/nowhere", "no"), "unknown-destination"),
    ] {
        client.send(asked.with_header("receipt", "r")).await;
        let notice = client.message().await;
        assert_eq!((notice.header("code"), notice.header("receipt-id")), (Some(code), Some("r")));
    }
    client.lives().await;
    // Without that queue it is an ERROR, since nobody would hear of it.
    let mut deaf = Client::connect(node.address, "mallory").await;
    deaf.send(subscribe("0", "/topic/staff.desk")).await;
    deaf.refused(Code::SubscribeDenied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_queue_is_its_users_alone() {
    let node = TestNode::start(CLOSED).await;
    let mut alice = Client::connect(node.address, "alice").await;
    let mut tab = Client::connect(node.address, "alice").await;
    let mut mallory = Client::connect(node.address, "mallory").await;
    for client in [&mut alice, &mut tab, &mut mallory] {
        client.subscribe("n", "/user/queue/notices").await;
    }
    let mut bob = Client::connect(node.address, "bob").await;
    bob.done(send("/user/alice/queue/notices", "for alice")).await;
    for client in [&mut alice, &mut tab] {
        let message = client.hears("for alice").await;
        assert_eq!(message.header("destination"), Some("/user/queue/notices"));
    }
    bob.done(send("/user/mallory/queue/notices", "for mallory")).await;
    mallory.hears("for mallory").await;
    // Names that only look like hers are other users.
    for name in ["Alice", "alice%20", "%61lice%00", "ALICE", "alice\u{301}", "al%2Fice"] {
        let mut bob = Client::connect(node.address, "bob").await;
        bob.send(send(&format!("/user/{name}/queue/notices"), "for another")).await;
    }
    let mut bob = Client::connect(node.address, "bob").await;
    bob.done(send("/user/%61lice/queue/notices", "in other letters")).await;
    alice.hears("in other letters").await;
    mallory.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_named_like_a_destination_is_only_a_user() {
    let node = TestNode::start(CLOSED).await;
    let mut alice = Client::connect(node.address, "alice").await;
    alice.subscribe("n", "/user/queue/notices").await;
    for name in ["queue", "alice/queue/notices", "alice%2Fqueue", "../alice", "*", "**", "{name}", "alice/", "/alice"] {
        let mut strange = Client::connect(node.address, name).await;
        strange.subscribe("n", "/user/queue/notices").await;
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut bob = Client::connect(node.address, "bob").await;
        bob.done(send(&format!("/user/{encoded}/queue/notices"), name)).await;
        strange.hears(name).await;
    }
    alice.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_says_of_a_message_can_not_be_said_by_its_sender() {
    let node = TestNode::start(CLOSED).await;
    let mut watcher = Client::connect_with(node.address, &token("watcher"), "1.2", "0,0").await;
    watcher.subscribe("mine", "/topic/open.room").await;
    let mut client = Client::connect(node.address, "mallory").await;
    let spoofed = [
        "sender",
        "sender-session",
        "message-id",
        "subscription",
        "timestamp",
        "position",
        "ack",
        "user-name",
        "session",
        "code",
        "message",
        "receipt-id",
        "recovered",
        "retained",
        "Authorization",
        "authorization",
        "AUTHORIZATION",
        "login",
        "passcode",
        "cookie",
        "Sender",
        "MESSAGE-ID",
        "Subscription",
    ];
    let headers: String = spoofed.iter().map(|name| format!("{name}:spoofed\n")).collect();
    client.say(format!("SEND\ndestination:/topic/open.room\n{headers}x-own:own\nreceipt:1\nseq:7\n\nhi\0")).await;
    client.receipt("1").await;
    let message = watcher.hears("hi").await;
    assert!(!message.headers.iter().any(|(_, value)| value.as_str() == "spoofed"), "{message:?}");
    assert_eq!(message.header("sender"), Some("mallory"));
    assert_eq!(message.header("subscription"), Some("mine"));
    assert_eq!(message.header("x-own"), Some("own"));
    assert_eq!(message.headers.get_all("message-id").count(), 1);
    assert_eq!(message.headers.get_all("destination").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_other_sessions_mean_nothing() {
    let node = TestNode::start(CLOSED).await;
    let mut alice = Client::connect(node.address, "alice").await;
    alice.done(subscribe("0", "/topic/open.room").with_header("ack", "client-individual")).await;
    let mut bob = Client::connect(node.address, "bob").await;
    bob.done(send("/topic/open.room", "one")).await;
    let ack = alice.hears("one").await.header("ack").unwrap().to_owned();
    // An id that this session was never given ends it, and changes nothing for the session that was.
    for command in [Command::Ack, Command::Nack] {
        let mut mallory = Client::connect(node.address, "mallory").await;
        mallory.send(frame(command, &[("id", &ack)])).await;
        mallory.refused(Code::UnknownAck).await;
    }
    // UNSUBSCRIBE knows the ids of its own session only.
    let mut mallory = Client::connect(node.address, "mallory").await;
    mallory.done(frame(Command::Unsubscribe, &[("id", "0")])).await;
    bob.done(send("/topic/open.room", "two")).await;
    alice.hears("two").await;
    alice.done(frame(Command::Ack, &[("id", &ack)])).await;
}
