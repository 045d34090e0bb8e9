//! How long messages stay, seen from a client.

use stomp_frames::Command;

use crate::support::node::TestNode;
use crate::support::soon;
use crate::support::stomp::{Client, frame, send};

const FEW: &str = r#"
    [store]
    retention_interval = "1s"
    [[destinations]]
    pattern = "/topic/few.{name}"
    subscribe = "true"
    send = "true"
    store = true
    retention = { count = 3 }
    [[destinations]]
    pattern = "/topic/all.{name}"
    subscribe = "true"
    send = "true"
    store = true
"#;

/// The bodies that `history` gives, and the RECEIPT behind them.
async fn history(client: &mut Client, destination: &str) -> (Vec<String>, stomp_frames::Frame) {
    let headers = [("id", "h"), ("destination", destination), ("history", "50"), ("receipt", "joined")];
    client.send(frame(Command::Subscribe, &headers)).await;
    let mut bodies = Vec::new();
    let receipt = loop {
        let frame = client.frame().await;
        match frame.command {
            Command::Message => bodies.push(frame.body_text().unwrap().to_owned()),
            _ => break frame,
        }
    };
    client.done(frame(Command::Unsubscribe, &[("id", "h")])).await;
    (bodies, receipt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_stay_and_positions_go_on() {
    let node = TestNode::start(FEW).await;
    let mut client = Client::connect(node.address, "alice").await;
    let (_, receipt) = history(&mut client, "/topic/few.a").await;
    let before_all = receipt.header("position").unwrap().to_owned();
    for number in 1..=10 {
        client.done(send("/topic/few.a", &number.to_string())).await;
        client.done(send("/topic/all.a", &number.to_string())).await;
    }
    let trimmed = async {
        while history(&mut client, "/topic/few.a").await.0.len() > 3 {
            // Each look is a round trip; the round comes within a second.
            tokio::task::yield_now().await;
        }
    };
    soon("retention", trimmed).await;
    let (bodies, receipt) = history(&mut client, "/topic/few.a").await;
    assert_eq!(bodies, ["8", "9", "10"]);
    assert!(receipt.header("position").unwrap().ends_with(":10"));
    assert_eq!(history(&mut client, "/topic/all.a").await.0.len(), 10);
    // What is gone is not replayed in part.
    let headers = [("id", "a"), ("destination", "/topic/few.a"), ("after", before_all.as_str())];
    let receipt = client.done(frame(Command::Subscribe, &headers)).await;
    assert_eq!(receipt.header("recovered"), Some("false"));
    client.done(send("/topic/all.a", "no matter")).await;
    client.send(send("/topic/few.a", "11")).await;
    let next = client.hears("11").await;
    assert!(next.header("position").unwrap().ends_with(":11"));
}
