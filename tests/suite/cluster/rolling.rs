//! F4, all nodes are restarted politely, one after another, behind nginx and under clients as browsers are: no SEND fails,
//! nobody has to come back more often than nodes go, and they do not come back as a herd.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::row::{Load, Row};
use super::world::{World, hurt, stop};
use crate::checker::stall;
use crate::driver::{Log, What};
use crate::support::http;
use crate::support::random::tier;

/// A node that stops answers what it had before it said so.
const ANSWERED: Duration = Duration::from_secs(1);
/// `server.drain`, over which a node that stops spreads its closes.
const DRAIN: Range<u64> = 0..5;
/// What a client's end may say while nodes are restarted: it was asked to come back, or has all it wants.
const GOOD_ENDS: [&str; 2] = ["the broker closed the connection: draining", "the client has what it wants"];

/// A tab that is closed in between would be a SEND that nobody finishes.
const STANDARD: Load = Load { gives_up_once_in: None, ..Load::STANDARD };
/// For the tier that has no time for three restarts.
const SMALL: Load = Load { subscribers: 90, senders: 10, rate: 100, ..STANDARD };

pub(super) async fn row(world: Arc<World>) {
    let is_whole = tier() >= 2;
    let mut row = Row::begin_behind_nginx(&world, "F4", if is_whole { STANDARD } else { SMALL }).await;
    row.until_fault().await;
    let numbers = if is_whole { (1..=world.cluster.nodes().len()).collect() } else { vec![row.some_node()] };
    let mut began = Vec::new();
    for number in numbers {
        began.push(row.clock());
        stop(world.node(number));
        hurt(|| world.node(number).start());
        let name = name(&world, number).await;
        until_nginx_uses(&world, &name).await;
    }
    let restarts = restarts(&began, row.clock());

    let mut finished = row.finish().await;
    let logs = &finished.run.logs;
    let (failed, doubled, wrong, vain) = (failed(logs), receipted_twice(logs), bad_ends(logs), in_vain(logs));
    let (Open { late, early }, again) = (unanswered(logs), again(logs));
    let reconnects = restarts.iter().map(|restart| logs.iter().map(|log| ends(log, restart).count()).max().unwrap_or_default());
    let reconnects = reconnects.max().unwrap_or_default();
    let closes: Vec<Vec<usize>> = restarts.iter().map(|restart| by_second(logs, restart)).collect();
    let stall = stall(logs);

    let figures = &mut finished.figures;
    figures.count("failed receipted sends", 0, failed);
    figures.count("sends that were receipted more than once", 0, doubled);
    figures.count("connections that ended without being asked to come back", 0, wrong);
    figures.count("connects that nginx had no node for", 0, vain);
    figures.count("sends left open by a connection that closed over a second later", 0, early);
    // Those that came in when the node had said that it is about to stop; they go out again on the next connection.
    figures.note("sends left open by a connection that closed just then", late);
    figures.note("sends that went out more than once", again);
    figures.count("reconnects of one client in one restart at most", 1, reconnects);
    for (number, closes) in (1..).zip(&closes) {
        let worst = worst(closes);
        figures.note(&format!("closes by second of restart {number}"), format!("{closes:?}"));
        // No second too many is excused by a busy machine: a herd that is let go at once is five times the mean.
        figures.count("a second with more closes than 3 x the mean", false, worst > 3.0);
        figures.note("closes in one second at most, by their mean", format!("{worst:.1}"));
    }
    figures.note("the longest stall", format!("{:.1} s", stall.as_secs_f64()));
    finished.clean();
}

/// The name that this start of a node has.
async fn name(world: &World, number: usize) -> String {
    let answer = http::get(world.node(number).address(), "/health/live").await;
    answer.header("x-footfall-node").expect("a name").to_owned()
}

