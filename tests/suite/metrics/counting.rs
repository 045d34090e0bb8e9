//! What happens is counted.

use footfall::message::Code;
use stomp_frames::Command;

use super::{METRICS, scrape, until, until_counted};
use crate::support::node::{NARROW, OPEN, TestNode, slow_consumer, token};
use crate::support::stomp::{Client, connect, frame, send};
use crate::support::websocket::WebSocket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_and_deliveries_are_counted_and_what_is_open() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut first = Client::connect(node.address, "alice").await;
    let mut second = Client::connect(node.address, "bob").await;
    first.subscribe("0", "/topic/open.room").await;
    second.subscribe("0", "/topic/open.*").await;
    for _ in 0..3 {
        first.send(send("/topic/open.room", "hello")).await;
    }
    for _ in 0..3 {
        first.hears("hello").await;
        second.hears("hello").await;
    }
    let expected = [
        ("footfall_connections_open", 2.0),
        ("footfall_connections_opened_total", 2.0),
        ("footfall_sessions_connected", 2.0),
        ("footfall_frames_received_total{command=\"CONNECT\"}", 2.0),
        ("footfall_frames_received_total{command=\"SUBSCRIBE\"}", 2.0),
        ("footfall_frames_received_total{command=\"SEND\"}", 3.0),
        ("footfall_frames_sent_total{command=\"CONNECTED\"}", 2.0),
        ("footfall_frames_sent_total{command=\"RECEIPT\"}", 2.0),
        ("footfall_frames_sent_total{command=\"MESSAGE\"}", 6.0),
        ("footfall_frames_sent_total{command=\"ERROR\"}", 0.0),
        ("footfall_deliveries_total", 6.0),
        ("footfall_bus_publish_seconds_count{topic=\"broadcast\"}", 3.0),
        ("footfall_bus_publish_seconds_count{topic=\"events\"}", 0.0),
        ("footfall_readiness{state=\"ready\"}", 1.0),
        ("footfall_bus_state{state=\"ready\"}", 1.0),
        ("footfall_bus_lag_records{topic=\"events\"}", 0.0),
        ("footfall_bus_lag_records{topic=\"broadcast\"}", 0.0),
        ("footfall_outbox_bytes", 0.0),
        ("footfall_gates_open", 0.0),
    ];
    let page = until_counted(&node, &expected).await;
    // Heads and bodies, and the WebSocket's own bytes.
    assert!(page.value("footfall_sent_bytes_total") > 600.0 && page.value("footfall_received_bytes_total") > 300.0, "{page:?}");

    first.say("DISCONNECT\nreceipt:bye\n\n\0").await;
    first.receipt("bye").await;
    first.closed().await;
    drop((first, second));
    let expected = [
        ("footfall_connections_open", 0.0),
        ("footfall_connections_closed_total", 2.0),
        ("footfall_sessions_connected", 0.0),
        ("footfall_frames_received_total{command=\"DISCONNECT\"}", 1.0),
    ];
    until_counted(&node, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storing_is_timed() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut client = Client::connect(node.address, "alice").await;
    client.subscribe("0", "/topic/kept.room").await;
    client.send(send("/topic/kept.room", "hello")).await;
    client.hears("hello").await;
    let expected = [
        ("footfall_gates_open", 1.0),
        ("footfall_bus_publish_seconds_count{topic=\"events\"}", 1.0),
        ("footfall_bus_publish_seconds_count{topic=\"broadcast\"}", 1.0),
        ("footfall_store_append_seconds_count", 1.0),
        ("footfall_store_append_messages_sum", 1.0),
        ("footfall_store_errors_total{operation=\"append\",error=\"unavailable\"}", 0.0),
    ];
    let page = until_counted(&node, &expected).await;
    assert!(page.value("footfall_store_read_seconds_count") >= 1.0, "the head was read");
    assert!(page.value("footfall_store_append_seconds_sum") > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_store_is_lag() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut client = Client::connect(node.address, "alice").await;
    let held = node.hold_store().await;
    for _ in 0..3 {
        client.send(send("/topic/kept.room", "hello")).await;
    }
    until_counted(&node, &[("footfall_bus_lag_records{topic=\"events\"}", 3.0)]).await;
    sqlx::Connection::close(held).await.unwrap();
    until_counted(&node, &[("footfall_bus_lag_records{topic=\"events\"}", 0.0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_by_code() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut denied = Client::open(node.address).await;
    denied.say(connect("no token", "1.2", "0,0")).await;
    denied.refused(Code::TokenInvalid).await;
    assert!(WebSocket::open_with(node.address, "Origin: https://elsewhere.example\r\n").await.is_err());
    let mut broken = Client::connect(node.address, "alice").await;
    broken.say("SEND\nno colon\n\n\0").await;
    broken.refused(Code::MalformedFrame).await;
    // A notice is a refusal, too, and no ERROR.
    let mut told = Client::connect(node.address, "alice").await;
    told.subscribe("errors", "/user/queue/errors").await;
    told.send(send("/topic/nowhere", "hello")).await;
    assert_eq!(told.message().await.header("code"), Some(Code::UnknownDestination.as_str()));
    let expected = [
        ("footfall_connect_denials_total{code=\"token-invalid\"}", 1.0),
        ("footfall_connect_denials_total{code=\"origin-denied\"}", 1.0),
        ("footfall_refusals_total{code=\"token-invalid\"}", 1.0),
        ("footfall_refusals_total{code=\"malformed-frame\"}", 1.0),
        ("footfall_refusals_total{code=\"unknown-destination\"}", 1.0),
        ("footfall_frames_sent_total{command=\"ERROR\"}", 2.0),
        ("footfall_frames_sent_total{command=\"MESSAGE\"}", 1.0),
        ("footfall_deliveries_total", 0.0),
        ("footfall_sessions_connected", 1.0),
    ];
    until_counted(&node, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lets_too_much_wait_is_counted_and_what_was_thrown_away() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}{NARROW}")).await;
    let (_writer, client) = slow_consumer(&node).await;
    drop(client);
    let page = until(&node, "what was thrown away", |page| {
        page.value("footfall_deliveries_dropped_total{reason=\"slow-consumer\"}") > 0.0 && page.value("footfall_connections_open") == 1.0
    })
    .await;
    assert_eq!(page.value("footfall_slow_consumers_total{reason=\"outbox-full\"}"), 1.0);
    assert_eq!(page.value("footfall_slow_consumers_total{reason=\"write-stalled\"}"), 0.0);
    assert_eq!(page.value("footfall_refusals_total{code=\"slow-consumer\"}"), 1.0);
    assert_eq!(page.value("footfall_deliveries_total"), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_no_bytes_is_counted_and_what_waited_for_it() {
    let settings = "[server]\nmax_frame = 16384\nmax_outbox = 1073741824\n[session]\nwrite_timeout = \"500ms\"\n";
    let node = TestNode::start(&format!("{OPEN}{METRICS}{settings}")).await;
    let mut deaf = Client::connect(node.address, "deaf").await;
    deaf.subscribe("0", "/topic/open.room").await;
    let mut writer = Client::connect(node.address, "writer").await;
    let body = "x".repeat(15_000);
    let mut most_waiting = 0.0_f64;
    loop {
        for _ in 0..50 {
            writer.done(send("/topic/open.room", &body)).await;
        }
        let page = scrape(&node).await;
        most_waiting = most_waiting.max(page.value("footfall_outbox_bytes"));
        if page.value("footfall_slow_consumers_total{reason=\"write-stalled\"}") == 1.0 {
            break;
        }
    }
    assert!(most_waiting > 15_000.0, "{most_waiting}");
    let page = until_counted(&node, &[("footfall_connections_open", 1.0), ("footfall_outbox_bytes", 0.0)]).await;
    assert!(page.value("footfall_deliveries_dropped_total{reason=\"session-ended\"}") > 0.0);
    drop(deaf);
}

/// A client may name any command; only those of the table are counted, and none but the server's is said to be sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_servers_are_counted_where_they_come_from() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut client = Client::open(node.address).await;
    client.say(connect(&token("alice"), "1.2", "0,0")).await;
    client.connected().await;
    client.send(frame(Command::Receipt, &[("receipt-id", "1")])).await;
    client.refused(Code::UnexpectedCommand).await;
    let expected = [("footfall_frames_received_total{command=\"RECEIPT\"}", 1.0), ("footfall_frames_sent_total{command=\"RECEIPT\"}", 0.0)];
    until_counted(&node, &expected).await;
}
