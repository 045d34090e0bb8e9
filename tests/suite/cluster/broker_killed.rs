//! F7, the only Kafka broker is killed in the middle of batches, and comes back: what was stored and not committed is read
//! again, and nothing of it is stored or delivered twice.

use std::sync::Arc;
use std::time::Duration;

use super::row::{Load, Row};
use super::world::{World, hurt, kill};

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F7", Load::STANDARD).await;
    let broker = world.cluster.kafka().node(1).unwrap();
    row.until_fault().await;
    kill(broker);
    let killed = row.clock();
    row.until_heal().await;
    hurt(|| broker.start());
    let ready = row.clock();
    row.had_outage(killed..ready);

    let mut finished = row.finish().await;
    finished.caught_up(Duration::from_secs(20), ready);
    finished.clean();
}
