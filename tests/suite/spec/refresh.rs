//! A new token for the session one has: it lives on with that, or with the old one if the new one is no good.

use footfall::message::Code;
use serde_json::{Value, json};
use stomp_frames::{Command, Frame};

use crate::support::node::{OPEN, TestNode, connected, now_s, signed, token, token_named};
use crate::support::orders::{AUTH, order, ordered};
use crate::support::stomp::{Client, frame, send};

const ROLES: &str = r#"
    refusals = "notify"
    [[destinations]]
    pattern = "/topic/desk.{name}"
    subscribe = "'EDITOR' in user.roles"
    send = "'EDITOR' in user.roles"
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "true"
"#;

/// A refresh with the token where CONNECT has it.
fn refresh(token: &str) -> Frame {
    frame(Command::Send, &[("destination", "/app/session/refresh"), ("Authorization", &format!("Bearer {token}"))])
}

/// A session that hears of refusals.
async fn listening(node: &TestNode, token: &str) -> Client {
    let mut client = connected(node, token).await;
    client.subscribe("errors", "/user/queue/errors").await;
    client
}

fn expiring(user: &str, in_s: u64) -> String {
    signed(&json!({ "sub": user, "exp": now_s() + in_s }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_session_outlives_its_old_token() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let old = expiring("alice", 4);
    let mut by_header = connected(&node, &old).await;
    let mut by_body = connected(&node, &old).await;
    let mut neither = connected(&node, &old).await;
    by_header.subscribe("0", "/topic/open.room").await;
    by_header.done(refresh(&token("alice"))).await;
    by_body.done(send("/app/session/refresh", &format!("{}\n", token("alice")))).await;
    // The time of the old token comes, and passes.
    neither.refused(Code::TokenExpired).await;
    by_body.done(send("/topic/open.room", "still there")).await;
    by_header.hears("still there").await;
    by_header.lives().await;
    // The new one's time counts, also if it is the shorter.
    by_body.done(refresh(&expiring("alice", 2))).await;
    by_body.refused(Code::TokenExpired).await;
    by_header.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_tokens_rights_count() {
    let node = TestNode::start(&format!("{ROLES}{AUTH}")).await;
    let with = |roles: Value| signed(&json!({ "sub": "bob", "roles": roles, "exp": now_s() + 3600 }));
    let mut bob = listening(&node, &with(json!([]))).await;
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    bob.done(refresh(&with(json!(["EDITOR"])))).await;
    bob.subscribe("desk", "/topic/desk.1").await;
    bob.send(send("/topic/desk.1", "yes")).await;
    bob.hears("yes").await;
    bob.done(refresh(&with(json!(["READER"])))).await;
    let notice = bob.message().await;
    assert_eq!((notice.header("code"), notice.header("subscription")), (Some("subscribe-denied"), Some("errors")));
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    bob.lives().await;
}

/// What no session may be refreshed with, and what it is told.
async fn bad_tokens(node: &TestNode) -> Vec<(Frame, Code)> {
    ordered(node.address, "DELETE", "/api/tokens/revoked", None).await;
    vec![
        (refresh(&token("alice")), Code::TokenInvalid),
        (refresh(&token_named("bob", "revoked")), Code::TokenRevoked),
        (refresh(&signed(&json!({ "sub": "bob", "exp": now_s() - 3600 }))), Code::TokenExpired),
        (refresh("c4n4ry"), Code::TokenInvalid),
        (send("/app/session/refresh", "c4n4ry"), Code::TokenInvalid),
        (send("/app/session/refresh", ""), Code::TokenMissing),
        (refresh(""), Code::TokenInvalid),
        (frame(Command::Send, &[("destination", "/app/session/refresh"), ("Authorization", "Basic YTpi")]), Code::TokenInvalid),
        // The header counts, and is bad.
        (refresh("c4n4ry").with_body(token("bob")), Code::TokenInvalid),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_refused_and_the_session_goes_on_where_it_is_told() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let bobs = token_named("bob", "bobs");
    let mut bob = listening(&node, &bobs).await;
    for (asked, code) in bad_tokens(&node).await {
        bob.send(asked.with_header("receipt", "r")).await;
        let notice = bob.message().await;
        assert_eq!((notice.header("code"), notice.header("receipt-id")), (Some(code.as_str()), Some("r")), "{notice:?}");
        assert!(!format!("{notice:?}").contains("c4n4ry"), "{notice:?}");
        bob.lives().await;
    }
    // It still stands on the token that it had.
    ordered(node.address, "DELETE", "/api/tokens/bobs", None).await;
    bob.refused(Code::TokenRevoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_ends_a_session_that_could_not_be_told() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    for (asked, code) in bad_tokens(&node).await {
        let mut bob = connected(&node, &token_named("bob", "bobs")).await;
        bob.send(asked.with_header("receipt", "r")).await;
        let error = bob.refused(code).await;
        assert_eq!(error.header("receipt-id"), Some("r"));
        assert!(!format!("{error:?}").contains("c4n4ry"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refresh_the_new_token_can_be_revoked_and_the_old_one_means_nothing() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let mut bob = connected(&node, &token_named("bob", "old")).await;
    bob.done(refresh(&token_named("bob", "new"))).await;
    ordered(node.address, "DELETE", "/api/tokens/old", None).await;
    bob.lives().await;
    let listed = order(node.address, "GET", "/api/users/bob/sessions", None).await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["sessions"][0]["token"], "new");
    ordered(node.address, "DELETE", "/api/tokens/new", None).await;
    bob.refused(Code::TokenRevoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_comes_too_fast_changes_nothing() {
    let rates = "[rate_limit]\nsession_per_second = 1\nsession_burst = 1\nuser_per_second = 1\nuser_burst = 2\n";
    let node = TestNode::start(&format!("{OPEN}{rates}{AUTH}")).await;
    let mut bob = listening(&node, &token_named("bob", "old")).await;
    // The first may; of the others one at most.
    for jti in ["first", "second", "third", "fourth"] {
        bob.send(refresh(&token_named("bob", jti)).with_header("receipt", jti)).await;
    }
    let mut stands_on = "";
    for jti in ["first", "second", "third", "fourth"] {
        let answer = bob.frame().await;
        assert_eq!(answer.header("receipt-id"), Some(jti));
        if answer.command == Command::Receipt {
            stands_on = jti;
        } else {
            assert_eq!(answer.header("code"), Some("rate-limited"));
        }
    }
    assert_ne!(stands_on, "fourth", "nothing was refused");
    ordered(node.address, "DELETE", "/api/tokens/fourth", None).await;
    bob.lives().await;
    ordered(node.address, "DELETE", &format!("/api/tokens/{stands_on}"), None).await;
    bob.refused(Code::TokenRevoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tokens_are_registered_only_such_a_one_refreshes() {
    let node = TestNode::start(&format!("{ROLES}{AUTH}registry = \"allow\"\n")).await;
    let (old, new) = (token_named("bob", "old"), token_named("bob", "new"));
    let register = async |token: &str, roles: Value| {
        let answer = order(node.address, "POST", "/api/tokens", Some(&json!({ "token": token, "roles": roles }))).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    };
    register(&old, json!(["EDITOR"])).await;
    let mut bob = listening(&node, &old).await;
    bob.send(refresh(&new)).await;
    assert_eq!(bob.message().await.header("code"), Some("token-revoked"));
    bob.done(send("/topic/desk.1", "with the old one's roles")).await;
    register(&new, json!([])).await;
    bob.done(refresh(&new)).await;
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    // The old one's roles are no longer the session's.
    ordered(node.address, "PUT", "/api/tokens/old/roles", Some(&json!({ "roles": ["EDITOR", "BOSS"] }))).await;
    ordered(node.address, "DELETE", "/api/tokens/old", None).await;
    bob.send(send("/topic/desk.1", "no")).await;
    assert_eq!(bob.message().await.header("code"), Some("send-denied"));
    ordered(node.address, "DELETE", "/api/tokens/new", None).await;
    bob.refused(Code::TokenRevoked).await;
}
