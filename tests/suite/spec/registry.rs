//! Whose token counts no more is out, and stays out: logout, revocation, too many sessions, registered tokens only.

use std::time::{Duration, Instant};

use footfall::message::Code;
use serde_json::json;
use stomp_frames::Command;

use crate::support::http;
use crate::support::node::{OPEN, TestNode, connected, now_s, signed, token, token_named};
use crate::support::orders::{AUTH, order, ordered};
use crate::support::random::{Random, seed};
use crate::support::soon;
use crate::support::stomp::{Client, Heard, connect, send, subscribe};

/// Five times what failure-matrix G9 allows.
const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Only those whom the backend says so may use the desk; the last of two sections counts for what a refusal does.
const DESK: &str = r#"
    [[destinations]]
    pattern = "/topic/open.{name}"
    subscribe = "true"
    send = "true"
    [[destinations]]
    pattern = "/topic/desk.{name}"
    subscribe = "'EDITOR' in user.roles"
    send = "'EDITOR' in user.roles"
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "true"
"#;

/// It may not come in, and is told why.
async fn kept_out(node: &TestNode, token: &str) {
    let mut client = Client::open(node.address).await;
    client.say(connect(token, "1.2", "0,0")).await;
    client.refused(Code::TokenRevoked).await;
}

/// A token that is newer than any logout until now, as soon as there can be one.
async fn newer(user: &str, jti: &str) -> String {
    let second = now_s();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while now_s() <= second {
        pause.tick().await;
    }
    signed(&json!({ "sub": user, "jti": jti, "iat": now_s(), "exp": now_s() + 3600 }))
}

