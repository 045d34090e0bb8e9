//! F21, a node starts again and again under load while its subscribers race its readiness: it lets nobody in before its
//! place in the broadcast is fixed, so nobody misses what came in between.

use std::sync::Arc;

use super::row::{Load, Row};
use super::world::{World, hurt, kill, stop};
use crate::support::random::tier;

const LOAD: Load = Load { subscribers: 20, channels: 20, senders: 40, rate: 1_000, gives_up_once_in: Some(40) };
/// They know no other node than the one that starts.
const RACERS: usize = 60;

pub(super) async fn row(world: Arc<World>) {
    let starts = if tier() >= 2 { 50 } else { 10 };
    let mut row = Row::begin(&world, "F21", LOAD).await;
    let node = row.some_node();
    row.crowd.subscribe(&[world.node(node).address()], RACERS);
    for _ in 0..starts {
        let answered = row.crowd.answered();
        if row.random.once_in(2) {
            kill(world.node(node));
        } else {
            stop(world.node(node));
        }
        // Racers try all the time, so the first of them are in before this returns.
        hurt(|| world.node(node).start());
        row.crowd.until_answered(answered + RACERS, super::PATIENCE).await;
    }
    let mut finished = row.finish().await;
    let holes = finished.verdict.totals.holes;
    finished.figures.count("holes", 0, holes);
    finished.figures.note("starts", starts);
    finished.clean();
}
