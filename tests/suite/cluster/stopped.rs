//! F3, a node stands still, in the middle of a transaction, for so long that others take its partitions, and then goes on
//! as if nothing had been: it holds up nobody, and nothing that it writes then counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::time::{sleep, timeout};

use super::row::{Load, Row};
use super::world::{World, hurt};

const STANDS: Duration = Duration::from_secs(20);
/// Of twelve partitions, four a node: then each node has one that waits.
const WAITING: i64 = 9;

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F3", Load::STANDARD).await;
    let node = row.some_node();
    row.until_fault().await;
    let held = world.rows.hold_partitions().await;
    let all_wait = async { while world.rows.waiting().await < WAITING {} };
    timeout(super::PATIENCE, all_wait).await.expect("every node is inside a transaction");
    hurt(|| world.node(node).pause());
    held.close().await.unwrap();
    let began = Instant::now();
    world.rows.hold_partitions().await.close().await.unwrap();
    let locked = began.elapsed();
    sleep(STANDS).await;
    hurt(|| world.node(node).resume());
    let resumed = row.clock();

    let mut finished = row.finish().await;
    finished.figures.time("row lock held", Duration::from_secs(5), locked);
    finished.stalled("reassigned", Duration::from_secs(12));
    finished.caught_up(Duration::from_secs(20), resumed);
    // A row written after the fencing would be a double or a hole.
    finished.clean();
}
