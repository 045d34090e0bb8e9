//! Without faults: a client can't tell which node it is on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::{Position, UserName};
use serde_json::Map;
use stomp_frames::{Command, Frame};
use tokio::join;

use super::world::{World, hurt};
use crate::support::http;
use crate::support::node::now_s;
use crate::support::stomp::{Client, send, subscribe};

pub(super) async fn row(world: Arc<World>) {
    let nodes = world.nodes();
    one_order_and_history_everywhere(&world, &nodes).await;
    a_position_is_good_on_any_node(&world, &nodes).await;
    all_of_a_users_sessions_have_their_queue(&world, &nodes).await;
    a_receipt_for_stored_means_a_row(&world, &nodes).await;
    transient_messages_and_patterns_reach_other_nodes(&world, &nodes).await;
    a_retry_on_another_node_is_the_same_message(&world, &nodes).await;
    nginx_says_which_node_it_was(&world, &nodes).await;
}

impl World {
    async fn client(&self, address: SocketAddr, user: &str) -> Client {
        let user = UserName::new(user).unwrap();
        let token = self.issuer().issue(&user, &[], Map::new(), Duration::from_mins(10), now_s()).unwrap();
        Client::connect_with(address, &token, "1.2", "0,0").await
    }
}

fn position(message: &Frame) -> Position {
    message.header("position").unwrap().parse().unwrap()
}

async fn one_order_and_history_everywhere(world: &World, nodes: &[SocketAddr]) {
    let there = "/topic/rooms.together";
    let (mut alice, mut bob, mut carol) =
        join!(world.client(nodes[0], "alice"), world.client(nodes[1], "bob"), world.client(nodes[2], "carol"));
    for reader in [&mut alice, &mut bob, &mut carol] {
        reader.subscribe("1", there).await;
    }
    let (mut first, mut second) = join!(world.client(nodes[0], "dave"), world.client(nodes[1], "erin"));
    let sending = async |sender: &mut Client, name: &str| {
        for number in 0..20 {
            sender.done(send(there, &format!("{name} {number}"))).await;
        }
    };
    join!(sending(&mut first, "dave"), sending(&mut second, "erin"));
    let heard = async |reader: &mut Client| {
        let mut all = Vec::new();
        for number in 1..=40 {
            let message = reader.message().await;
            assert_eq!(position(&message).sequence, number);
            all.push(message.body_text().unwrap().to_owned());
        }
        all
    };
    let (one, two, three) = join!(heard(&mut alice), heard(&mut bob), heard(&mut carol));
    assert!(one == two && two == three, "{one:?}\n{two:?}\n{three:?}");

    // What was delivered is what history shows, on each node.
    for node in nodes {
        let mut reader = world.client(*node, "frank").await;
        reader.send(subscribe("1", there).with_header("history", "40").with_header("receipt", "live")).await;
        for body in &one {
            reader.hears(body).await;
        }
        assert_eq!(reader.receipt("live").await.header("recovered"), Some("true"));
    }
}

async fn a_position_is_good_on_any_node(world: &World, nodes: &[SocketAddr]) {
    let there = "/topic/rooms.moving";
    let mut sender = world.client(nodes[0], "alice").await;
    let mut reader = world.client(nodes[0], "bob").await;
    reader.subscribe("1", there).await;
    for number in 0..3 {
        sender.done(send(there, &format!("{number}"))).await;
    }
    reader.hears("0").await;
    let last = position(&reader.hears("1").await);
    drop(reader);
    for number in 3..6 {
        sender.done(send(there, &format!("{number}"))).await;
    }
    let mut reader = world.client(nodes[2], "bob").await;
    reader.send(subscribe("1", there).with_header("after", last.to_string()).with_header("receipt", "live")).await;
    // Some of them may have been on their way still, and come after the RECEIPT, live.
    let (mut missed, mut receipt) = (Vec::new(), None);
    while missed.len() < 4 || receipt.is_none() {
        let frame = reader.frame().await;
        match frame.command {
            Command::Message => missed.push(frame.body_text().unwrap().to_owned()),
            Command::Receipt => receipt = Some(frame),
            _ => panic!("{frame:?}"),
        }
    }
    assert_eq!(missed, ["2", "3", "4", "5"]);
    assert_eq!(receipt.unwrap().header("recovered"), Some("true"));
    sender.done(send(there, "6")).await;
    assert_eq!(position(&reader.hears("6").await).sequence, 7);
}

