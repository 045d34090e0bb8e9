//! F20, a member joins or leaves the group every five seconds: batches are finished or abandoned, never both.

use std::sync::Arc;
use std::time::Duration;

use super::row::{Load, Row};
use super::world::{World, hurt};

const EVERY: Duration = Duration::from_secs(5);
const FOR: Duration = Duration::from_mins(1);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F20", Load::STANDARD).await;
    let node = row.some_node();
    let mut moment = Duration::ZERO;
    while moment < FOR {
        row.until(moment).await;
        if world.node(node).pid().is_some() {
            hurt(|| world.node(node).stop());
        } else {
            hurt(|| world.node(node).start());
        }
        moment += EVERY;
    }
    // An even number of times: it runs again.
    let mut finished = row.finish().await;
    finished.stalled("a stall", Duration::from_secs(3));
    finished.clean();
}
