//! F2, a node is killed: its clients move, its partitions move.

use std::sync::Arc;
use std::time::Duration;

use super::row::{Load, Row};
use super::world::{World, hurt};

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F2", Load::STANDARD).await;
    let node = row.some_node();
    row.until_fault().await;
    hurt(|| world.node(node).kill());
    let killed = row.clock();
    row.until_heal().await;
    hurt(|| world.node(node).start());

    let mut finished = row.finish().await;
    finished.stalled("owned again", Duration::from_secs(12));
    finished.caught_up(Duration::from_secs(20), killed);
    finished.clean();
}
