//! Three nodes as one: the faults of the failure matrix under its standard load, a file for each, and what
//! [`crate::checker`] says of them. `FOOTFALL_ROWS=F2,F10` runs some of them only, `FOOTFALL_TIER=2` all at full size, and
//! `FOOTFALL_SEED` a run that was seen before.

mod broker;
mod broker_killed;
mod calm;
mod database_killed;
mod figures;
mod groups;
mod node_killed;
mod poison;
mod rebalances;
mod restored;
mod rolling;
mod row;
mod rows;
mod starting;
mod stopped;
mod together;
mod world;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use crate::support::random::{chosen, seed, tier};
use world::World;

/// For clients that must get somewhere.
const PATIENCE: Duration = Duration::from_mins(1);
/// In the second tier, so that F11 does not take minutes.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(20);

type Play = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A row's name, the first tier that has it, and what it does.
type Row = (&'static str, u32, fn(Arc<World>) -> Play);

const ROWS: [Row; 12] = [
    ("together", 1, |world| Box::pin(together::row(world))),
    ("groups", 1, |world| Box::pin(groups::row(world))),
    ("F2", 1, |world| Box::pin(node_killed::row(world))),
    ("F7", 1, |world| Box::pin(broker_killed::row(world))),
    ("F10", 1, |world| Box::pin(database_killed::f10(world))),
    ("F19", 1, |world| Box::pin(poison::row(world))),
    ("F21", 1, |world| Box::pin(starting::row(world))),
    ("F3", 2, |world| Box::pin(stopped::row(world))),
    ("F4", 2, |world| Box::pin(rolling::row(world))),
    ("F11", 2, |world| Box::pin(database_killed::f11(world))),
    ("F20", 2, |world| Box::pin(rebalances::row(world))),
    // The last: it takes from the database what others left there.
    ("F12", 2, |world| Box::pin(restored::row(world))),
];

/// One cluster for all rows. One that fails is told of at the end, so that a run shows all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_nodes_keep_their_word_while_parts_fail() {
    let tier = tier();
    let poll = format!("{}s", MAX_POLL_INTERVAL.as_secs());
    let environment: &[(&str, &str)] = if tier >= 2 { &[("FOOTFALL_BUS__KAFKA__MAX_POLL_INTERVAL", &poll)] } else { &[] };
    let world = Arc::new(World::start(seed(), environment));
    let mut failed = Vec::new();
    for (name, first_tier, play) in ROWS {
        if tier < first_tier || !chosen(name) {
            continue;
        }
        world.mend();
        #[expect(clippy::disallowed_methods, reason = "a row that panics does not end the others")]
        if tokio::spawn(play(world.clone())).await.is_err() {
            failed.push(name);
        }
    }
    let stopped = block_in_place(|| world.cluster.stop());
    assert!(failed.is_empty(), "rows that failed: {failed:?}, seed {}", world.seed);
    stopped.unwrap();
}
