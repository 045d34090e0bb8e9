//! Stored SENDs with receipts: a RECEIPT means that the message is on disk, so this measures how well the node shares
//! one disk write among its senders.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use stomp_frames::Command;
use tokio::time::sleep;

use crate::Target;
use crate::clock::{Clock, body_size, stamped_body};
use crate::connection::{Connection, Manner, open_all, stomp};
use crate::disk::fdatasync_times;
use crate::heard::Heard;
use crate::process::{Process, ensure_room_for};
use crate::report::Report;
use crate::run::{Mark, Tasks, Window, numbered, unless_lost};
use crate::tally::Tally;

#[derive(Debug, Args)]
pub(crate) struct Stored {
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    senders: u32,
    /// SENDs that each sender has waiting for their receipts.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before anything is counted.
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Bytes in a body.
    #[arg(long, default_value = "100", value_parser = body_size)]
    body: usize,
    /// Rooms that the senders are spread over [default: one for each sender].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: Option<u32>,
    /// The rooms' destinations, with the room's number in place of {…}.
    #[arg(long, default_value = "/topic/rooms.{room}")]
    destination: String,
    /// The node's data directory; fdatasync is timed there just before.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub(crate) async fn measure(target: &Target, options: &Stored) -> Result<Report> {
    let node = target.pid.map(Process::new).transpose()?;
    let senders = options.senders as usize;
    let rooms = options.rooms.unwrap_or(options.senders) as usize;
    ensure_room_for(senders, node)?;
    let mut report = Report::new();
    report.count("connections", senders as u64);
    report.count("rooms", rooms as u64);
    report.count("in_flight_for_each", options.in_flight.into());
    report.count("body_bytes", options.body as u64);
    match &options.data {
        Some(directory) => report.percentiles("fdatasync_4_KiB", &fdatasync_times(directory)?),
        None => report.missing("fdatasync_4_KiB"),
    }

    let opened = open_all(target, Manner { heart_beat: 0, body_size: options.body }, senders).await?;
    let clock = Clock::start();
    let tally = Arc::new(Tally::new(clock));
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Tasks::new();
    for (number, connection) in opened.into_iter().enumerate() {
        let sending = Sending {
            connection,
            destination: numbered(&options.destination, number % rooms),
            body: options.body,
            in_flight: options.in_flight as usize,
            clock,
            tally: Arc::clone(&tally),
            over: Arc::clone(&over),
        };
        tasks.spawn(sending.run());
    }
    let window = unless_lost(&mut tasks, async {
        sleep(Duration::from_secs(options.warm_up.into())).await;
        tally.count_from(clock.now());
        let first = Mark::now(node, tally.answers())?;
        sleep(Duration::from_secs(options.seconds.into())).await;
        let last = Mark::now(node, tally.answers())?;
        over.store(true, Ordering::Relaxed);
        Ok(Window::between(first, last))
    })
    .await?;
    // Each sender waits for the receipts it is still owed; one that never comes would be the finding of the run.
    let drained = tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    match drained.await {
        Ok(ended) => ended?,
        Err(_) => bail!("10 s after the last SEND there were still receipts missing."),
    }
    window.report(&mut report, node, "receipts_per_second")?;
    report.percentiles("receipt_after", &tally.times());
    Ok(report)
}

struct Sending {
    connection: Connection,
    destination: String,
    body: usize,
    in_flight: usize,
    clock: Clock,
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
}

impl Sending {
    /// A SEND for each RECEIPT: a closed loop, whose latency is that of a full pipe and not of a single message.
    async fn run(mut self) -> Result<()> {
        let mut waiting = VecDeque::new();
        let mut sent = 0_u64;
        loop {
            if !self.over.load(Ordering::Relaxed) {
                let free = self.in_flight - waiting.len();
                let frames = (0..free).map(|_| {
                    let now = self.clock.now();
                    waiting.push_back((sent, now));
                    let frame = send_with_receipt(&self.destination, sent, now, self.body);
                    sent += 1;
                    frame
                });
                self.connection.sender.send_all(frames).await?;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let heard = |heard| match heard {
                Heard::Receipt(number) => {
                    let (expected, begun) = waiting.pop_front().unwrap_or((u64::MAX, 0));
                    ensure!(number == expected, "Receipt {number} came where {expected} was due.");
                    self.tally.answered(begun);
                    Ok(ControlFlow::Break(()))
                }
                Heard::HeartBeat => Ok(ControlFlow::Continue(())),
                other => bail!("Instead of a RECEIPT the node sent {other:?}"),
            };
            self.connection.receiver.hear_until(heard).await?;
        }
    }
}

fn send_with_receipt(destination: &str, number: u64, now: u64, body: usize) -> bytes::Bytes {
    let headers = [("destination", destination), ("receipt", &number.to_string())];
    stomp(Command::Send, &headers, &stamped_body(now, body))
}
