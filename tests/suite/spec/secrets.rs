//! What clients bring stays between them: none of it is in a log, an ERROR frame or an HTTP answer.

use std::net::SocketAddr;

use serde_json::Value;
use stomp_frames::Command;

use crate::support::http::{ask, get, post};
use crate::support::process::Process;
use crate::support::stomp::{Client, Heard, connect, send};
use crate::support::websocket::{CLOSE, FIN, PING, TEXT, WebSocket, upgrade};

/// Stands wherever a client can put a secret.
const CANARY: &str = "c4n4ry-7f3a9e";

/// The most talkative there is, dependencies too.
const SETTINGS: &str = r#"
    refusals = "notify"
    [log]
    filter = "trace"
    [auth]
    cookie = "footfall_token"
    [[destinations]]
    pattern = "/topic/open.{name}"
    subscribe = "true"
    send = "true"
    store = true
    [[destinations]]
    pattern = "/topic/ruled.{name}"
    subscribe = "claims.nothing == 'x'"
    send = "message.json.price > 1 && message.headers['x-price'] == 2"
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "true"
    send = "true"
"#;

async fn a_token(address: SocketAddr) -> String {
    let made = post(address, "/dev/token", "Host: localhost\r\n", r#"{"user":"alice"}"#).await;
    serde_json::from_slice::<Value>(&made.body).unwrap()["token"].as_str().unwrap().to_owned()
}

/// What no client may say, each on a session of its own, before CONNECT or after it.
fn bad_frames() -> (Vec<String>, Vec<String>) {
    let before = [
        format!("CONNECT\naccept-version:1.2\nlogin:{CANARY}\npasscode:{CANARY}\n\n\0"),
        format!("CONNECT\naccept-version:1.2\nAuthorization:Bearer {CANARY}\n\n\0"),
        format!("CONNECT\naccept-version:1.2\nAuthorization:Bearer eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}\n\n\0"),
        format!("CONNECT\naccept-version:1.2\nAuthorization:{CANARY} x\n\n\0"),
        format!("CONNECT\naccept-version:{CANARY}\n\n\0"),
        format!("CONNECT\naccept-version:1.2\nheart-beat:{CANARY},1\n\n\0"),
        format!("CONNECT\naccept-version:1.2\n\n{CANARY}\0"),
        format!("{CANARY}\n\n\0"),
        format!("{CANARY} {CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/{CANARY}\n\n{CANARY}\0"),
    ];
    let after = [
        format!("{CANARY}\ndestination:/topic/open.room\n\n\0"),
        format!("SEND\n{CANARY}\n\n\0"),
        format!("SEND\n:{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\nx:\\x{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\nx:{CANARY}\\\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\nx:{CANARY}\r{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\ncontent-length:{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\ncontent-length:1\n\n{CANARY}\0"),
        format!("SEND\ndestination:{CANARY}\n\n{CANARY}\0"),
        format!("SEND\ndestination:/nowhere/{CANARY}\n\n{CANARY}\0"),
        format!("SEND\ndestination:/topic/nowhere\nx:{CANARY}\n\n{CANARY}\0"),
        format!("SEND\ndestination:/topic/ruled.a\nx-price:{CANARY}\n\n{{\"price\":\"{CANARY}\"}}\0"),
        format!("SEND\ndestination:/topic/ruled.a\nx-price:{CANARY}\n\n{CANARY}\0"),
        format!("SEND\ndestination:/topic/open.room\ntransaction:{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\nidempotency-key:{}\n\n\0", CANARY.repeat(50)),
        format!("SUBSCRIBE\nid:0\nack:{CANARY}\ndestination:/topic/open.room\n\n\0"),
        format!("SUBSCRIBE\nid:0\nafter:{CANARY}\ndestination:/topic/open.room\n\n\0"),
        format!("SUBSCRIBE\nid:0\nhistory:{CANARY}\ndestination:/topic/open.room\n\n\0"),
        format!("SUBSCRIBE\nid:0\ndestination:/user/{CANARY}/queue/x\n\n\0"),
        format!("SUBSCRIBE\nid:0\ndestination:/topic/open.room\n\n{CANARY}\0"),
        format!("SUBSCRIBE\nid:0\nselector:{CANARY}\ndestination:/topic/ruled.a\n\n\0"),
        format!("ACK\nid:{CANARY}\n\n\0"),
        format!("BEGIN\ntransaction:{CANARY}\n\n\0"),
        format!("MESSAGE\nx:{CANARY}\n\n{CANARY}\0"),
        format!("CONNECT\npasscode:{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/open.room\nx:{}\n\n\0", CANARY.repeat(1000)),
        format!("SEND\ndestination:/topic/open.room\n\n{}\0", CANARY.repeat(6000)),
    ];
    (before.into(), after.into())
}

/// Nothing is said of it but what no canary is in.
async fn refused_silently(mut client: Client, said: &str) {
    loop {
        match client.heard().await {
            Heard::Frame(frame) => {
                assert_eq!(frame.command, Command::Error, "{said:?} {frame:?}");
                let text = format!("{frame:?} {}", frame.body_text().unwrap());
                assert!(!text.contains(CANARY), "{said:?} {text}");
            }
            Heard::Beat => {}
            Heard::Close(_) | Heard::End => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_brings_is_in_no_log_no_error_and_no_answer() {
    let process = Process::start(SETTINGS);
    let address = process.address;
    let token = a_token(address).await;
    let signature = token.rsplit('.').next().unwrap();

    let mut answers = Vec::new();
    for body in [
        format!("{{\"{CANARY}\":1}}"),
        format!("{{\"user\":{{\"{CANARY}\":1}}}}"),
        format!("{{\"user\":\"a\\n{CANARY}\"}}"),
        CANARY.to_owned(),
        format!("{{\"user\":\"a\",\"roles\":\"{CANARY}\"}}"),
    ] {
        answers.push(post(address, &format!("/dev/token?{CANARY}"), &format!("Host: localhost\r\nX-Secret: {CANARY}\r\n"), &body).await);
    }
    answers.push(get(address, &format!("/{CANARY}?token={CANARY}")).await);
    answers.push(get(address, &format!("/ws?access_token={CANARY}")).await);
    answers.push(get(address, &format!("/health/ready?access_token={CANARY}")).await);
    answers.push(ask(address, &format!("{CANARY} / HTTP/9.9\r\n{CANARY}\r\n\r\n")).await);
    answers.push(ask(address, &format!("GET /ws HTTP/1.1\r\nHost: x\r\n{CANARY} bad: {CANARY}\r\n\r\n")).await);
    answers
        .push(ask(address, &upgrade(address, &format!("Origin: https://{CANARY}.example\r\nCookie: footfall_token={CANARY}\r\n"))).await);
    answers.push(ask(address, &upgrade(address, "").replace("Key: ", &format!("Kez: {CANARY}"))).await);
    for answer in answers {
        assert!(!answer.head.contains(CANARY) && !answer.text().contains(CANARY), "{answer:?}");
    }

    let secret_headers = format!(
        "Authorization: Bearer {CANARY}\r\nCookie: footfall_token={CANARY}; {CANARY}={CANARY}\r\nSec-WebSocket-Protocol: {CANARY}, v12.stomp\r\n\
         X-Secret: {CANARY}\r\nUser-Agent: {CANARY}\r\nReferer: https://x/?{CANARY}\r\nOrigin: http://{address}\r\n"
    );
    let (socket, answer) = WebSocket::open_with(address, &secret_headers).await.unwrap();
    assert!(!answer.head.contains(CANARY));
    let mut client = Client::on(socket);
    client.say("CONNECT\naccept-version:1.2\n\n\0").await;
    refused_silently(client, "the handshake").await;

    let (before, after) = bad_frames();
    for said in before {
        let mut client = Client::open(address).await;
        client.say(&said).await;
        refused_silently(client, &said).await;
    }
    for said in after {
        let mut client = Client::connect_with(address, &token, "1.2", "0,0").await;
        client.say(&said).await;
        refused_silently(client, &said).await;
    }
    for (first, payload) in [
        (FIN | TEXT, [CANARY.as_bytes(), b"\xff"].concat()),
        (TEXT, CANARY.into()),
        (FIN | 0x40 | TEXT, CANARY.into()),
        (FIN | 0x3, CANARY.into()),
    ] {
        let mut client = Client::open(address).await;
        client.socket.send(first, &payload).await;
        client.socket.send(FIN | 0x7, CANARY.as_bytes()).await;
        refused_silently(client, CANARY).await;
    }

    // And what is allowed: it is delivered, and nothing else happens to it.
    let mut client = Client::connect_with(address, &token, "1.2", "0,0").await;
    client.subscribe("0", "/topic/open.room").await;
    client.subscribe(CANARY, "/user/queue/x").await;
    client.socket.send(FIN | PING, CANARY.as_bytes()).await;
    client
        .send(
            send("/topic/open.room", CANARY)
                .with_header("x", CANARY)
                .with_header("passcode", CANARY)
                .with_header("idempotency-key", CANARY),
        )
        .await;
    client.hears(CANARY).await;
    client.say(connect(CANARY, "1.2", "0,0")).await;
    refused_silently(client, "a second CONNECT").await;
    let mut client = Client::connect_with(address, &token, "1.2", "0,0").await;
    client.socket.send(FIN | CLOSE, &[&1000_u16.to_be_bytes(), CANARY.as_bytes()].concat()).await;
    client.closed().await;

    let log = process.log();
    let hits: Vec<_> = log.lines().filter(|line| line.contains(CANARY) || line.contains(signature)).collect();
    assert!(hits.is_empty(), "{} lines of the log, such as\n{}", hits.len(), hits[..hits.len().min(5)].join("\n"));
    // It was a log.
    assert!(log.contains("session connected") && log.contains("DEBUG"), "{log}");
    // Each event is one line of its own.
    assert!(log.lines().all(|line| line.starts_with("20") && !line.contains(char::is_control)), "{log}");
}
