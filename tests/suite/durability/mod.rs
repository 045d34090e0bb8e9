//! The whole process is killed at random moments while clients send and read; nothing that was receipted may be lost,
//! and nothing may come twice. [`checker`] judges, and is judged itself by [`planted`].

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped fails the test")]

mod checker;
mod client;
mod database;
mod load;
mod node;
mod planted;
pub(crate) mod random;

use std::io::Write;
use std::time::{Duration, Instant};

use footfall::message::{Destination, UserName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use checker::{Logs, check};
use load::{Reader, Sender, SenderLog, Stage, SubscriberLog};
use node::Node;
use random::{Random, seed, tier};

const ROOMS: usize = 4;
const SENDERS: usize = 6;
const READERS_A_ROOM: usize = 2;
/// A life lasts at most so long once it serves.
const LIFE: u64 = 1_600;
/// What clients get at the end to finish what is open.
const FINISH_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_double_nothing() {
    let kills = if tier() >= 2 { 200 } else { 20 };
    let seed = seed();
    let began = Instant::now();
    let mut random = Random::new(seed);
    let mut node = Node::new();
    node.start();
    node.ready().await;
    let rooms: Vec<_> = (0..ROOMS).map(|room| Destination::parse(&format!("/topic/rooms.{room}")).unwrap()).collect();
    let (stage, stages) = watch::channel(Stage::Running);
    let (heads, readers) = start_readers(&node, &rooms);
    let senders = start_senders(&node, &rooms, &mut random, &stages);

    for kill in 0..kills {
        // One in five dies while it starts.
        if kill % 5 == 4 {
            sleep(Duration::from_millis(random.below(150))).await;
        } else {
            node.ready().await;
            sleep(Duration::from_millis(random.below(LIFE))).await;
        }
        assert!(node.kill().await, "the node ended by itself, seed {seed}:\n{}", node.log());
        node.start();
    }
    node.ready().await;
    stage.send(Stage::Finishing).unwrap();
    let mut logs = Logs::default();
    let mut idle = 0;
    for sender in senders {
        let SenderLog { sent, receipts } = finished(sender, seed, &node).await;
        logs.sent.extend(sent);
        idle += usize::from(receipts.iter().all(Vec::is_empty));
        logs.receipts.extend(receipts);
    }
    assert_eq!(idle, 0, "a sender never had a receipt, seed {seed}");
    // Another life: what the last one was still about to store, for clients that gave up, is stored by now or never.
    assert!(node.kill().await, "the node ended by itself, seed {seed}:\n{}", node.log());
    node.start();
    node.ready().await;
    let (_, known) = database::read(&node.database()).await;
    for (room, head) in rooms.iter().zip(&heads) {
        head.send(Some(known.get(room.as_str()).copied().unwrap_or_default())).unwrap();
    }
    let (mut resumed, mut surprises) = (0, Vec::new());
    for reader in readers {
        let log: SubscriberLog = finished(reader, seed, &node).await;
        resumed += log.resumed;
        surprises.extend(log.surprises);
        logs.subscribers.push(log.subscriber);
    }
    node.kill().await;
    (logs.stored, logs.heads) = database::read(&node.database()).await;

    let (violations, totals) = check(&logs);
    report(&format!(
        "durability: {kills} kills, {} receipted, {} stored, {} delivered, {resumed} resumed, {} lost, {} holes, {} doubles, {} s, seed {seed}",
        totals.receipted,
        totals.stored,
        totals.delivered,
        totals.lost,
        totals.holes,
        totals.doubles,
        began.elapsed().as_secs(),
    ));
    let first: Vec<_> = violations.iter().take(20).collect();
    assert!(violations.is_empty(), "{} violations, seed {seed}: {first:#?}", violations.len());
    assert!(surprises.is_empty(), "{surprises:#?}, seed {seed}");
    assert!(!node.log().contains("panic"), "seed {seed}:\n{}", node.log());
    // F13 of tier 2: none of at least 100,000 receipted messages.
    let enough = if kills >= 200 { 100_000 } else { kills * 20 };
    assert!(totals.receipted > enough, "too little happened to prove anything, seed {seed}");
}

fn start_senders(node: &Node, rooms: &[Destination], random: &mut Random, stage: &watch::Receiver<Stage>) -> Vec<JoinHandle<SenderLog>> {
    let sender = |number| Sender {
        user: UserName::new(&format!("sender-{number}")).unwrap(),
        address: node.address(),
        rooms: rooms.to_vec(),
        random: random.split(),
        stage: stage.clone(),
    };
    (0..SENDERS).map(sender).map(|sender| spawn(sender.run())).collect()
}

/// With what tells them, room by room, where the end is.
fn start_readers(node: &Node, rooms: &[Destination]) -> (Vec<watch::Sender<Option<u64>>>, Vec<JoinHandle<SubscriberLog>>) {
    let mut heads = Vec::new();
    let mut readers = Vec::new();
    for room in rooms {
        let (head, at) = watch::channel(None);
        heads.push(head);
        for number in 0..READERS_A_ROOM {
            let user = UserName::new(&format!("reader-{number}")).unwrap();
            let reader = Reader { user, address: node.address(), room: room.clone(), head: at.clone() };
            readers.push(spawn(reader.run()));
        }
    }
    (heads, readers)
}

fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "clients of a test, which awaits them")]
    tokio::spawn(future)
}

async fn finished<T>(client: JoinHandle<T>, seed: u64, node: &Node) -> T {
    let finished = timeout(FINISH_WITHIN, client).await;
    assert!(finished.is_ok(), "a client did not finish, seed {seed}:\n{}", node.log());
    finished.unwrap().unwrap()
}

/// Past the test harness, which would keep it for itself.
fn report(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