async fn all_of_a_users_sessions_have_their_queue(world: &World, nodes: &[SocketAddr]) {
    let (mut here, mut elsewhere) = join!(world.client(nodes[0], "alice"), world.client(nodes[2], "alice"));
    let mut bob = world.client(nodes[1], "bob").await;
    for client in [&mut here, &mut elsewhere, &mut bob] {
        client.subscribe("1", "/user/queue/notices").await;
    }
    bob.done(send("/user/alice/queue/notices", "for you")).await;
    for client in [&mut here, &mut elsewhere] {
        let message = client.hears("for you").await;
        assert_eq!((message.header("destination"), message.header("sender")), (Some("/user/queue/notices"), Some("bob")));
    }
    // It waits for who is not there, whichever node they come to.
    bob.done(send("/user/grace/queue/notices", "while you were away")).await;
    let mut grace = world.client(nodes[2], "grace").await;
    grace.send(subscribe("1", "/user/queue/notices").with_header("history", "10")).await;
    grace.hears("while you were away").await;
    bob.lives().await;
}

async fn a_receipt_for_stored_means_a_row(world: &World, nodes: &[SocketAddr]) {
    for (number, node) in nodes.iter().enumerate() {
        let there = format!("/topic/board.{number}");
        let mut sender = world.client(*node, "alice").await;
        sender.done(send(&there, "stored")).await;
        assert_eq!(world.rows.read(&there).await.rows[&there].len(), 1);
        // Its retry is answered as well.
        for _ in 0..2 {
            sender.done(send(&there, "once").with_header("idempotency-key", "1")).await;
        }
        assert_eq!(world.rows.read(&there).await.rows[&there].len(), 2);
    }
}

async fn transient_messages_and_patterns_reach_other_nodes(world: &World, nodes: &[SocketAddr]) {
    let (mut by_name, mut by_pattern) = join!(world.client(nodes[1], "bob"), world.client(nodes[2], "carol"));
    by_name.subscribe("1", "/topic/typing.7").await;
    by_pattern.subscribe("1", "/topic/typing.*").await;
    let mut sender = world.client(nodes[0], "alice").await;
    sender.done(send("/topic/typing.7", "…")).await;
    for reader in [&mut by_name, &mut by_pattern] {
        assert_eq!(reader.hears("…").await.header("position"), None);
    }
}

async fn a_retry_on_another_node_is_the_same_message(world: &World, nodes: &[SocketAddr]) {
    let there = "/topic/rooms.again";
    let mut reader = world.client(nodes[1], "bob").await;
    reader.subscribe("1", there).await;
    for node in nodes {
        let mut sender = world.client(*node, "alice").await;
        sender.done(send(there, "once").with_header("idempotency-key", "k")).await;
    }
    let mut sender = world.client(nodes[0], "alice").await;
    sender.done(send(there, "last")).await;
    assert_eq!(position(&reader.hears("once").await).sequence, 1);
    assert_eq!(position(&reader.hears("last").await).sequence, 2);
}

async fn nginx_says_which_node_it_was(world: &World, nodes: &[SocketAddr]) {
    let name = async |address, path| http::get(address, path).await.header("x-footfall-node").map(str::to_owned);
    let mut names = BTreeSet::new();
    for node in nodes {
        names.insert(name(*node, "/health/live").await.unwrap());
    }
    assert_eq!(names.len(), nodes.len(), "each has its own: {names:?}");
    let nginx = world.cluster.nginx();
    let mut seen = BTreeSet::new();
    // In turn, but each of its processes has a turn of its own.
    for _ in 0..10 * nodes.len() {
        seen.extend(name(nginx.address(), "/page/config.json").await);
    }
    assert_eq!(seen, names);
    // Its log has what was served by the time that the next request is.
    world
        .until("nginx's log names each node", || {
            let log = hurt(|| Ok(std::fs::read_to_string(nginx.log())?));
            names.iter().all(|name| log.lines().any(|line| line.contains("/page/config.json") && line.ends_with(&format!(" 200 {name}"))))
        })
        .await;
    for path in ["/health/ready", "/health/live", "/metrics"] {
        let answer = http::get(nginx.address(), path).await;
        assert_eq!((answer.status, answer.header("x-footfall-node")), (404, None), "{path}");
    }
}
