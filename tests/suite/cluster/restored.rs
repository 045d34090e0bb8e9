//! F12, PostgreSQL comes back as an older copy of itself: what it lost is read again from the log and numbered anew, and
//! every subscriber is told that its position is none any more.

use std::sync::Arc;
use std::time::Duration;

use super::row::{Load, Row};
use super::world::{World, hurt};

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F12", Load::STANDARD).await;
    row.until_fault().await;
    let copy = world.cluster.folder().join("copy-of-the-database");
    // The copy has at least this.
    let kept = world.rows.read(&row.prefix()).await.heads;
    row.kept = kept.into_iter().map(|(destination, head)| (destination, head.sequence)).collect();
    hurt(|| world.cluster.postgres().back_up(&copy));
    row.until_heal().await;
    hurt(|| world.cluster.postgres().restore(&copy));
    let ready = row.clock();

    let mut finished = row.finish().await;
    finished.caught_up(Duration::from_secs(20), ready);
    // Who stays on an old position breaks C3, since the numbering under it is another.
    let told = finished.verdict.totals.reset;
    finished.figures.count("subscribers were told", true, told > 0);
    finished.figures.note("positions lost", told);
    finished.judged();
}
