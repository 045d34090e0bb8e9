//! What every measurement does: keep an eye on its connections, take the CPU time of both processes, name rooms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use stomp_frames::Command;
use tokio::task::JoinSet;

use crate::connection::{Connection, Receiver, stomp};
use crate::heard::Heard;
use crate::process::Process;
use crate::report::{Report, float, per_second};
use crate::tally::Tally;

/// The tasks of a run. Any of them failing fails the run: a result with lost connections would be about something else.
pub(crate) type Tasks = JoinSet<Result<()>>;

/// Does the work, unless a task fails before it is done.
pub(crate) async fn unless_lost<T>(tasks: &mut Tasks, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(ended) = tasks.join_next() => ended.context("A task of the load generator failed.")??,
        }
    }
}

/// Hears deliveries until the run ends.
pub(crate) async fn count_deliveries(mut receiver: Receiver, tally: Arc<Tally>) -> Result<()> {
    let count = |heard| match heard {
        Heard::Delivery(sent) => {
            tally.answered(sent);
            Ok(std::ops::ControlFlow::Continue(()))
        }
        Heard::HeartBeat => Ok(std::ops::ControlFlow::Continue(())),
        other => bail!("Between deliveries the node sent {other:?}"),
    };
    receiver.hear_until(count).await
}

/// Subscribes every connection to its destination.
pub(crate) async fn subscribe_all(connections: &mut [Connection], at_once: usize, destination: impl Fn(usize) -> String) -> Result<()> {
    stream::iter(connections.iter_mut().enumerate())
        .map(|(number, connection)| {
            let destination = destination(number);
            async move { connection.subscribe(&destination).await }
        })
        .buffer_unordered(at_once)
        .try_collect()
        .await
}

/// The template with the number in place of its `{…}`; the template itself if it has none.
pub(crate) fn numbered(template: &str, number: usize) -> String {
    match (template.find('{'), template.find('}')) {
        (Some(open), Some(close)) if open < close => format!("{}{number}{}", &template[..open], &template[close + 1..]),
        _ => template.to_owned(),
    }
}

pub(crate) fn send_frame(destination: &str, body: &[u8]) -> bytes::Bytes {
    stomp(Command::Send, &[("destination", destination)], body)
}

/// A moment of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Instant,
    node_cpu: Option<Duration>,
    own_cpu: Duration,
    answers: u64,
}

impl Mark {
    pub(crate) fn now(node: Option<Process>, answers: u64) -> Result<Self> {
        Ok(Self { at: Instant::now(), node_cpu: node.map(Process::cpu).transpose()?, own_cpu: Process::own().cpu()?, answers })
    }
}

/// What lies between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) elapsed: Duration,
    pub(crate) node_cpu: Option<Duration>,
    own_cpu: Duration,
    pub(crate) answers: u64,
}

impl Window {
    pub(crate) fn between(first: Mark, last: Mark) -> Self {
        Self {
            elapsed: last.at - first.at,
            node_cpu: last.node_cpu.zip(first.node_cpu).map(|(last, first)| last.saturating_sub(first)),
            own_cpu: last.own_cpu.saturating_sub(first.own_cpu),
            answers: last.answers - first.answers,
        }
    }

    /// How long, how much CPU on both sides, and how many answers a second.
    pub(crate) fn report(self, report: &mut Report, node: Option<Process>, answers: &str) -> Result<()> {
        report.number("measured_for", self.elapsed.as_secs_f64(), "s");
        report.number(answers, per_second(self.answers, self.elapsed), "");
        if let (Some(cpu), Some(node)) = (self.node_cpu, node) {
            report.number("node_cpu", cpu.as_secs_f64(), "s");
            report.number("node_cpu_per_million", cpu.as_secs_f64() * 1e6 / float(self.answers), "s");
            report.count("node_resident_KiB", node.resident_kib()?);
        } else {
            report.missing("node_cpu");
        }
        // Beside the node's, since a load generator that was busy all the time measured itself.
        report.number("own_cpu", self.own_cpu.as_secs_f64(), "s");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_numbered_in_their_braces() {
        assert_eq!(numbered("/topic/bench.{n}", 7), "/topic/bench.7");
        assert_eq!(numbered("/topic/{room}/x", 0), "/topic/0/x");
        assert_eq!(numbered("/topic/one", 3), "/topic/one");
        assert_eq!(numbered("/topic/}{", 3), "/topic/}{");
    }

    #[tokio::test]
    async fn a_lost_connection_ends_the_run_and_a_finished_task_does_not() {
        let mut tasks = Tasks::new();
        tasks.spawn(async { Ok(()) });
        let work = async {
            tokio::task::yield_now().await;
            Ok(5)
        };
        assert_eq!(unless_lost(&mut tasks, work).await.unwrap(), 5);
        tasks.spawn(async { bail!("lost") });
        let failed = unless_lost(&mut tasks, std::future::pending::<Result<()>>()).await;
        assert_eq!(failed.unwrap_err().to_string(), "lost");
    }

    #[test]
    fn a_window_is_the_difference_of_its_marks() {
        let at = Instant::now();
        let mark = |seconds, answers| Mark {
            at: at + Duration::from_secs(seconds),
            node_cpu: Some(Duration::from_secs(seconds / 2)),
            own_cpu: Duration::ZERO,
            answers,
        };
        let window = Window::between(mark(2, 10), mark(12, 60));
        assert_eq!((window.elapsed, window.answers), (Duration::from_secs(10), 50));
        assert_eq!(window.node_cpu, Some(Duration::from_secs(5)));
    }
}
