//! Where the page is: at a port of its own, until the node has stopped, and never where clients come.

use std::net::{Ipv4Addr, TcpListener as Taken};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::{METRICS, scrape, until_counted};
use crate::support::http::{ask, get};
use crate::support::node::{OPEN, TestNode};
use crate::support::stomp::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_page_is_there_and_it_is_nowhere_else() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let metrics = node.metrics.unwrap();
    assert_ne!(metrics.port(), node.address.port());
    assert_eq!(get(node.address, "/metrics").await.status, 404, "clients reach this port");
    assert_eq!(get(metrics, "/metrics").await.status, 200);
    for path in ["/", "/ws", "/health/ready", "/dev/token", "/metrics/", "//metrics", "/METRICS"] {
        assert_eq!(get(metrics, path).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(metrics, &format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(answer.status, 404, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_port_there_is_no_page() {
    let node = TestNode::start(OPEN).await;
    assert_eq!(node.metrics, None);
    assert_eq!(get(node.address, "/metrics").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "where metrics are to be read, is taken")]
async fn a_node_whose_port_for_metrics_is_taken_does_not_start() {
    let taken = Taken::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    TestNode::start(&format!("{OPEN}[metrics]\nport = {port}\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_can_be_watched_to_its_end() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}[server]\ndrain = \"2s\"\n")).await;
    let metrics = node.metrics.unwrap();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(node.address, "alice").await);
    }
    node.drain();
    let page = until_counted(&node, &[("footfall_readiness{state=\"draining\"}", 1.0), ("footfall_readiness{state=\"ready\"}", 0.0)]).await;
    assert!(page.value("footfall_connections_open") > 0.0, "it is not over");
    until_counted(&node, &[("footfall_refusals_total{code=\"draining\"}", 3.0)]).await;
    assert!(node.ended().await);
    assert!(TcpStream::connect(metrics).await.is_err(), "it goes on after the node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_say_nothing_hold_their_places_for_a_while_only() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let mut silent = Vec::new();
    let begun = Instant::now();
    for _ in 0..8 {
        silent.push(TcpStream::connect(node.metrics.unwrap()).await.unwrap());
    }
    scrape(&node).await;
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(3), "eight at once are as many as may be, {waited:?}");
    drop(silent);
}
