//! F4, all nodes are restarted, one after another, politely: no SEND fails, and nobody has to come back more often than
//! its node goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::row::{Finished, Load, Row};
use super::world::{World, hurt, stop};
use crate::checker::{most_reconnects, stall};
use crate::driver::{Log, What};

/// A node that stops answers what it had before it said so.
const ANSWERED: Duration = Duration::from_secs(1);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F4", Load::STANDARD).await;
    row.until_fault().await;
    for node in world.cluster.nodes() {
        stop(node);
        hurt(|| node.start());
    }
    let restarts = world.cluster.nodes().len();

    let mut finished = row.finish().await;
    let failed = failed(&finished);
    finished.figures.count("failed receipted sends", 0, failed);
    let Open { late, early } = unanswered(&finished.run.logs);
    finished.figures.count("sends left open by a connection that closed over a second later", 0, early);
    // Those that came in when the node had said that it is about to stop; they go out again on the next connection.
    finished.figures.note("sends left open by a connection that closed just then", late);
    finished.figures.note("sends that went out more than once", again(&finished.run.logs));
    let (reconnects, worst) = (most_reconnects(&finished.run.logs), worst_second(&finished));
    finished.figures.count("at most one reconnect a restart", true, reconnects <= restarts);
    finished.figures.note("reconnects of one client at most", reconnects);
    finished.figures.ratio("reconnects in one second at most, by their mean", 3.0, worst);
    let stall = stall(&finished.run.logs);
    finished.figures.note("the longest stall", format!("{:.1} s", stall.as_secs_f64()));
    finished.clean();
}

/// SENDs that were answered with an ERROR.
fn failed(finished: &Finished) -> usize {
    let entries = finished.run.logs.iter().flat_map(|log| &log.entries);
    entries.filter(|entry| matches!(entry.what, What::Error { id: Some(_), .. })).count()
}

/// SENDs that were neither receipted nor refused on their connection.
#[derive(Default)]
struct Open {
    /// It closed soon after them.
    late: usize,
    /// There was time for an answer.
    early: usize,
}

fn unanswered(logs: &[Log]) -> Open {
    let mut unanswered = Open::default();
    for log in logs {
        let mut open = HashMap::new();
        for entry in &log.entries {
            match &entry.what {
                What::Sent { id, .. } => _ = open.insert(*id, entry.at),
                What::Receipted { id } | What::Error { id: Some(id), .. } => _ = open.remove(id),
                What::Disconnected { .. } => {
                    for (_, sent) in open.drain() {
                        let is_early = entry.at > sent + ANSWERED;
                        *(if is_early { &mut unanswered.early } else { &mut unanswered.late }) += 1;
                    }
                }
                _ => {}
            }
        }
    }
    unanswered
}

/// How many messages went out on more than one connection.
fn again(logs: &[Log]) -> usize {
    let mut times: HashMap<Uuid, usize> = HashMap::new();
    for entry in logs.iter().flat_map(|log| &log.entries) {
        if let What::Sent { id, .. } = &entry.what {
            *times.entry(*id).or_default() += 1;
        }
    }
    times.values().filter(|times| **times > 1).count()
}

/// How many reconnects the busiest second had, in multiples of what a second has on average while anybody reconnects.
fn worst_second(finished: &Finished) -> f64 {
    let mut seconds = BTreeMap::new();
    for log in &finished.run.logs {
        let connects = log.entries.iter().filter(|entry| matches!(entry.what, What::Connected { .. }));
        for connect in connects.skip(1) {
            *seconds.entry(connect.at.as_secs()).or_insert(0_u32) += 1;
        }
    }
    let (Some(first), Some(last)) = (seconds.keys().min(), seconds.keys().max()) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
    let mean = f64::from(seconds.values().sum::<u32>()) / (last - first + 1) as f64;
    f64::from(*seconds.values().max().unwrap_or(&0)) / mean
}
