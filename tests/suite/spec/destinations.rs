//! No spelling of a destination gets past its policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stomp_frames::{Command, Frame};
use tokio::task::JoinSet;

use crate::support::node::{TestNode, token, token_with_role};
use crate::support::stomp::{Client, Heard, send};

/// One destination for mallory, exactly; everything for the observer, who sees whatever gets through.
const NARROW: &str = r#"
    refusals = "notify"
    [[destinations]]
    pattern = "/topic/**"
    subscribe = "'OBSERVER' in user.roles || destination == '/topic/rooms.lobby'"
    send = "user.name == 'alice' || destination == '/topic/rooms.lobby'"
    wildcard = true
    [[destinations]]
    pattern = "/queue/**"
    subscribe = "'OBSERVER' in user.roles"
    send = "user.name == 'alice'"
    wildcard = true
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "user.name == 'alice' || params.name == 'errors'"
    send = "user.name == 'alice'"
"#;

/// Codes that say no.
const REFUSALS: [&str; 13] = [
    "bad-destination",
    "unknown-destination",
    "subscribe-denied",
    "send-denied",
    "pattern-denied",
    "missing-header",
    "malformed-frame",
    "bad-escape",
    "not-utf8",
    "bad-header",
    "unexpected-body",
    "head-too-large",
    "header-too-long",
];

