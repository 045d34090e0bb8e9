//! Three nodes as one: the faults of the failure matrix under its standard load, a file for each, and what
//! [`crate::checker`] says of them. `FOOTFALL_ROWS=F2,F10` runs some of them only, `FOOTFALL_TIER=2` all at full size, and
//! `FOOTFALL_SEED` a run that was seen before.

mod broker;
mod broker_killed;
mod calm;
mod database_killed;
mod fencing;
mod figures;
mod groups;
mod load;
mod logout;
mod node_killed;
mod people;
mod poison;
mod rebalances;
mod registry_away;
mod registry_empty;
mod restored;
mod rolling;
mod row;
mod rows;
mod starting;
mod stopped;
mod together;
mod words;
mod world;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use crate::support::random::{rows, seed, tier};
use world::World;

/// For clients that must get somewhere.
const PATIENCE: Duration = Duration::from_mins(1);
/// The nodes' default. Whoever did not show signs of life for so long has lost its partitions.
const SESSION_TIMEOUT: Duration = Duration::from_secs(8);
/// In the second tier, so that F11 does not take minutes.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(20);

type Play = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A row's name, the first tier that has it, and what it does.
type Row = (&'static str, u32, fn(Arc<World>) -> Play);

const ROWS: [Row; 16] = [
    ("together", 1, |world| Box::pin(together::row(world))),
    ("groups", 1, |world| Box::pin(groups::row(world))),
    ("logout", 1, |world| Box::pin(logout::row(world))),
    ("F9", 1, |world| Box::pin(registry_empty::row(world))),
    ("F8", 2, |world| Box::pin(registry_away::killed(world))),
    ("F8s", 2, |world| Box::pin(registry_away::silent(world))),
    ("F2", 1, |world| Box::pin(node_killed::row(world))),
    ("F7", 1, |world| Box::pin(broker_killed::row(world))),
    ("F10", 1, |world| Box::pin(database_killed::f10(world))),
    ("F4", 1, |world| Box::pin(rolling::row(world))),
    ("F19", 1, |world| Box::pin(poison::row(world))),
    ("F21", 1, |world| Box::pin(starting::row(world))),
    ("F3", 2, |world| Box::pin(stopped::row(world))),
    ("F11", 2, |world| Box::pin(database_killed::f11(world))),
    ("F20", 2, |world| Box::pin(rebalances::row(world))),
    // The last: it takes from the database what others left there.
    ("F12", 2, |world| Box::pin(restored::row(world))),
];

/// One cluster for all rows. One that fails is told of at the end, so that a run shows all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_nodes_keep_their_word_while_parts_fail() {
    let tier = tier();
    let chosen = chosen(rows().as_deref(), tier).unwrap();
    let poll = format!("{}s", MAX_POLL_INTERVAL.as_secs());
    let environment: &[(&str, &str)] = if tier >= 2 { &[("FOOTFALL_BUS__KAFKA__MAX_POLL_INTERVAL", &poll)] } else { &[] };
    let world = Arc::new(World::start(seed(), environment));
    let mut failed = Vec::new();
    for (name, _, play) in chosen {
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

/// The rows that are named, or all of this tier. A name that is none would look like a row that passes.
fn chosen(named: Option<&str>, tier: u32) -> Result<Vec<Row>, String> {
    let Some(named) = named else { return Ok(ROWS.into_iter().filter(|(_, first, _)| *first <= tier).collect()) };
    let named: Vec<_> = named.split(',').collect();
    for name in &named {
        match ROWS.iter().find(|(row, _, _)| row == name) {
            None => return Err(format!("there is no row {name:?}, only {:?}", ROWS.map(|(row, _, _)| row))),
            Some((_, first, _)) if *first > tier => return Err(format!("{name} is of FOOTFALL_TIER={first}")),
            Some(_) => {}
        }
    }
    Ok(ROWS.into_iter().filter(|(row, _, _)| named.contains(row)).collect())
}

#[test]
fn rows_are_chosen_by_their_names() {
    let names = |named, tier| chosen(named, tier).map(|rows| rows.into_iter().map(|(name, _, _)| name).collect::<Vec<_>>());
    assert_eq!(names(None, 1).unwrap(), ["together", "groups", "logout", "F9", "F2", "F7", "F10", "F4", "F19", "F21"]);
    assert_eq!(names(None, 2).unwrap().len(), ROWS.len());
    assert_eq!(names(Some("F12,F2"), 2).unwrap(), ["F2", "F12"]);
    for (named, tier, said) in
        [("F99", 2, "no row \"F99\""), ("F2,f10", 2, "no row \"f10\""), ("", 1, "no row \"\""), ("F3", 1, "F3 is of")]
    {
        let error = names(Some(named), tier).unwrap_err();
        assert!(error.contains(said), "{named}: {error}");
    }
}
