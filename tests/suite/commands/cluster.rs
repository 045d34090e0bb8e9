//! What an operator of a cluster asks before nodes run, and after a log was made anew. On a real Kafka, PostgreSQL and Redis.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{CANARY, DEADLINE, Home};
use crate::support::http;
use crate::support::servers::{kafka, postgres, redis};
use crate::support::stomp::{Client, send, subscribe};

/// Settings of a cluster of its own on the shared servers.
fn cluster() -> (Home, String) {
    let name = format!("t{}", Uuid::new_v4().simple());
    postgres().create_database(&name).unwrap();
    let home = Home::with(&format!(
        r#"
        mode = "production"
        [bus]
        kind = "kafka"
        [bus.kafka]
        brokers = "{brokers}"
        prefix = "{name}"
        partitions = 2
        replication_factor = 1
        min_insync_replicas = 1
        [store]
        kind = "postgres"
        [store.postgres]
        url = "{url}"
        [registry]
        kind = "redis"
        [registry.redis]
        url = "{redis}"
        prefix = "{name}"
        [[auth.keys]]
        algorithms = ["HS256"]
        secret = "{CANARY}"
        [[destinations]]
        pattern = "/topic/rooms.{{room}}"
        subscribe = "true"
        send = "true"
        store = true
        "#,
        brokers = kafka().bootstrap_servers(),
        url = postgres().url(&name),
        redis = redis().url(),
    ));
    (home, name)
}

#[test]
fn topics_are_made_once_and_checked_with_the_database() {
    let (home, name) = cluster();
    let missing = home.run(&["check", "--connect"]);
    assert_ne!(missing.code, Some(0));
    assert!(missing.out.contains(&format!("{name}.events")) && missing.out.contains("footfall topics create"), "{}", missing.out);
    // Nor does a node start without them, and it says the same.
    let refused = home.run_with(&[], &[("FOOTFALL_SERVER__PORT", "0")]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.error.ends_with("`footfall topics create` makes it\n"), "{}", refused.error);

    let created = home.run(&["topics", "create"]).good();
    for topic in ["events", "broadcast", "dead-letters"] {
        assert!(created.contains(&format!("{name}.{topic} created\n")), "{created}");
    }
    assert_eq!(home.run(&["topics", "create"]).good().matches(" is there\n").count(), 3);

    let checked = home.run(&["check", "--connect"]).good();
    assert!(checked.contains("warning: bus.kafka.replication_factor = 1:"), "{checked}");
    assert!(checked.contains("its schema is up to date"), "{checked}");

    let other = home.run_with(&["check", "--connect"], &[("FOOTFALL_BUS__KAFKA__PARTITIONS", "3")]);
    assert!(other.code != Some(0) && other.out.contains("2 partitions"), "{}", other.out);
    // The one that tests share keeps nothing over a restart.
    assert!(checked.contains("\nRedis: warning: appendonly is off: ") && !checked.contains("maxmemory-policy"), "{checked}");

    let nowhere = home.run_with(&["check", "--connect"], &[("FOOTFALL_STORE__POSTGRES__URL", "postgres://x@127.0.0.1:1/x")]);
    assert!(nowhere.code != Some(0) && nowhere.out.contains("The store: error: "), "{}", nowhere.out);
    let nowhere = home.run_with(&["check", "--connect"], &[("FOOTFALL_REGISTRY__REDIS__URL", "redis://127.0.0.1:1/0")]);
    assert!(nowhere.code != Some(0) && nowhere.out.contains("Redis: error: the registry can't be reached now: "), "{}", nowhere.out);
    let stranger = home.run_with(&["check", "--connect"], &[("FOOTFALL_REGISTRY__REDIS__PASSWORD", CANARY)]);
    assert!(stranger.code != Some(0) && stranger.out.contains("Redis: error: the registry can't be used: "), "{}", stranger.out);
}

#[test]
fn one_process_has_no_topics() {
    let home = Home::with(&super::production());
    assert!(home.run(&["topics", "create"]).bad().contains("bus.kind"));
    assert!(home.run(&["topics", "adopt"]).bad().contains("bus.kind"));
    assert!(home.run(&["check", "--connect"]).good().contains("it is empty"));
    assert_eq!(home.files(), ["footfall.toml"], "who only looks changes nothing");
}

/// The events topic is deleted and made again: its offsets begin anew, and the store's positions mean nothing in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_made_anew_is_refused_until_it_is_adopted() {
    let (home, name) = block_in_place(cluster);
    block_in_place(|| home.run(&["topics", "create"]).good());
    let there = "/topic/rooms.1";
    let token = block_in_place(|| home.run(&["token", "--user", "alice"]).good());
    let token = token.trim_end();

    let node = block_in_place(|| home.start(&[]));
    let mut alice = Client::connect_with(node.address(), token, "1.2", "0,0").await;
    let mut bob = Client::connect_with(node.address(), token, "1.2", "0,0").await;
    bob.subscribe("1", there).await;
    for body in ["one", "two", "three"] {
        alice.done(send(there, body)).await;
        // Stored, and not only in the log that is about to go.
        bob.hears(body).await;
    }
    drop((alice, bob));
    assert_eq!(block_in_place(|| node.stop()).0, Some(0));

    let events = format!("{name}.events");
    block_in_place(|| kafka().topics(&["--delete", "--topic", &events])).unwrap();
    // It goes in the background.
    let end = Instant::now() + DEADLINE;
    while block_in_place(|| home.run(&["topics", "create"])).code != Some(0)
        || !block_in_place(|| home.run(&["check", "--connect"]).out).contains(&events)
        || block_in_place(|| kafka().topics(&["--list"])).unwrap().iter().all(|topic| *topic != events)
    {
        assert!(Instant::now() < end, "the topic was not made anew");
        sleep(Duration::from_millis(200)).await;
    }

    let node = block_in_place(|| home.start(&[]));
    until_ready_is(node.address(), "log-refused").await;
    let mut alice = Client::connect_with(node.address(), token, "1.2", "0,0").await;
    // It is accepted, and not stored.
    alice.done(send(there, "four")).await;
    let adopted = block_in_place(|| home.run(&["topics", "adopt"]).good());
    assert!(adopted.contains(" adopted in cluster "), "{adopted}");
    until_ready_is(node.address(), "ready").await;

    let mut bob = Client::connect_with(node.address(), token, "1.2", "0,0").await;
    bob.send(subscribe("1", there).with_header("history", "10")).await;
    for (number, body) in (1..).zip(["one", "two", "three", "four"]) {
        let message = bob.hears(body).await;
        assert!(message.header("position").unwrap().ends_with(&format!(":{number}")), "{message:?}");
    }
    // Nothing is left to be adopted, and nobody who works is disturbed for long.
    let again = block_in_place(|| home.run(&["topics", "adopt"]).good());
    assert!(again.ends_with("0 partitions adopted.\n"), "{again}");
    alice.done(send(there, "five")).await;
    bob.hears("five").await;
    assert_eq!(block_in_place(|| node.stop()).0, Some(0));
}

async fn until_ready_is(address: SocketAddr, state: &str) {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = http::get(address, "/health/ready").await.text();
        if answer.contains(&format!("\"{state}\"")) {
            return;
        }
        assert!(Instant::now() < end, "{answer}, and not {state}");
        sleep(Duration::from_millis(100)).await;
    }
}
