//! HTTP: who gets a WebSocket, and what else a node answers.

use std::time::{Duration, Instant};

use footfall::message::Code;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http::{self, ask, get, post};
use crate::support::node::{OPEN, TestNode, token};
use crate::support::soon;
use crate::support::stomp::{Client, connect};
use crate::support::websocket::{FIN, TEXT, WebSocket, frame, upgrade};

const ALLOWED: &str = "[server]\nallowed_origins = [\"https://chat.example.com\"]\n[auth]\ncookie = \"footfall_token\"\n";

/// Origins that are neither `https://chat.example.com` nor where these requests go.
const FOREIGN: [&str; 42] = [
    "https://evil.example",
    "http://evil.example",
    "null",
    "NULL",
    "Null",
    "",
    "https://chat.example.com.evil.example",
    "https://evilchat.example.com",
    "http://chat.example.com",
    "https://chat.example.com:8443",
    "https://chat.example.com:443",
    "https://chat.example.com:80",
    "https://CHAT.example.com",
    "HTTPS://chat.example.com",
    "https://chat.example.com/",
    "https://chat.example.com.",
    "https://chat.example.com/path",
    "https://chat.example.com?",
    "https://chat.example.com#",
    "https://chat.example.com@evil.example",
    "https://user@chat.example.com",
    "https://evil.example/https://chat.example.com",
    "https://evil.example#https://chat.example.com",
    "chat.example.com",
    "//chat.example.com",
    "https:chat.example.com",
    "https:/chat.example.com",
    "https://chat.example.com https://evil.example",
    "https://evil.example https://chat.example.com",
    "https://chat.example.com,https://evil.example",
    "https://sub.chat.example.com",
    "https://example.com",
    "https://chat-example.com",
    "https://chatXexample.com",
    "file://",
    "https://",
    "http://",
    "*",
    "https://*",
    "https://*.example.com",
    "wss://chat.example.com",
    "chrome-extension://chat.example.com",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_origin_gets_403_before_the_upgrade_on_every_path_that_acts() {
    let node = TestNode::start(&format!("mode = \"development\"\n{OPEN}{ALLOWED}")).await;
    let address = node.address;
    let here = [
        format!("https://{address}.evil.example"),
        format!("http://{}:1", address.ip()),
        format!("http://{}", address.ip()),
        format!("ftp://{address}"),
        address.to_string(),
    ];
    let cookie = token("alice");
    for origin in FOREIGN.into_iter().chain(here.iter().map(String::as_str)) {
        let headers = format!("Origin: {origin}\r\nCookie: footfall_token={cookie}\r\n");
        let Err(refused) = WebSocket::open_with(address, &headers).await else { panic!("{origin:?} got a WebSocket") };
        assert_eq!(refused.status, 403, "{origin:?}");
        assert_eq!(serde_json::from_slice::<Value>(&refused.body).unwrap()["code"], Code::OriginDenied.as_str());
        let refused = post(address, "/dev/token", &format!("Host: {address}\r\nOrigin: {origin}\r\n"), r#"{"user":"alice"}"#).await;
        assert_eq!(refused.status, 403, "{origin:?}");
        assert!(!refused.text().contains("eyJ"));
    }
    for two in [
        "Origin: https://chat.example.com\r\nOrigin: https://evil.example\r\n",
        "Origin: https://chat.example.com\r\nOrigin: https://chat.example.com\r\n",
    ] {
        assert!(WebSocket::open_with(address, two).await.is_err(), "{two}");
    }
    // The allowed one is for WebSockets only: a page elsewhere gets no tokens.
    let token =
        post(address, "/dev/token", &format!("Host: {address}\r\nOrigin: https://chat.example.com\r\n"), r#"{"user":"alice"}"#).await;
    assert_eq!(token.status, 403);
    // What is spoken behind a refusal is HTTP still.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{}CONNECT\n\n\0", upgrade(address, "Origin: null\r\n")).as_bytes()).await.unwrap();
    let mut heard = String::new();
    soon("the end", stream.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 403") && !heard.contains("ERROR"), "{heard}");
    node.until_connections(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowed_origins_the_own_one_and_none_get_a_websocket() {
    let node = TestNode::start(&format!("{OPEN}{ALLOWED}")).await;
    for headers in ["Origin: https://chat.example.com\r\n", &format!("Origin: http://{}\r\n", node.address), ""] {
        let (socket, _) = WebSocket::open_with(node.address, headers).await.unwrap();
        let mut client = Client::on(socket);
        client.say(connect(&token("alice"), "1.2", "0,0")).await;
        client.connected().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_counts_only_with_an_allowed_origin() {
    let node = TestNode::start(&format!("{OPEN}{ALLOWED}")).await;
    let cookie = format!("Cookie: a=1; footfall_token={}\r\n", token("alice"));
    let (allowed, own) = ("Origin: https://chat.example.com\r\n", format!("Origin: http://{}\r\n", node.address));
    for (origin, counts) in [("", false), (allowed, true), (&own, true)] {
        let (socket, _) = WebSocket::open_with(node.address, &format!("{origin}{cookie}")).await.unwrap();
        let mut client = Client::on(socket);
        client.say("CONNECT\naccept-version:1.2\n\n\0").await;
        if counts {
            assert_eq!(client.connected().await.header("user-name"), Some("alice"));
        } else {
            client.refused(Code::TokenMissing).await;
        }
    }
    // Another cookie is none, a bad one is final, and malformed cookies are no error.
    for (cookies, code) in [
        ("Cookie: token=x\r\n", Code::TokenMissing),
        ("Cookie: footfall_token=\r\n", Code::TokenMissing),
        ("Cookie: footfall_token=bad\r\n", Code::TokenInvalid),
        ("Cookie: =;;;==; \u{1}\r\n", Code::TokenMissing),
    ] {
        if let Ok((socket, _)) = WebSocket::open_with(node.address, &format!("{allowed}{cookies}")).await {
            let mut client = Client::on(socket);
            client.say("CONNECT\naccept-version:1.2\n\n\0").await;
            client.refused(code).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_may_come_but_never_by_cookie() {
    let node = TestNode::start(&format!("{OPEN}[server]\nallowed_origins = [\"*\"]\n")).await;
    let headers = format!("Origin: https://evil.example\r\nCookie: footfall_token={}\r\n", token("alice"));
    let (socket, _) = WebSocket::open_with(node.address, &headers).await.unwrap();
    let mut client = Client::on(socket);
    client.say("CONNECT\naccept-version:1.2\n\n\0").await;
    client.refused(Code::TokenMissing).await;
    assert_eq!(WebSocket::open_with(node.address, "Origin: null\r\n").await.err().map(|answer| answer.status), Some(403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_token_found_counts_even_if_a_later_one_is_better() {
    let node = TestNode::start(OPEN).await;
    let authorization = format!("Authorization: Bearer {}\r\n", token("alice"));
    let with = async |headers: &str, connect: &str| {
        let mut client = Client::on(WebSocket::open_with(node.address, headers).await.unwrap().0);
        client.say(format!("CONNECT\naccept-version:1.2\n{connect}\n\0")).await;
        client
    };
    assert_eq!(with(&authorization, "").await.connected().await.header("user-name"), Some("alice"));
    let bob = format!("passcode:{}\n", token("bob"));
    assert_eq!(with(&authorization, &bob).await.connected().await.header("user-name"), Some("bob"));
    with(&authorization, "passcode:bad\n").await.refused(Code::TokenInvalid).await;
    with(&authorization, &format!("Authorization:Basic x\n{bob}")).await.refused(Code::TokenInvalid).await;
    with("Authorization: Basic x\r\n", "").await.refused(Code::TokenInvalid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_upgrade_is_400() {
    let node = TestNode::start(OPEN).await;
    assert_eq!(get(node.address, "/ws").await.status, 400);
    let good = upgrade(node.address, "");
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
        ("Connection: Upgrade\r\n", "Connection: keep-alive\r\n"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    ] {
        assert!(good.contains(from));
        assert_eq!(ask(node.address, &good.replace(from, to)).await.status, 400, "{from} {to}");
    }
    // RFC 6455 §4.2.2: whoever speaks another version is told which one is spoken here.
    for other in ["Sec-WebSocket-Version: 8\r\n", ""] {
        let answer = ask(node.address, &good.replace("Sec-WebSocket-Version: 13\r\n", other)).await;
        assert_eq!((answer.status, answer.header("sec-websocket-version")), (426, Some("13")));
    }
    assert_eq!(ask(node.address, &good.replacen("GET", "POST", 1)).await.status, 405);
    assert_eq!(ask(node.address, &good.replacen("/ws", "/ws/", 1)).await.status, 404);
    node.until_connections(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_first_known_subprotocol_is_chosen_and_does_not_bind_the_version() {
    let node = TestNode::start(OPEN).await;
    for (offered, chosen) in [
        (&["v12.stomp,v11.stomp,v10.stomp"][..], Some("v12.stomp")),
        (&["v11.stomp, v12.stomp"], Some("v11.stomp")),
        (&["mqtt, v10.stomp"], Some("v10.stomp")),
        (&["graphql-ws", "v11.stomp"], Some("v11.stomp")),
        (&["V12.STOMP"], None),
        (&["mqtt"], None),
        (&[], None),
    ] {
        let headers: String = offered.iter().map(|offer| format!("Sec-WebSocket-Protocol: {offer}\r\n")).collect();
        let (socket, answer) = WebSocket::open_with(node.address, &headers).await.unwrap();
        assert_eq!(answer.header("sec-websocket-protocol"), chosen, "{offered:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pplmbitxaq9kygzzhzrbk+xoo="), "RFC 6455 §1.3, in lower case");
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        let mut client = Client::on(socket);
        client.say(connect(&token("alice"), "1.1", "0,0")).await;
        assert_eq!(client.connected().await.header("version"), Some("1.1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_extension_is_agreed_on_so_nothing_is_inflated() {
    let node = TestNode::start(OPEN).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame\r\n";
    let (_, answer) = WebSocket::open_with(node.address, offer).await.unwrap();
    assert_eq!(answer.header("sec-websocket-extensions"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_may_come_with_the_request_that_opens_the_way_for_them() {
    let node = TestNode::start(OPEN).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let said = format!("{}SEND\ndestination:/topic/open.room\nreceipt:1\n\nhi\0", connect(&token("alice"), "1.2", "0,0"));
    let bytes = [upgrade(node.address, "").into_bytes(), frame(FIN | TEXT, said.as_bytes())].concat();
    stream.write_all(&bytes).await.unwrap();
    let (answer, rest) = http::answer(&mut stream).await;
    assert_eq!(answer.unwrap().status, 101);
    let mut client = Client::on(WebSocket::with(stream, &rest));
    client.connected().await;
    client.receipt("1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_head_is_431_and_a_slow_one_is_cut_off() {
    let node = TestNode::start(&format!("{OPEN}[server]\nhandshake_timeout = \"500ms\"\n")).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(200 * 1024));
    let many = "X-Many: x\r\n".repeat(2000);
    for headers in [long, many] {
        assert_eq!(ask(node.address, &upgrade(node.address, &headers)).await.status, 431);
    }
    let fits = format!("X-Long: {}\r\n", "x".repeat(32 * 1024));
    assert!(WebSocket::open_with(node.address, &fits).await.is_ok());
    for begun in [
        "",
        "GET /ws HTTP/1.1\r\nHost: x\r\n",
        "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET ",
        "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let started = Instant::now();
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        soon("the end of a slow head", stream.read_to_end(&mut heard)).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(400), "{begun:?} was cut off at once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_that_it_lives_and_how_many_are_there() {
    let node = TestNode::start(OPEN).await;
    let live = get(node.address, "/health/live").await;
    assert_eq!((live.status, serde_json::from_slice::<Value>(&live.body).unwrap()), (200, json!({ "status": "live" })));
    let client = Client::connect(node.address, "alice").await;
    let ready = get(node.address, "/health/ready").await;
    assert_eq!(
        (ready.status, serde_json::from_slice::<Value>(&ready.body).unwrap()),
        (200, json!({ "status": "ready", "connections": 1 }))
    );
    drop(client);
    node.until_connections(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_made_in_development_for_this_machine_only() {
    let node = TestNode::start(&format!("mode = \"development\"\n{OPEN}")).await;
    let alice = r#"{"user":"alice","roles":["STAFF"]}"#;
    let ask_for = async |headers: &str, body: &str| post(node.address, "/dev/token", headers, body).await;
    for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
        let made = ask_for(&format!("Host: {host}\r\nOrigin: http://{host}\r\n"), alice).await;
        assert_eq!(made.status, 200, "{host}");
        let token = serde_json::from_slice::<Value>(&made.body).unwrap()["token"].as_str().unwrap().to_owned();
        Client::connect_with(node.address, &token, "1.2", "0,0").await;
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "",
        "LOCALHOST.",
        "[::2]",
    ] {
        let refused = ask_for(&format!("Host: {host}\r\n"), alice).await;
        assert!(matches!(refused.status, 400 | 403), "{host} {}", refused.status);
        let rebound = ask_for(&format!("Host: {host}\r\nOrigin: http://{host}\r\n"), alice).await;
        assert!(matches!(rebound.status, 400 | 403), "{host} {}", rebound.status);
    }
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        ("not json", 400),
        (r#"{"user":""}"#, 400),
        (r#"{"user":"a\nb"}"#, 400),
        (r#"{"user":7}"#, 400),
        (r#"{"user":"a","x":1}"#, 400),
    ] {
        assert_eq!(ask_for("Host: localhost\r\n", body).await.status, status, "{body}");
    }
    // A form of a foreign page needs no permission to send text/plain.
    let simple = format!(
        "POST /dev/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{alice}",
        alice.len()
    );
    assert_eq!(ask(node.address, &simple).await.status, 400);
    assert_eq!(get(node.address, "/dev/token").await.status, 405);

    let production = TestNode::start(OPEN).await;
    assert_eq!(post(production.address, "/dev/token", "Host: localhost\r\n", alice).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_names_its_node() {
    let node = TestNode::start(&format!("{OPEN}[node]\nid = \"room-1.a_b\"\n")).await;
    let handshake = upgrade(node.address, "");
    let asked = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (request, status) in [
        (handshake.clone(), 101),
        (handshake.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (upgrade(node.address, "Origin: https://evil.example\r\n"), 403),
        (asked("GET /"), 200),
        (asked("GET /page.js"), 200),
        (asked("GET /health/live"), 200),
        (asked("GET /health/ready"), 200),
        (asked("GET /ws"), 400),
        (asked("GET /nowhere"), 404),
        (asked("DELETE /"), 405),
    ] {
        let answer = ask(node.address, &request).await;
        assert_eq!((answer.status, answer.header("x-footfall-node")), (status, Some("room-1.a_b")), "{request}");
    }
}
