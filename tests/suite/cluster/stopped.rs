//! F3, a node stands still for so long that others take its partitions, and then goes on as if nothing had been: nothing
//! that it writes then counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::row::{Load, Row};
use super::world::{World, hurt};

const STANDS: Duration = Duration::from_secs(20);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F3", Load::STANDARD).await;
    let node = row.some_node();
    row.until_fault().await;
    // At 200 messages a second a node is in a transaction about as often as not.
    hurt(|| world.node(node).pause());
    let stopped = row.clock();
    sleep(STANDS).await;
    hurt(|| world.node(node).resume());

    let mut finished = row.finish().await;
    // Its row lock is gone by then, or the next owner could not have written.
    finished.stalled("reassigned", Duration::from_secs(12));
    finished.caught_up(Duration::from_secs(20), stopped);
    // Rows after the fencing would be doubles or holes.
    finished.clean();
}
