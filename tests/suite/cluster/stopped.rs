//! F3, a node stands still, in the middle of a transaction, for so long that others take its partitions, and then goes on
//! as if nothing had been: it holds up nobody, and it stores nothing in what others have claimed.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::row::{Load, Row};
use super::world::{World, hurt};
use super::{SESSION_TIMEOUT, fencing, words};

/// Longer than others may take to own what it had.
const STANDS: Duration = Duration::from_secs(20);
const _: () = assert!(STANDS.as_secs() > 2 * SESSION_TIMEOUT.as_secs(), "it comes back too soon to be a zombie");
/// Of twelve partitions, four a node: then each node has one that waits.
const WAITING: i64 = 9;
/// The server's limit for whoever sits in a transaction; and no lock that anybody needs is held for longer than the second.
const LOCKED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F3", Load::STANDARD).await;
    let node = row.some_node();
    row.until_fault().await;
    fencing::begin(&world.rows).await;
    let partitions = world.partitions(node).await;
    let held = world.rows.hold_partitions(super::PATIENCE).await.expect("nobody keeps a partition's row locked");
    let all_wait = async {
        let mut looks = interval(BETWEEN_LOOKS);
        while world.rows.waiting().await < WAITING {
            looks.tick().await;
        }
    };
    timeout(super::PATIENCE, all_wait).await.expect("every node is inside a transaction");
    hurt(|| world.node(node).pause());
    let (paused, before) = (Instant::now(), world.rows.owners().await);
    let process = world.node(node).pid().unwrap();
    let mut connections = fencing::ports(process);
    held.close().await.unwrap();
    let began = Instant::now();
    match world.rows.hold_partitions(LOCKED.1).await {
        Some(free) => free.close().await.unwrap(),
        None => row.figures.wrong("the row of a partition stays locked by a node that stands still".to_owned()),
    }
    row.figures.within("row lock held", LOCKED.0, LOCKED.1, began.elapsed());
    // While it still stands.
    row.owned_again(&partitions, &before, paused).await;
    let tokens = before.into_iter().filter(|(partition, _)| partitions.contains(partition)).collect();
    row.figures.count("of the tokens that it still has, good ones", 0, fencing::good(&world.rows, &tokens).await);
    sleep_until(paused + STANDS).await;
    let said = words::end(world.node(node));
    hurt(|| world.node(node).resume());
    let resumed = row.clock();
    // Until then it takes itself for the owner, and whatever it sends has the old tokens.
    let notices = || {
        connections.extend(fencing::ports(process));
        words::since(world.node(node), said).iter().any(|line| line.message() == "revoked")
    };
    world.until("the node hears that its partitions are others' now", notices).await;

    let mut finished = row.finish().await;
    connections.extend(fencing::ports(process));
    let fencing = fencing::end(&world.rows, &connections).await;
    finished.figures.at_least("batches that it stored before the fencing", 1, fencing.own);
    finished.figures.count("batches that it stored after the fencing", 0, fencing.broken);
    finished.figures.at_least("batches that others stored there", 1, fencing.kept);
    finished.stalled("a stall", Duration::from_secs(12));
    finished.caught_up(Duration::from_secs(20), resumed);
    finished.clean();
}
