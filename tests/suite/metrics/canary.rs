//! No series is a client's: whatever it sends, the page has the series that it had before, and nothing of what was sent.

use stomp_frames::Command;

use super::page::Page;
use super::{METRICS, scrape, until};
use crate::support::http::{ask, get};
use crate::support::node::{OPEN, TestNode, token};
use crate::support::stomp::{Client, connect, frame, send, subscribe};
use crate::support::websocket::{WebSocket, upgrade};

/// Stands wherever a client can put something.
const CANARY: &str = "c4n4ry-7f3a9e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_client_chose_is_on_the_page() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let before = scrape(&node).await;
    let (metrics, address) = (node.metrics.unwrap(), node.address);

    let mut client = Client::connect(address, CANARY).await;
    for (number, place) in ["open", "kept"].into_iter().enumerate() {
        let destination = format!("/topic/{place}.{CANARY}");
        client.done(subscribe(&format!("{CANARY}{number}"), &destination)).await;
        client
            .send(send(&destination, CANARY).with_header(CANARY, CANARY).with_header("idempotency-key", CANARY).with_header("x", CANARY))
            .await;
        client.hears(CANARY).await;
    }
    client.done(subscribe(CANARY, "/user/queue/notices")).await;
    client.send(send(&format!("/user/{CANARY}/queue/notices"), CANARY)).await;
    client.hears(CANARY).await;
    client.done(frame(Command::Unsubscribe, &[("id", CANARY)])).await;
    for said in [
        format!("{CANARY}\n\n\0"),
        format!("SEND\ndestination:/topic/{CANARY}\nreceipt:{CANARY}\n\n{CANARY}\0"),
        format!("SUBSCRIBE\nid:{CANARY}\ndestination:{CANARY}\n\n\0"),
        format!("SUBSCRIBE\nid:9\nselector:{CANARY}\ndestination:/topic/kept.{CANARY}\nafter:{CANARY}\n\n\0"),
        format!("ACK\nid:{CANARY}\n\n\0"),
        format!("BEGIN\ntransaction:{CANARY}\n\n\0"),
        format!("SEND\n{CANARY}\n\n\0"),
    ] {
        let mut client = Client::connect(address, CANARY).await;
        client.say(&said).await;
        assert_eq!(client.frame().await.command, Command::Error, "{said}");
    }
    let mut client = Client::open(address).await;
    client.say(connect(&format!("{}{CANARY}", token(CANARY)), "1.2", "0,0")).await;
    assert_eq!(client.frame().await.command, Command::Error);
    let headers = format!("Cookie: {CANARY}={CANARY}\r\nSec-WebSocket-Protocol: {CANARY}\r\nUser-Agent: {CANARY}\r\n");
    drop(WebSocket::open_with(address, &headers).await);
    ask(address, &upgrade(address, &format!("Origin: https://{CANARY}.example\r\n"))).await;
    get(address, &format!("/{CANARY}?token={CANARY}")).await;
    get(address, &format!("/ws?access_token={CANARY}")).await;

    // Those who ask for metrics may bring one, too.
    for path in [format!("/{CANARY}"), format!("/metrics/{CANARY}"), format!("/?{CANARY}")] {
        let answer = get(metrics, &path).await;
        assert!(answer.status == 404 && !answer.text().contains(CANARY), "{answer:?}");
    }
    let has_all = |page: &Page| page.value("footfall_frames_sent_total{command=\"ERROR\"}") >= 8.0;
    let after = until(&node, "all that was refused", has_all).await;
    let text = get(metrics, &format!("/metrics?x={CANARY}")).await.text();
    assert!(text.contains("footfall_deliveries_total 3\n") && !text.contains(CANARY), "{text}");
    assert_eq!(after.series(), before.series());
}
