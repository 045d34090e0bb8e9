//! F20, a member joins or leaves the group every five seconds: batches are finished or abandoned, never both.

use std::sync::Arc;
use std::time::Duration;

use super::row::{Load, Row};
use super::world::{World, hurt, stop};

const EVERY: Duration = Duration::from_secs(5);
const FOR: Duration = Duration::from_mins(1);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F20", Load::STANDARD).await;
    let node = row.some_node();
    let (mut moment, mut runs) = (Duration::ZERO, true);
    while moment < FOR {
        row.until(moment).await;
        if runs {
            stop(world.node(node));
        } else {
            hurt(|| world.node(node).start());
        }
        runs = !runs;
        moment += EVERY;
    }
    // An even number of times: it runs again.
    let mut finished = row.finish().await;
    finished.stalled("a stall", Duration::from_secs(3));
    finished.clean();
}
