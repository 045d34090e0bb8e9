//! A load that keeps its pace whatever the node does, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::{Clock, nanos, stamped_body};
use crate::connection::Sender;
use crate::pace::{self, Schedule};
use crate::process::Process;
use crate::report::Report;
use crate::run::{Mark, Tasks, Window, send_frame, unless_lost};
use crate::tally::Tally;

/// So that every task is waiting when the first message is due.
const LEAD: Duration = Duration::from_millis(100);

/// What has not arrived this long after the last message was due is reported as missing.
const STRAGGLERS: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) messages_per_second: u32,
    /// How many deliveries each message has.
    pub(crate) subscribers: u64,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    pub(crate) body: usize,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    window: Window,
    unsent: u64,
    missing: u64,
    lateness: Histogram<u64>,
}

impl Outcome {
    pub(crate) fn report(&self, report: &mut Report, node: Option<Process>, latency: &Histogram<u64>) -> Result<()> {
        self.window.report(report, node, "deliveries_per_second")?;
        report.percentiles("latency_since_due", latency);
        // How much of the latency this program added itself, by writing later than due.
        report.percentiles("written_after_due", &self.lateness);
        report.count("messages_never_sent", self.unsent);
        report.count("deliveries_missing", self.missing);
        if self.unsent + self.missing > 0 {
            report.flaw("The load was not carried: what was never sent or is missing is in no percentile.".to_owned());
        }
        Ok(())
    }
}

/// Runs the load over lanes: connections, each with the destination it sends to.
pub(crate) async fn run(
    load: Load,
    lanes: Vec<(Sender, String)>,
    tally: Arc<Tally>,
    clock: Clock,
    tasks: &mut Tasks,
    node: Option<Process>,
) -> Result<Outcome> {
    let written = Arc::new(Tally::new(clock));
    let mut ways = Vec::new();
    for (sender, destination) in lanes {
        let (way, due) = mpsc::channel(pace::BEHIND);
        ways.push(way);
        tasks.spawn(send_when_due(sender, destination, load.body, due, Arc::clone(&written)));
    }
    let start = clock.now() + nanos(LEAD);
    let seconds = (load.warm_up + load.measure).as_secs();
    let schedule = Schedule { start, per_second: load.messages_per_second, total: seconds * u64::from(load.messages_per_second) };
    let counted_from = start + nanos(load.warm_up);
    tally.count_from(counted_from);
    written.count_from(counted_from);
    let pacer = tokio::task::spawn_blocking(move || pace::keep(clock, schedule, &ways));

    unless_lost(tasks, async {
        sleep_until(Instant::from_std(clock.instant(counted_from))).await;
        let first = Mark::now(node, tally.answers())?;
        sleep_until(Instant::from_std(clock.instant(counted_from + nanos(load.measure)))).await;
        let last = Mark::now(node, tally.answers())?;
        let unsent = pacer.await.context("The thread that keeps the pace failed.")?;
        let expected = (schedule.total - unsent) * load.subscribers;
        let all = timeout(STRAGGLERS, tally.reach(expected)).await;
        let missing = if all.is_ok() { 0 } else { expected.saturating_sub(tally.answers()) };
        Ok(Outcome { window: Window::between(first, last), unsent, missing, lateness: written.times() })
    })
    .await
}

async fn send_when_due(
    mut sender: Sender,
    destination: String,
    body: usize,
    mut due: mpsc::Receiver<u64>,
    written: Arc<Tally>,
) -> Result<()> {
    let mut times = Vec::new();
    while due.recv_many(&mut times, 64).await > 0 {
        sender.send_all(times.iter().map(|time| send_frame(&destination, &stamped_body(*time, body)))).await?;
        times.drain(..).for_each(|time| written.answered(time));
    }
    // Dropping the sending half would end the connection, and stragglers are still awaited.
    let _sender = sender;
    std::future::pending().await
}
