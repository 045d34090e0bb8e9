//! One destination and many subscribers: what a delivery costs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::time::timeout;

use crate::Target;
use crate::clock::{Clock, body_size, stamped_body};
use crate::connection::{Manner, Sender, open_all};
use crate::open_loop::{self, Load};
use crate::process::{Process, ensure_room_for};
use crate::report::Report;
use crate::run::{Mark, Tasks, Window, count_deliveries, numbered, send_frame, subscribe_all, unless_lost};
use crate::tally::Tally;

/// A batch that takes longer than this has lost a message.
const BATCH_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct Fanout {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Messages per second, kept up whatever the node does.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Send a batch when every subscriber has the one before; finds the highest throughput. Used if no rate is given.
    #[arg(long, conflicts_with = "rate")]
    lock_step: bool,
    /// Messages in a batch.
    #[arg(long, default_value_t = 1, conflicts_with = "rate", value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Connections that send, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    senders: u16,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before anything is counted.
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Bytes in a body.
    #[arg(long, default_value = "100", value_parser = body_size)]
    body: usize,
    /// The destination; a {…} in it becomes 0.
    #[arg(long, default_value = "/topic/bench.{n}")]
    destination: String,
}

pub(crate) async fn measure(target: &Target, options: &Fanout) -> Result<Report> {
    let node = target.pid.map(Process::new).transpose()?;
    let subscribers = options.subscribers as usize;
    let connections = subscribers + usize::from(options.senders);
    ensure_room_for(connections, node)?;
    let destination = numbered(&options.destination, 0);
    let mut opened = open_all(target, Manner { heart_beat: 0, body_size: options.body }, connections).await?;
    subscribe_all(&mut opened[..subscribers], target.opening.into(), |_| destination.clone()).await?;

    let clock = Clock::start();
    let tally = Arc::new(Tally::new(clock));
    let mut tasks = Tasks::new();
    let mut senders = Vec::new();
    for (number, connection) in opened.into_iter().enumerate() {
        tasks.spawn(count_deliveries(connection.receiver, Arc::clone(&tally)));
        if number >= subscribers {
            senders.push(connection.sender);
        } else {
            // Dropping the sending half would end the connection.
            tasks.spawn(keep(connection.sender));
        }
    }

    let mut report = Report::new();
    report.count("connections", connections as u64);
    report.count("subscribers", subscribers as u64);
    report.count("senders", options.senders.into());
    report.count("body_bytes", options.body as u64);
    let (warm_up, seconds) = (Duration::from_secs(options.warm_up.into()), Duration::from_secs(options.seconds.into()));
    if let (Some(rate), false) = (options.rate, options.lock_step) {
        report.text("mode", format!("open loop, {rate} messages/s"));
        let load = Load { messages_per_second: rate, subscribers: subscribers as u64, warm_up, measure: seconds, body: options.body };
        let lanes = senders.into_iter().map(|sender| (sender, destination.clone())).collect();
        let outcome = open_loop::run(load, lanes, Arc::clone(&tally), clock, &mut tasks, node).await?;
        outcome.report(&mut report, node, &tally.times())?;
    } else {
        report.text("mode", format!("lock step, batches of {}", options.batch));
        let mut steps = LockStep { options, destination, senders, tally: Arc::clone(&tally), clock, sent: 0 };
        let window = unless_lost(&mut tasks, async {
            steps.walk(warm_up).await?;
            let first = Mark::now(node, tally.answers())?;
            tally.count_from(clock.now());
            steps.walk(seconds).await?;
            Ok(Window::between(first, Mark::now(node, tally.answers())?))
        })
        .await?;
        window.report(&mut report, node, "deliveries_per_second")?;
        report.percentiles("latency_since_sent", &tally.times());
    }
    Ok(report)
}

async fn keep(sender: Sender) -> Result<()> {
    let _sender = sender;
    std::future::pending().await
}

struct LockStep<'a> {
    options: &'a Fanout,
    destination: String,
    senders: Vec<Sender>,
    tally: Arc<Tally>,
    clock: Clock,
    /// Messages, warm-up included.
    sent: u64,
}

impl LockStep<'_> {
    /// Ends with a whole batch, so that no delivery falls between two walks.
    async fn walk(&mut self, time: Duration) -> Result<()> {
        let end = self.clock.now() + crate::clock::nanos(time);
        let count = self.senders.len();
        let mut turn = 0;
        while self.clock.now() < end {
            let body = stamped_body(self.clock.now(), self.options.body);
            let frame = send_frame(&self.destination, &body);
            let batch = std::iter::repeat_n(&frame, self.options.batch.into());
            self.senders[turn % count].send_all(batch).await?;
            turn += 1;
            self.sent += u64::from(self.options.batch);
            let all = self.tally.reach(self.sent * u64::from(self.options.subscribers));
            timeout(BATCH_PATIENCE, all).await.context("A batch had not reached every subscriber after 30 s; a message was lost.")?;
        }
        Ok(())
    }
}
