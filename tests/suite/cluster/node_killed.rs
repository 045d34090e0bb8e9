//! F2, a node is killed: its clients move, its partitions move.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::row::{Load, Row};
use super::world::{World, hurt, kill};

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F2", Load::STANDARD).await;
    let node = row.some_node();
    row.until_fault().await;
    let (partitions, before) = (world.partitions(node).await, world.rows.owners().await);
    let since = Instant::now();
    kill(world.node(node));
    let killed = row.clock();
    row.owned_again(&partitions, &before, since).await;
    row.until_heal().await;
    hurt(|| world.node(node).start());

    let mut finished = row.finish().await;
    finished.stalled("a stall", Duration::from_secs(12));
    finished.caught_up(Duration::from_secs(20), killed);
    finished.clean();
}