async fn register(node: &TestNode, token: &str, roles: &[&str]) {
    let answer = order(node.address, "POST", "/api/tokens", Some(&json!({ "token": token, "roles": roles }))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_ends_all_sockets_of_its_user_and_no_other() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let (one, two, unnamed) = (token_named("bob", "one"), token_named("bob", "two"), token("bob"));
    let mut bobs =
        [connected(&node, &one).await, connected(&node, &one).await, connected(&node, &two).await, connected(&node, &unnamed).await];
    let mut alice = connected(&node, &token_named("alice", "hers")).await;
    // Its name only begins in the same way.
    let mut bobby = Client::connect(node.address, "bobby").await;
    let mut silent = Client::open(node.address).await;
    let begun = Instant::now();
    ordered(node.address, "POST", "/api/users/bob/logout", None).await;
    for bob in &mut bobs {
        bob.refused(Code::TokenRevoked).await;
    }
    println!("all sockets closed {:?} after the logout was ordered", begun.elapsed());
    assert!(begun.elapsed() <= CUT_WITHIN, "{:?}", begun.elapsed());
    for other in [&mut alice, &mut bobby] {
        other.lives().await;
    }
    let from_the_future = signed(&json!({ "sub": "bob", "jti": "four", "iat": now_s() + 300, "exp": now_s() + 3600 }));
    for old in [&one, &two, &unnamed, &from_the_future] {
        kept_out(&node, old).await;
    }
    silent.say(connect(&one, "1.2", "0,0")).await;
    silent.refused(Code::TokenRevoked).await;
    // Whoever logs in again has a newer one.
    connected(&node, &newer("bob", "three").await).await.lives().await;
    alice.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_out_and_the_users_others_stay() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let (lost, kept) = (token_named("bob", "a/lost one"), token_named("bob", "kept"));
    let mut thief = connected(&node, &lost).await;
    let mut bob = connected(&node, &kept).await;
    let path = format!("/api/tokens/a%2Flost%20one?expires_at={}", now_s() + 3600);
    ordered(node.address, "DELETE", &path, None).await;
    thief.refused(Code::TokenRevoked).await;
    bob.lives().await;
    kept_out(&node, &lost).await;
    connected(&node, &kept).await.lives().await;
    // A second time changes nothing.
    ordered(node.address, "DELETE", &path, None).await;
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_stays_so_when_the_node_starts_again() {
    let settings = format!("{OPEN}{AUTH}");
    let node = TestNode::start(&settings).await;
    let (bobs, lost, mistaken) = (token_named("bob", "bobs"), token_named("alice", "lost"), token_named("alice", "mistaken"));
    ordered(node.address, "POST", "/api/users/bob/logout", None).await;
    ordered(node.address, "DELETE", "/api/tokens/lost", None).await;
    // Milliseconds where seconds were meant.
    ordered(node.address, "DELETE", &format!("/api/tokens/mistaken?expires_at={}", now_s() * 1000), None).await;
    let node = node.restarted(&settings).await;
    for token in [&bobs, &lost, &mistaken, &token("bob")] {
        kept_out(&node, token).await;
    }
    connected(&node, &newer("bob", "new").await).await.lives().await;
    connected(&node, &token_named("alice", "other")).await.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_too_many_ends_the_users_oldest() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}max_sessions_per_user = 2\n")).await;
    let mut alice = Client::connect(node.address, "alice").await;
    let mut first = Client::connect(node.address, "bob").await;
    let mut second = Client::connect(node.address, "bob").await;
    first.lives().await;
    let mut third = Client::connect(node.address, "bob").await;
    first.refused(Code::SessionReplaced).await;
    for client in [&mut second, &mut third, &mut alice] {
        client.lives().await;
    }
    // Who left by itself makes room.
    second.send(stomp_frames::Frame::new(Command::Disconnect)).await;
    assert_eq!(second.closed().await, Some(1000));
    soon("the departure", async {
        while order(node.address, "GET", "/api/users/bob/sessions", None).await.json()["sessions"].as_array().unwrap().len() > 1 {}
    })
    .await;
    let mut fourth = Client::connect(node.address, "bob").await;
    for client in [&mut third, &mut fourth, &mut alice] {
        client.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tokens_are_registered_no_other_counts() {
    let node = TestNode::start(&format!("refusals = \"notify\"\n{DESK}{AUTH}registry = \"allow\"\n")).await;
    let bobs = signed(&json!({ "sub": "bob", "jti": "bobs", "roles": ["EDITOR"], "exp": now_s() + 3600 }));
    let others = token_named("alice", "hers");
    kept_out(&node, &bobs).await;
    kept_out(&node, &token("bob")).await;
    register(&node, &bobs, &["READER"]).await;
    register(&node, &others, &["EDITOR"]).await;
    // With the roles that were registered, not with its own.
    let mut bob = connected(&node, &bobs).await;
    bob.subscribe("errors", "/user/queue/errors").await;
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    let mut alice = connected(&node, &others).await;
    alice.subscribe("0", "/topic/desk.1").await;
    alice.done(send("/topic/open.room", "by right")).await;
    // No more registered: out, and not in again.
    ordered(node.address, "DELETE", "/api/tokens/bobs", None).await;
    bob.refused(Code::TokenRevoked).await;
    kept_out(&node, &bobs).await;
    let again = order(node.address, "POST", "/api/tokens", Some(&json!({ "token": bobs }))).await;
    assert_eq!(again.problem(), (409, "token-revoked".to_owned()));
    alice.lives().await;
    ordered(node.address, "POST", "/api/users/alice/logout", None).await;
    alice.refused(Code::TokenRevoked).await;
    kept_out(&node, &others).await;
    let new = newer("alice", "new").await;
    kept_out(&node, &new).await;
    register(&node, &new, &[]).await;
    connected(&node, &new).await.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_roles_are_in_force_on_open_sockets() {
    let node = TestNode::start(&format!("refusals = \"notify\"\n{DESK}{AUTH}registry = \"allow\"\n")).await;
    let (bobs, alices) = (token_named("bob", "bobs"), token_named("alice", "hers"));
    register(&node, &bobs, &["EDITOR"]).await;
    register(&node, &alices, &["EDITOR"]).await;
    let mut bob = connected(&node, &bobs).await;
    bob.subscribe("errors", "/user/queue/errors").await;
    bob.subscribe("desk", "/topic/desk.1").await;
    bob.subscribe("open", "/topic/open.room").await;
    let mut alice = connected(&node, &alices).await;
    alice.subscribe("desk", "/topic/desk.1").await;

    ordered(node.address, "PUT", "/api/tokens/bobs/roles", Some(&json!({ "roles": [] }))).await;
    // The subscription that they forbid ends; the others go on.
    let notice = bob.message().await;
    assert_eq!((notice.header("code"), notice.header("subscription")), (Some("subscribe-denied"), Some("errors")));
    bob.send(send("/topic/desk.1", "no").with_header("receipt", "r")).await;
    let notice = bob.message().await;
    assert_eq!((notice.header("code"), notice.header("receipt-id")), (Some("send-denied"), Some("r")));
    alice.done(send("/topic/open.room", "to all")).await;
    alice.send(send("/topic/desk.1", "to editors")).await;
    alice.hears("to editors").await;
    bob.hears("to all").await;
    bob.lives().await;
    bob.send(subscribe("desk", "/topic/desk.1")).await;
    assert_eq!(bob.message().await.header("code"), Some("subscribe-denied"));

    ordered(node.address, "PUT", "/api/tokens/bobs/roles", Some(&json!({ "roles": ["EDITOR"] }))).await;
    // Nothing tells when a right was given.
    soon("the right to send", async {
        loop {
            bob.send(send("/topic/desk.1", "again").with_header("receipt", "r")).await;
            if bob.frame().await.command == Command::Receipt {
                return;
            }
        }
    })
    .await;
    alice.hears("again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registered_without_roles_a_token_has_its_own_again() {
    let node = TestNode::start(&format!("refusals = \"notify\"\n{DESK}{AUTH}registry = \"allow\"\n")).await;
    let bobs = signed(&json!({ "sub": "bob", "jti": "bobs", "roles": ["EDITOR"], "exp": now_s() + 3600 }));
    register(&node, &bobs, &[]).await;
    let mut bob = connected(&node, &bobs).await;
    bob.subscribe("errors", "/user/queue/errors").await;
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    assert_eq!(order(node.address, "POST", "/api/tokens", Some(&json!({ "token": bobs }))).await.status, 200);
    soon("the right to send", async {
        loop {
            bob.send(send("/topic/desk.1", "again").with_header("receipt", "r")).await;
            if bob.frame().await.command == Command::Receipt {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_lost_its_right_ends_the_session_where_the_policy_says_so() {
    let node = TestNode::start(&format!("{DESK}{AUTH}registry = \"allow\"\n")).await;
    let bobs = token_named("bob", "bobs");
    register(&node, &bobs, &["EDITOR"]).await;
    let mut bob = connected(&node, &bobs).await;
    bob.subscribe("desk", "/topic/desk.1").await;
    ordered(node.address, "PUT", "/api/tokens/bobs/roles", Some(&json!({ "roles": ["READER"] }))).await;
    bob.refused(Code::SubscribeDenied).await;
}

/// Sends to a client that does not read until the node has to wait for it.
async fn stall(node: &TestNode, writer: &mut Client) {
    let body = "x".repeat(15_000);
    // More than the kernels keep for a socket (the node asks for little), less than an outbox may hold.
    for _ in 0..25 {
        writer.done(send("/topic/open.room", &body)).await;
    }
    node.until_connections(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_is_cut_off_all_the_same_and_gets_nothing_more() {
    let node = TestNode::start(&format!("{OPEN}[session]\nwrite_timeout = \"60000ms\"\n{AUTH}")).await;
    let mut writer = Client::connect(node.address, "writer").await;
    let mut deaf = Client::connect_narrow(node.address, &token_named("bob", "bobs")).await;
    deaf.subscribe("0", "/topic/open.room").await;
    stall(&node, &mut writer).await;
    let begun = Instant::now();
    ordered(node.address, "POST", "/api/users/bob/logout", None).await;
    writer.done(send("/topic/open.room", "after the logout")).await;
    node.until_connections(1).await;
    println!("cut off {:?} after the logout was ordered", begun.elapsed());
    // Two seconds for its last words and two for its close.
    assert!(begun.elapsed() <= CUT_WITHIN, "{:?}", begun.elapsed());
    loop {
        match deaf.heard().await {
            Heard::Frame(frame) => assert_ne!(frame.body_text(), Some("after the logout")),
            Heard::Beat | Heard::Close(_) => {}
            Heard::End => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_can_not_keep_its_roles_by_that() {
    let node = TestNode::start(&format!("{DESK}[session]\nwrite_timeout = \"60000ms\"\n{AUTH}registry = \"allow\"\n")).await;
    let (bobs, writers) = (token_named("bob", "bobs"), token_named("writer", "writers"));
    register(&node, &bobs, &["EDITOR"]).await;
    register(&node, &writers, &[]).await;
    let mut writer = connected(&node, &writers).await;
    let mut deaf = Client::connect_narrow(node.address, &bobs).await;
    deaf.subscribe("0", "/topic/open.room").await;
    stall(&node, &mut writer).await;
    ordered(node.address, "PUT", "/api/tokens/bobs/roles", Some(&json!({ "roles": [] }))).await;
    // It goes on sending until it is refused, which ends it.
    let ended = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            deaf.send(send("/topic/desk.1", "by a right that is gone")).await;
            let ready: serde_json::Value = serde_json::from_slice(&http::get(node.address, "/health/ready").await.body).unwrap();
            if ready["connections"] == 1 {
                return;
            }
        }
    };
    soon("the end of the one that lost its right", ended).await;
    writer.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_that_connect_while_their_user_is_logged_out_none_is_in_after_it() {
    const ROUNDS: usize = 10;
    const EACH: usize = 100;
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let mut random = Random::new(seed());
    let (mut before, mut longest) = (0, Duration::ZERO);
    for round in 0..ROUNDS {
        let user = format!("user-{round}");
        let token = token_named(&user, &format!("token-{round}"));
        let mut clients = Vec::new();
        for _ in 0..EACH {
            clients.push(Client::open(node.address).await);
        }
        let until = random.index(EACH);
        let (mut early, mut late) = (clients.drain(..until).collect::<Vec<_>>(), clients);
        let frame = connect(&token, "1.2", "0,0");
        for client in &mut early {
            client.say(&frame).await;
        }
        let path = format!("/api/users/{user}/logout");
        let others = async {
            for client in &mut late {
                client.say(&frame).await;
            }
        };
        tokio::join!(ordered(node.address, "POST", &path, None), others);
        let ordered_at = Instant::now();
        for client in early.iter_mut().chain(&mut late) {
            let mut first = client.frame().await;
            if first.command == Command::Connected {
                before += 1;
                first = client.frame().await;
            }
            assert_eq!((first.command, first.header("code")), (Command::Error, Some("token-revoked")), "{first:?}");
            assert_eq!(client.closed().await, Some(1008));
        }
        longest = longest.max(ordered_at.elapsed());
        assert_eq!(order(node.address, "GET", &format!("/api/users/{user}/sessions"), None).await.status, 200);
    }
    println!("of {} connects {before} were before their logout; the last was out {longest:?} after it", ROUNDS * EACH);
    assert!(longest <= CUT_WITHIN, "{longest:?}");
    node.until_connections(0).await;
}