/// Bytes of the `destination` header line's value, on the wire.
#[expect(clippy::too_many_lines, reason = "a list")]
fn variants() -> Vec<Vec<u8>> {
    let marks: [&[u8]; 58] = [
        b"*",
        b"**",
        b">",
        b"#",
        b"+",
        b"?",
        b"..",
        ".\u{2024}".as_bytes(),
        b"//",
        b"/./",
        b"/../",
        b"%2f",
        b"%2F",
        b"%2e%2e",
        b"%252f",
        b"%00",
        b"%",
        b"\\\\",
        b"\\c",
        b"\\n",
        b"\\r",
        b"\\t",
        b"\\0",
        b"\\u002f",
        b"\\",
        b"\x01",
        b"\x1b",
        b"\x7f",
        b"\r",
        b"\t",
        b" ",
        b"{room}",
        b"{}",
        b"{",
        b"}",
        b"[a]",
        b"|",
        b"^",
        b"`",
        b"\"",
        b"<",
        b"${x}",
        "\u{200b}".as_bytes(),
        "\u{200d}".as_bytes(),
        "\u{feff}".as_bytes(),
        "\u{ad}".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{ff0f}".as_bytes(),
        "\u{ff0e}".as_bytes(),
        "\u{2215}".as_bytes(),
        "\u{2044}".as_bytes(),
        "\u{301}".as_bytes(),
        "\u{a0}".as_bytes(),
        "\u{2028}".as_bytes(),
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xff",
        b"\xed\xa0\x80",
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for mark in marks {
        for (before, after) in [
            ("/topic/rooms.secret", ""),
            ("/topic/rooms.", "secret"),
            ("/topic/rooms", "secret"),
            ("/topic", "rooms.secret"),
            ("/topic/", ""),
            ("", "/topic/rooms.secret"),
            ("/topic/rooms.lobby", ""),
            ("/topic/rooms.lobby", "/secret"),
            ("/queue/jobs", ""),
            ("/user/alice", "/queue/notices"),
        ] {
            all.push([before.as_bytes(), mark, after.as_bytes()].concat());
        }
    }
    let whole = [
        "",
        "/",
        "//",
        "/topic",
        "/topic/",
        "/topic//",
        "/topic/.",
        "topic/rooms.secret",
        "/Topic/rooms.secret",
        "/TOPIC/rooms.secret",
        "/topic/rooms.Secret",
        "/topic/rooms.lobby.",
        "/topic/rooms..lobby",
        "/topic/Rooms.lobby",
        "/topic/rooms.LOBBY",
        "/topic/rooms/lobby",
        "/topic/rooms.lobby/",
        "/topic/rooms.lobby ",
        " /topic/rooms.lobby",
        "/topic/rooms.l\u{43e}bby",
        "/topic/rooms.lobby\u{200b}",
        "/topic/r\u{fb00}ms.lobby",
        "/queue/rooms.lobby",
        "/app/rooms.lobby",
        "/app/chat/secret",
        "/exchange/x",
        "/amq/queue/x",
        "/temp-queue/x",
        "/topic/rooms.lobby,/topic/rooms.secret",
        "/user",
        "/user/",
        "/user/queue",
        "/user/queue/",
        "/user//queue/notices",
        "/user/alice",
        "/user/alice/queue",
        "/user/alice/topic/x",
        "/user/alice/queue/notices",
        "/user/alice/queue/../x",
        "/user/alice%2Fqueue/queue/notices",
        "/user/*/queue/notices",
        "/user/**",
        "/user/{name}/queue/notices",
        "/user/queue/*",
        "/user/queue/**",
        "/user/queue/../alice",
        "/User/queue/notices",
        "/user/queue/notices-user1234",
        "/queue/notices-user1234",
        "/queue/user/alice/notices",
        "/topic/user/alice/queue/notices",
        "/user/alice/user/queue/notices",
        "/user/mallory/../alice/queue/notices",
        "/*/rooms.secret",
        "/**",
        "/*",
        "*",
        "**",
        "/topic/**/secret",
        "/topic/**",
        "/topic/rooms.*",
        "/topic/rooms.**",
        "/topic/*.secret",
        "/queue/**",
        "/queue/*",
        "/topic/{a}",
        "/topic/rooms.{a}",
        "http://node/topic/rooms.lobby",
        "/topic/rooms.lobby?x",
        "/topic/rooms.lobby#x",
        "/topic/rooms.lobby;x",
        "javascript:1",
        "/topic/rooms.secret\nx:y",
    ];
    all.extend(whole.iter().map(|text| text.as_bytes().to_vec()));
    all.push([&b"/topic/"[..], &b"a".repeat(194)].concat());
    all.push([&b"/topic/rooms.lobby"[..], &b".a".repeat(2000)].concat());
    all.push(b"/topic/rooms.secret\ndestination:/topic/rooms.lobby".to_vec());
    all.sort();
    all.dedup();
    // The one destination itself, its line ended by CRLF.
    all.retain(|variant| variant != b"/topic/rooms.lobby\r");
    all
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Subscribe,
    Send,
    SendToUser,
}

fn trick(verb: Verb, variant: &[u8]) -> Vec<u8> {
    let (head, body): (&[u8], &[u8]) = match verb {
        Verb::Subscribe => (b"SUBSCRIBE\nid:trick\nreceipt:trick\ndestination:", b""),
        Verb::Send => (b"SEND\nreceipt:trick\ndestination:", b"trick"),
        Verb::SendToUser => (b"SEND\nreceipt:trick\ndestination:/user/alice/queue", b"trick"),
    };
    [head, variant, b"\n\n", body, b"\0"].concat()
}

/// A session of mallory's that hears of refusals.
async fn mallory(address: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(address, "mallory").await;
    client.subscribe("errors", "/user/queue/errors").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trick_with_a_destination_gets_past_its_policy() {
    let node = TestNode::start(NARROW).await;
    let mut observer = Client::connect_with(node.address, &token_with_role("observer", "OBSERVER"), "1.2", "0,0").await;
    observer.subscribe("0", "/topic/**").await;
    observer.subscribe("1", "/queue/**").await;
    let mut alice = Client::connect(node.address, "alice").await;
    alice.subscribe("0", "/user/queue/notices").await;
    alice.subscribe("1", "/user/queue/errors").await;

    let variants = Arc::new(variants());
    assert!(variants.len() >= 500, "{}", variants.len());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (variants, next, address) = (Arc::clone(&variants), Arc::clone(&next), node.address);
        workers.spawn(async move {
            let mut client = mallory(address).await;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(variant) = variants.get(index / 3) else { return };
                let verb = [Verb::Subscribe, Verb::Send, Verb::SendToUser][index % 3];
                client.say(trick(verb, variant)).await;
                let refusal = client.frame().await;
                let code = refusal.header("code").unwrap_or_default();
                let shown = String::from_utf8_lossy(variant);
                assert!(REFUSALS.contains(&code), "{verb:?} {shown:?} {refusal:?}");
                if refusal.command == Command::Error {
                    assert!(matches!(client.heard().await, Heard::Close(Some(1002 | 1008))));
                    client = mallory(address).await;
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    // What got through would have come before these.
    for to in ["/topic/last", "/queue/last", "/user/alice/queue/notices"] {
        alice.send(send(to, "only this").with_header("receipt", to.to_owned())).await;
    }
    for (client, messages) in [(&mut observer, 2), (&mut alice, 1)] {
        for _ in 0..messages {
            let mut frame: Frame = client.frame().await;
            while frame.command == Command::Receipt {
                frame = client.frame().await;
            }
            assert_eq!(frame.body_text(), Some("only this"), "{frame:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_destinations_the_first_is_judged_and_used() {
    let node = TestNode::start(NARROW).await;
    let mut observer = Client::connect_with(node.address, &token_with_role("observer", "OBSERVER"), "1.2", "0,0").await;
    observer.subscribe("0", "/topic/**").await;
    let mut client = mallory(node.address).await;
    client.say("SEND\ndestination:/topic/rooms.secret\ndestination:/topic/rooms.lobby\nreceipt:1\n\nno\0").await;
    assert_eq!(client.message().await.header("code"), Some("send-denied"));
    client
        .say("SEND\ndestination:/topic/rooms.lobby\ndestination:/topic/rooms.secret\nDestination:/topic/rooms.secret\nreceipt:2\n\nyes\0")
        .await;
    client.receipt("2").await;
    assert_eq!(observer.hears("yes").await.header("destination"), Some("/topic/rooms.lobby"));
    client.say("SUBSCRIBE\nid:0\ndestination:/topic/rooms.lobby\ndestination:/topic/rooms.secret\nreceipt:3\n\n\0").await;
    client.receipt("3").await;
    let mut alice = Client::connect_with(node.address, &token("alice"), "1.2", "0,0").await;
    alice.done(send("/topic/rooms.secret", "secret")).await;
    alice.done(send("/topic/rooms.lobby", "open")).await;
    client.hears("open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selector_is_a_header_like_any_other() {
    let node = TestNode::start(NARROW).await;
    let mut client = mallory(node.address).await;
    client
        .say("SUBSCRIBE\nid:0\ndestination:/topic/rooms.lobby\nselector:T(java.lang.Runtime).getRuntime().exec('x') || 1 == 2\nreceipt:1\n\n\0")
        .await;
    client.receipt("1").await;
    client.send(send("/topic/rooms.lobby", "whatever it says")).await;
    client.hears("whatever it says").await;
}