async fn until_nginx_uses(world: &World, name: &str) {
    let nginx = world.cluster.nginx().address();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let used = async {
        while http::get(nginx, "/page/config.json").await.header("x-footfall-node") != Some(name) {
            looks.tick().await;
        }
    };
    let in_time = tokio::time::timeout(super::PATIENCE, used).await;
    assert!(in_time.is_ok(), "nginx does not use {name} again");
}

/// Each from its beginning to the next one's.
fn restarts(began: &[Duration], end: Duration) -> Vec<Range<Duration>> {
    let ends = began.iter().skip(1).copied().chain([end]);
    began.iter().zip(ends).map(|(from, to)| *from..to).collect()
}

/// When connections of this client ended in this time.
fn ends<'a>(log: &'a Log, time: &'a Range<Duration>) -> impl Iterator<Item = Duration> + 'a {
    let ends = log.entries.iter().filter(|entry| matches!(entry.what, What::Disconnected { .. }));
    ends.map(|entry| entry.at).filter(|at| time.contains(at))
}

/// For each second of a node's drain, how many connections it closed. What comes later is in the last one.
fn by_second(logs: &[Log], restart: &Range<Duration>) -> Vec<usize> {
    let mut seconds: Vec<usize> = DRAIN.map(|_| 0).collect();
    let last = seconds.len() - 1;
    for at in logs.iter().flat_map(|log| ends(log, restart)) {
        seconds[usize::try_from(at.saturating_sub(restart.start).as_secs()).map_or(last, |second| second.min(last))] += 1;
    }
    seconds
}

/// The busiest second, in multiples of what one has on average.
fn worst(seconds: &[usize]) -> f64 {
    let (most, all) = (seconds.iter().max().copied().unwrap_or_default(), seconds.iter().sum::<usize>());
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let ratio = (most * seconds.len()) as f64 / all as f64;
    // Nobody was closed, so nothing was seen.
    if all == 0 { f64::INFINITY } else { ratio }
}

fn count(logs: &[Log], is: impl Fn(&What) -> bool) -> usize {
    logs.iter().flat_map(|log| &log.entries).filter(|entry| is(&entry.what)).count()
}

/// SENDs that were answered with an ERROR.
fn failed(logs: &[Log]) -> usize {
    count(logs, |what| matches!(what, What::Error { id: Some(_), .. }))
}

fn bad_ends(logs: &[Log]) -> usize {
    count(logs, |what| matches!(what, What::Disconnected { why } if !GOOD_ENDS.contains(&why.as_str())))
}

fn in_vain(logs: &[Log]) -> usize {
    count(logs, |what| matches!(what, What::NotConnected { .. }))
}

fn receipted_twice(logs: &[Log]) -> usize {
    times(logs, |what| if let What::Receipted { id } = what { Some(*id) } else { None })
}

/// How many messages went out on more than one connection.
fn again(logs: &[Log]) -> usize {
    times(logs, |what| if let What::Sent { id, .. } = what { Some(*id) } else { None })
}

/// How many messages have several of these.
fn times(logs: &[Log], id: impl Fn(&What) -> Option<Uuid>) -> usize {
    let mut times: HashMap<Uuid, usize> = HashMap::new();
    for id in logs.iter().flat_map(|log| &log.entries).filter_map(|entry| id(&entry.what)) {
        *times.entry(id).or_default() += 1;
    }
    times.values().filter(|times| **times > 1).count()
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

#[test]
fn a_herd_is_seen() {
    assert!((worst(&[20, 20, 20, 20, 20]) - 1.0).abs() < f64::EPSILON);
    assert!((worst(&[100, 0, 0, 0, 0]) - 5.0).abs() < f64::EPSILON);
    assert!(worst(&[0; 5]).is_infinite());
    let seconds = |seconds| Duration::from_secs(seconds);
    assert_eq!(restarts(&[seconds(5), seconds(9)], seconds(12)), [seconds(5)..seconds(9), seconds(9)..seconds(12)]);
}
