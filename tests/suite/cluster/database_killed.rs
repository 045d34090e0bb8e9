//! F10, PostgreSQL is killed and stays away, and F11, for longer than `max.poll.interval.ms`: RECEIPTs go on, deliveries
//! wait, and nobody leaves the group.

use std::sync::Arc;
use std::time::Duration;

use super::broker::DEAD_LETTERS;
use super::load::receipted;
use super::row::{Load, Row};
use super::world::{World, hurt, kill};
use crate::support::random::tier;

pub(super) async fn f10(world: Arc<World>) {
    let away = Duration::from_secs(if tier() >= 2 { 30 } else { 10 });
    row(world, "F10", away, Duration::from_secs(10)).await;
}

/// The tier's settings have a `max_poll_interval` below this.
pub(super) async fn f11(world: Arc<World>) {
    let away = super::MAX_POLL_INTERVAL * 2;
    // No target of its own: more has gathered.
    row(world, "F11", away, away / 2).await;
}

async fn row(world: Arc<World>, name: &'static str, away: Duration, lag_0: Duration) {
    let mut row = Row::begin(&world, name, Load::STANDARD).await;
    row.until_fault().await;
    let before = (world.rows.owners().await, world.broker.members(), world.broker.end(DEAD_LETTERS));
    kill(world.cluster.postgres());
    let killed = row.clock();
    tokio::time::sleep(away).await;
    hurt(|| world.cluster.postgres().start());
    let ready = row.clock();

    let mut finished = row.finish().await;
    let after = (world.rows.owners().await, world.broker.members(), world.broker.end(DEAD_LETTERS));
    finished.caught_up(lag_0, ready);
    // A member that was put out comes back under another id, and a partition that moved has another owner.
    finished.figures.count("rebalances", 0, usize::from(after.1 != before.1) + usize::from(after.0 != before.0));
    finished.figures.count("dead letters", 0, after.2 - before.2);
    // But for what was under way.
    let away = killed + Duration::from_secs(2)..ready;
    let least = finished.load.one_in(4, &away);
    let receipted = receipted(&finished.run.logs, &[away]);
    finished.figures.at_least("RECEIPTs go on", least, receipted);
    finished.clean();
}
