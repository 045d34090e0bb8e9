//! The HTTP API: who may use it, what it answers, and that it gives nothing away.

use std::time::Duration;

use footfall::message::{Code, UserName};
use footfall::registry::{Login, LoginKey};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::{self, Answer, ask};
use crate::support::node::{OPEN, TestNode, now_s, signed, token, token_named};
use crate::support::orders::{AUTH, SERVICE_TOKEN, order, order_with, ordered};
use crate::support::process::Process;
use crate::support::soon;
use crate::support::stomp::{Client, connect, frame, send};

async fn allowing() -> TestNode {
    TestNode::start(&format!("{OPEN}{AUTH}registry = \"allow\"\n")).await
}

async fn register(node: &TestNode, body: Value) -> Answer {
    order(node.address, "POST", "/api/tokens", Some(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_service_token_nothing_is_told_not_even_what_there_is() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let mut bob = Client::connect(node.address, "bob").await;
    let good = format!("Authorization: Bearer {SERVICE_TOKEN}\r\n");
    for headers in [
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer wrong-service-token-with-more-than-32-bytes\r\n",
        &good.replace("Bearer", "Basic"),
        &good.replace("\r\n", "x\r\n"),
        &good.repeat(2),
        &format!("Authorization: Bearer {}\r\n", token("bob")),
        &format!("Cookie: footfall_session=x; service_token={SERVICE_TOKEN}\r\n"),
    ] {
        for (method, path) in [
            ("POST", "/api/users/bob/logout"),
            ("GET", "/api/nodes"),
            ("GET", "/api/nowhere"),
            ("GET", "/api/users/%FF/sessions"),
            ("GET", "/api"),
            ("GET", "/api/"),
            ("PATCH", "/api/nodes"),
            ("OPTIONS", "/api/nodes"),
            ("DELETE", &format!("/api/tokens/j?service_token={SERVICE_TOKEN}")),
        ] {
            let answer = order_with(node.address, method, path, headers, None).await;
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{method} {path} {headers}");
            assert_eq!(answer.header("www-authenticate"), Some("bearer"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(!answer.head.contains("allow"), "{}", answer.head);
        }
    }
    // A body is not even waited for.
    let asked =
        format!("POST /api/tokens HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n", node.address);
    assert_eq!(ask(node.address, &asked).await.status, 401);
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_service_token_in_the_settings_there_is_no_api() {
    let node = TestNode::start(OPEN).await;
    for path in ["/api", "/api/", "/api/nodes", "/api/users/bob/logout", "/api/nowhere"] {
        for headers in ["", &format!("Authorization: Bearer {SERVICE_TOKEN}\r\n"), "Authorization: Bearer \r\n"] {
            assert_eq!(order_with(node.address, "GET", path, headers, None).await.status, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_and_what_can_not_be_meant_is_said() {
    let node = allowing().await;
    let answer = |method: &'static str, path: String, body: Option<Value>| {
        let address = node.address;
        async move { order(address, method, &path, body.as_ref()).await }
    };
    for path in ["/api", "/api/", "/api/nowhere", "/api/users", "/api/users/bob", "/api/nodes/", "/api//nodes"] {
        let answer = answer("GET", path.to_owned(), None).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for (method, path, allowed) in
        [("GET", "/api/users/bob/logout", "post"), ("PUT", "/api/tokens/j", "get,head,delete"), ("OPTIONS", "/api/nodes", "get,head")]
    {
        let answer = answer(method, path.to_owned(), None).await;
        assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()), "{path}");
        assert_eq!(answer.header("allow"), Some(allowed));
    }
    let long = "x".repeat(257);
    for (method, path) in [
        ("GET", "/api/users/%FF/sessions"),
        ("GET", "/api/users/a%00b/sessions"),
        ("GET", "/api/users/a%0Ab/logins"),
        ("POST", &format!("/api/users/{long}/logout")),
        ("GET", &format!("/api/tokens/{long}")),
        ("POST", "/api/users//logout"),
        ("DELETE", "/api/tokens/a%1B"),
        ("DELETE", "/api/tokens/j?expires_at=soon"),
        ("DELETE", "/api/tokens/j?expires_at=-1"),
        ("DELETE", "/api/tokens/j?expires=1"),
        ("DELETE", "/api/tokens/j?expires_at=1&expires_at=2"),
        ("DELETE", &format!("/api/users/bob/sessions/{long}")),
        ("DELETE", "/api/logins/short"),
        ("DELETE", &format!("/api/logins/{}", "A".repeat(64))),
    ] {
        assert_eq!(answer(method, path.to_owned(), None).await.problem(), (400, "bad-request".to_owned()), "{method} {path}");
    }
    for (method, path) in [
        ("DELETE", "/api/users/bob/sessions/none".to_owned()),
        ("DELETE", format!("/api/logins/{}", LoginKey::of("none"))),
        ("GET", "/api/tokens/none".to_owned()),
    ] {
        assert_eq!(answer(method, path, None).await.problem(), (404, "not-found".to_owned()));
    }
    let no_such = answer("PUT", "/api/tokens/none/roles".to_owned(), Some(json!({ "roles": ["A"] }))).await;
    assert_eq!(no_such.problem(), (404, "not-found".to_owned()));
    for (path, empty) in
        [("/api/users/nobody/sessions", "sessions"), ("/api/users/nobody/logins", "logins"), ("/api/users/nobody/tokens", "tokens")]
    {
        assert_eq!(answer("GET", path.to_owned(), None).await.json(), json!({ empty: [] }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_short_whole_and_as_it_has_to_be() {
    let node = allowing().await;
    let authorization = format!("Authorization: Bearer {SERVICE_TOKEN}\r\n");
    let good = json!({ "id": "j", "user": "bob", "expires_at": now_s() + 60 });
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for body in [
        json!({}),
        json!([]),
        json!({ "token": 5 }),
        json!({ "id": "j", "user": "bob" }),
        with("token", json!("eyJ")),
        with("rolles", json!([])),
        with("id", json!("")),
        with("id", json!("a\nb")),
        with("user", json!("")),
        with("user", json!("x".repeat(257))),
        with("expires_at", json!("soon")),
        with("expires_at", json!(-1)),
        with("expires_at", json!(1.5)),
        with("expires_at", json!(u64::MAX)),
        with("expires_at", json!(now_s() * 1000)),
        with("roles", json!("EDITOR")),
        with("roles", json!([""])),
        with("roles", json!(["a\nb"])),
        with("roles", json!(["x".repeat(129)])),
        with("roles", json!(vec!["x"; 65])),
    ] {
        assert_eq!(register(&node, body.clone()).await.problem(), (400, "bad-request".to_owned()), "{body}");
    }
    for body in ["", "{", "no JSON", "{\"id\":\"a\",\"id\":\"b\"}", "{} {}", "\u{feff}{}"] {
        let answer = order_with(node.address, "POST", "/api/tokens", &authorization, Some(body)).await;
        assert_eq!(answer.problem(), (400, "bad-request".to_owned()), "{body}");
    }
    let roles = json!({ "roles": ["A"], "more": 1 });
    assert_eq!(order(node.address, "PUT", "/api/tokens/j/roles", Some(&roles)).await.problem(), (400, "bad-request".to_owned()));
    assert_eq!(register(&node, with("id", json!("x".repeat(17_000)))).await.problem(), (413, "body-too-large".to_owned()));
    let ask_with = |head: &str, body: &str| format!("POST /api/tokens HTTP/1.1\r\nHost: x\r\n{authorization}{head}\r\n\r\n{body}");
    let plain = ask(node.address, &ask_with("Content-Type: text/plain\r\nContent-Length: 2", "{}")).await;
    assert_eq!(plain.problem(), (415, "not-json".to_owned()));
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let endless = ask(node.address, &ask_with("Content-Type: application/json\r\nTransfer-Encoding: chunked", &chunk.repeat(2))).await;
    assert_eq!(endless.problem(), (413, "body-too-large".to_owned()));
    // Half of it, and then nothing.
    let half = ask(node.address, &ask_with("Content-Type: application/json; charset=utf-8\r\nContent-Length: 20", "{\"id\":")).await;
    assert_eq!(half.problem(), (408, "body-timeout".to_owned()));
    assert_eq!(register(&node, good).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_registered_shown_changed_and_revoked() {
    let node = allowing().await;
    let expires_at = now_s() + 600;
    let body = json!({ "id": "a/1", "user": "Jürgen M.", "expires_at": expires_at, "roles": ["EDITOR"] });
    let first = register(&node, body.clone()).await;
    assert_eq!((first.status, first.json()), (201, body.clone()));
    assert_eq!(register(&node, body.clone()).await.status, 200);
    let others = json!({ "id": "a/1", "user": "mallory", "expires_at": expires_at });
    assert_eq!(register(&node, others).await.problem(), (409, "registered-for-another-user".to_owned()));
    assert_eq!(order(node.address, "GET", "/api/tokens/a%2F1", None).await.json(), body);
    ordered(node.address, "PUT", "/api/tokens/a%2F1/roles", Some(&json!({ "roles": ["READER", "WRITER"] }))).await;
    let listed = order(node.address, "GET", "/api/users/J%C3%BCrgen%20M./tokens", None).await;
    assert_eq!((listed.status, listed.header("cache-control")), (200, Some("no-store")));
    let tokens = json!({ "tokens": [{ "id": "a/1", "user": "Jürgen M.", "expires_at": expires_at, "roles": ["READER", "WRITER"] }] });
    assert_eq!(listed.json(), tokens);

    let jwt = signed(&json!({ "sub": "bob", "jti": "jwt", "exp": expires_at }));
    let registered = register(&node, json!({ "token": jwt })).await;
    assert_eq!(registered.status, 201);
    assert_eq!(registered.json(), json!({ "id": "jwt", "user": "bob", "expires_at": expires_at, "roles": null }));
    assert_eq!(register(&node, json!({ "token": jwt })).await.status, 200);
    for (token, code) in [
        (signed(&json!({ "sub": "bob", "exp": expires_at })), "token-invalid"),
        (signed(&json!({ "sub": "bob", "jti": "old", "exp": now_s() - 60 })), "token-expired"),
        (format!("{jwt}x"), "token-invalid"),
        ("c4n4ry".to_owned(), "token-invalid"),
    ] {
        let refused = register(&node, json!({ "token": token })).await;
        assert_eq!(refused.problem(), (400, code.to_owned()));
        assert!(!refused.text().contains("c4n4ry"));
    }
    let over = json!({ "id": "over", "user": "bob", "expires_at": now_s() });
    assert_eq!(register(&node, over).await.problem(), (400, "token-expired".to_owned()));
    ordered(node.address, "DELETE", &format!("/api/tokens/jwt?expires_at={expires_at}"), None).await;
    assert_eq!(order(node.address, "GET", "/api/tokens/jwt", None).await.status, 404);
    let change = order(node.address, "PUT", "/api/tokens/jwt/roles", Some(&json!({ "roles": [] }))).await;
    assert_eq!(change.problem(), (404, "not-found".to_owned()));
    assert_eq!(register(&node, json!({ "token": jwt })).await.problem(), (409, "token-revoked".to_owned()));
    // A logout ends all that were registered until then, and says so of a JWT that was made before.
    ordered(node.address, "POST", "/api/users/J%C3%BCrgen%20M./logout", None).await;
    assert_eq!(order(node.address, "GET", "/api/users/J%C3%BCrgen%20M./tokens", None).await.json(), json!({ "tokens": [] }));
    let before = register(&node, json!({ "token": token_named("Jürgen M.", "before") })).await;
    assert_eq!(before.problem(), (409, "token-revoked".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_shown_and_ended_one_by_one() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let mut ids = Vec::new();
    let mut clients = Vec::new();
    for jti in ["first", "second"] {
        let mut client = Client::open(node.address).await;
        client.say(connect(&token_named("bob/x", jti), "1.2", "0,0")).await;
        ids.push(client.connected().await.header("session").unwrap().to_owned());
        clients.push(client);
    }
    let mut alice = Client::connect(node.address, "alice").await;
    let sessions = async || order(node.address, "GET", "/api/users/bob%2Fx/sessions", None).await.json()["sessions"].clone();
    let listed = sessions().await;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let nodes = order(node.address, "GET", "/api/nodes", None).await.json();
    for (index, jti) in ["first", "second"].into_iter().enumerate() {
        assert_eq!((&listed[index]["id"], &listed[index]["token"]), (&json!(ids[index]), &json!(jti)));
        assert!(listed[index]["since_ms"].as_u64().unwrap() / 1000 >= now_s() - 60);
        assert_eq!(listed[index]["node"], nodes["nodes"][0]["id"]);
    }
    // Only under its own user.
    assert_eq!(order(node.address, "DELETE", &format!("/api/users/alice/sessions/{}", ids[0]), None).await.status, 404);
    let path = format!("/api/users/bob%2Fx/sessions/{}", ids[0]);
    ordered(node.address, "DELETE", &path, None).await;
    clients[0].refused(Code::SessionEnded).await;
    assert_eq!(order(node.address, "DELETE", &path, None).await.problem(), (404, "not-found".to_owned()));
    clients[1].lives().await;
    alice.lives().await;
    assert_eq!(sessions().await.as_array().unwrap().len(), 1);
    // Its token was not revoked.
    Client::connect_with(node.address, &token_named("bob/x", "first"), "1.2", "0,0").await.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_sessions_are_shown_and_ended() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let registry = node.admissions.registry();
    let bob = UserName::new("bob").unwrap();
    let (one, two) = (LoginKey::of("one"), LoginKey::of("two"));
    for key in [one, two] {
        let login = Login::new(Some(bob.clone()), "c4n4ry").unwrap();
        assert!(registry.begin_login(key, login, Duration::from_mins(1)).await.unwrap());
    }
    let listed = order(node.address, "GET", "/api/users/bob/logins", None).await;
    assert!(!listed.text().contains("c4n4ry"), "what is kept in it is nobody's business");
    let mut expected = [one.to_string(), two.to_string()];
    expected.sort();
    assert_eq!(listed.json(), json!({ "logins": expected.map(|id| json!({ "id": id, "user": "bob" })) }));
    ordered(node.address, "DELETE", &format!("/api/logins/{one}"), None).await;
    assert_eq!(order(node.address, "DELETE", &format!("/api/logins/{one}"), None).await.problem(), (404, "not-found".to_owned()));
    assert_eq!(registry.login(one).await.unwrap(), None);
    ordered(node.address, "POST", "/api/users/bob/logout", None).await;
    assert_eq!(registry.login(two).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_shown() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}[node]\nid = \"node-7\"\naddress = \"chat.example.com:443\"\n")).await;
    let shown = async || order(node.address, "GET", "/api/nodes", None).await.json();
    // Its first lease is on its way when it begins to serve.
    let shown = soon("the lease", async {
        loop {
            let nodes = shown().await;
            if nodes["nodes"] != json!([]) {
                return nodes;
            }
        }
    })
    .await;
    let one = &shown["nodes"][0];
    assert_eq!((&one["id"], &one["address"], &one["live"]), (&json!("node-7"), &json!("chat.example.com:443"), &json!(true)));
    assert_eq!((&one["version"], &one["gone_for_ms"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(0)));
    assert!(shown["remembers_ms"].is_u64() && one["started_ms"].is_u64() && one["connections"].is_u64(), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_settings_rule_out_is_a_conflict() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}registry = \"off\"\n")).await;
    let mut bob = Client::connect(node.address, "bob").await;
    for (method, path) in [("POST", "/api/users/bob/logout"), ("DELETE", "/api/tokens/j")] {
        assert_eq!(order(node.address, method, path, None).await.problem(), (409, "registry-off".to_owned()));
    }
    let body = json!({ "id": "j", "user": "bob", "expires_at": now_s() + 60 });
    assert_eq!(register(&node, body).await.problem(), (409, "not-registering".to_owned()));
    for path in ["/api/users/bob/tokens", "/api/tokens/j"] {
        assert_eq!(order(node.address, "GET", path, None).await.problem(), (409, "not-registering".to_owned()));
    }
    bob.lives().await;
    // Sessions can be seen and ended all the same.
    let sessions = order(node.address, "GET", "/api/users/bob/sessions", None).await.json();
    ordered(node.address, "DELETE", &format!("/api/users/bob/sessions/{}", sessions["sessions"][0]["id"].as_str().unwrap()), None).await;
    bob.refused(Code::SessionEnded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_can_not_be_stored_is_none() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    let bobs = token_named("bob", "bobs");
    let mut bob = Client::connect_with(node.address, &bobs, "1.2", "0,0").await;
    let held = node.hold_store().await;
    let answer = order(node.address, "POST", "/api/users/bob/logout", None).await;
    assert_eq!(answer.problem(), (503, "store-unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("2"));
    bob.lives().await;
    drop(held);
    ordered(node.address, "POST", "/api/users/bob/logout", None).await;
    bob.refused(Code::TokenRevoked).await;
}

/// Stands wherever a backend or a client can put a secret.
const CANARY: &str = "c4n4ry-9d27b1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_brings_is_in_no_log_and_no_answer() {
    let service_token = format!("{CANARY}-{}", "x".repeat(32));
    let process = Process::start(&format!(
        "refusals = \"notify\"\n[log]\nfilter = \"trace\"\n[auth]\nregistry = \"allow\"\nservice_tokens = [\"{service_token}\"]\n\
         [[destinations]]\npattern = \"/user/queue/{{name}}\"\nsubscribe = \"true\"\n"
    ));
    let address = process.address;
    let made = http::post(address, "/dev/token", "Host: localhost\r\n", r#"{"user":"alice"}"#).await;
    let jwt = made.json()["token"].as_str().unwrap().to_owned();
    let signature = jwt.rsplit('.').next().unwrap().to_owned();
    let good = format!("Authorization: Bearer {service_token}\r\n");
    let bad = format!("Authorization: Bearer {CANARY}\r\nCookie: footfall_session={CANARY}\r\nX-Secret: {CANARY}\r\n");
    let mut answers = Vec::new();
    for headers in [&good, &bad] {
        for (method, path, body) in [
            ("GET", format!("/api/{CANARY}?token={CANARY}"), None),
            ("GET", format!("/api/tokens/{CANARY}"), None),
            ("DELETE", format!("/api/tokens/x?{CANARY}={CANARY}"), None),
            ("DELETE", format!("/api/tokens/{CANARY}?expires_at={CANARY}"), None),
            ("DELETE", format!("/api/tokens/{CANARY}"), None),
            ("DELETE", format!("/api/logins/{CANARY}"), None),
            ("DELETE", format!("/api/users/bob/sessions/{CANARY}"), None),
            ("GET", format!("/api/users/{CANARY}%00/sessions"), None),
            ("PATCH", format!("/api/tokens/{CANARY}"), None),
            ("POST", format!("/api/tokens?{CANARY}"), Some(format!("{{\"{CANARY}\":1}}"))),
            ("POST", "/api/tokens".to_owned(), Some(format!("{{\"token\":\"{CANARY}\"}}"))),
            ("POST", "/api/tokens".to_owned(), Some(format!("{{\"token\":{{\"{CANARY}\":1}}}}"))),
            ("POST", "/api/tokens".to_owned(), Some(format!("{{\"id\":\"{CANARY}\",\"user\":\"b\\n\",\"expires_at\":1}}"))),
            ("POST", "/api/tokens".to_owned(), Some(format!("{{\"expires_at\":\"{CANARY}\"}}"))),
            ("POST", "/api/tokens".to_owned(), Some(CANARY.to_owned())),
            ("PUT", format!("/api/tokens/{CANARY}/roles"), Some(format!("{{\"roles\":\"{CANARY}\"}}"))),
            ("PUT", format!("/api/tokens/{CANARY}/roles"), Some(format!("{{\"roles\":[\"{CANARY}\"]}}"))),
        ] {
            answers.push(order_with(address, method, &path, headers, body.as_deref()).await);
        }
    }
    for answer in answers {
        assert!(!answer.head.contains(CANARY) && !answer.text().contains(CANARY), "{answer:?}");
    }
    // And what is allowed: a token comes in, and goes.
    let body = json!({ "token": jwt, "roles": [CANARY] }).to_string();
    assert_eq!(order_with(address, "POST", "/api/tokens", &good, Some(&body)).await.status, 201);
    let mut alice = Client::connect_with(address, &jwt, "1.2", "0,0").await;
    alice.subscribe("errors", "/user/queue/errors").await;
    for refresh in [
        frame(stomp_frames::Command::Send, &[("destination", "/app/session/refresh"), ("Authorization", &format!("Bearer {CANARY}"))]),
        send("/app/session/refresh", CANARY),
    ] {
        alice.send(refresh).await;
        let notice = alice.message().await;
        assert!(!format!("{notice:?} {:?}", notice.body_text()).contains(CANARY));
    }
    alice.done(send("/app/session/refresh", &jwt)).await;
    assert_eq!(order_with(address, "POST", "/api/users/alice/logout", &good, None).await.status, 204);
    alice.refused(Code::TokenRevoked).await;

    let log = process.log();
    let hits: Vec<_> = log.lines().filter(|line| line.contains(CANARY) || line.contains(&signature)).collect();
    assert!(hits.is_empty(), "{} lines of the log, such as\n{}", hits.len(), hits[..hits.len().min(5)].join("\n"));
    assert!(log.contains("a user was logged out") && log.contains("DEBUG"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_harms_nobody() {
    let node = TestNode::start(&format!("{OPEN}{AUTH}")).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let half = format!(
            "POST /api/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVICE_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
        );
        stream.write_all(half.as_bytes()).await.unwrap();
    }
    assert_eq!(order(node.address, "GET", "/api/nodes", None).await.status, 200);
}
