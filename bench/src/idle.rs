//! Connections that do nothing but keep their heart-beats: what one costs.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::Target;
use crate::connection::{Connection, Manner, open_all};
use crate::heard::Heard;
use crate::process::{Process, ensure_room_for};
use crate::report::{Report, float, per_second};
use crate::run::{Mark, Tasks, Window, numbered, subscribe_all, unless_lost};

#[derive(Debug, Args)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How long they idle.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds between the last CONNECTED and the measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Milliseconds between heart-beats, both ways; 0 for none.
    #[arg(long, default_value_t = 10_000)]
    heart_beat: u32,
    /// Subscribe each connection to one of so many destinations; 0 for no subscription.
    #[arg(long, default_value_t = 0)]
    rooms: u32,
    /// The rooms' destinations, with the room's number in place of {…}.
    #[arg(long, default_value = "/topic/bench.{n}")]
    destination: String,
}

pub(crate) async fn measure(target: &Target, options: &Idle) -> Result<Report> {
    let node = target.pid.map(Process::new).transpose()?;
    let connections = options.connections as usize;
    ensure_room_for(connections, node)?;
    let resident_before = node.map(Process::resident_kib).transpose()?;
    let opening = Instant::now();
    let mut opened = open_all(target, Manner { heart_beat: options.heart_beat, body_size: 0 }, connections).await?;
    let opened_in = opening.elapsed();
    let rooms = options.rooms as usize;
    if rooms > 0 {
        subscribe_all(&mut opened, target.opening.into(), |number| numbered(&options.destination, number % rooms)).await?;
    }

    let mut tasks = Tasks::new();
    for (number, connection) in opened.into_iter().enumerate() {
        tasks.spawn(idle(connection, first_beat(options.heart_beat, number, connections), options.heart_beat));
    }
    let window = unless_lost(&mut tasks, async {
        sleep(Duration::from_secs(options.warm_up.into())).await;
        let first = Mark::now(node, 0)?;
        sleep(Duration::from_secs(options.seconds.into())).await;
        Ok(Window::between(first, Mark::now(node, 0)?))
    })
    .await?;

    let mut report = Report::new();
    report.count("connections", connections as u64);
    report.count("rooms", options.rooms.into());
    report.count("heart_beat_ms", options.heart_beat.into());
    report.number("opened_in", opened_in.as_secs_f64(), "s");
    report.number("opened_per_second", per_second(connections as u64, opened_in), "");
    report.number("measured_for", window.elapsed.as_secs_f64(), "s");
    if let (Some(node), Some(cpu), Some(before)) = (node, window.node_cpu, resident_before) {
        let after = node.resident_kib()?;
        report.count("node_resident_before_KiB", before);
        report.count("node_resident_after_KiB", after);
        report.number("node_resident_per_connection", float(after.saturating_sub(before)) / float(connections as u64), "KiB");
        report.number("node_cpu", cpu.as_secs_f64(), "s");
        let micros = cpu.as_secs_f64() * 1e6 / window.elapsed.as_secs_f64() / float(connections as u64);
        report.number("node_cpu_per_connection", micros, "µs/s");
    } else {
        report.missing("node_resident_per_connection");
        report.missing("node_cpu_per_connection");
    }
    Ok(report)
}

/// The beats of all connections are spread over the interval, as those of real clients are.
fn first_beat(heart_beat: u32, number: usize, connections: usize) -> Duration {
    let share = u64::from(heart_beat) * (number as u64 + 1) / connections as u64;
    Duration::from_millis(share.max(1))
}

async fn idle(connection: Connection, first_beat: Duration, heart_beat: u32) -> Result<()> {
    let Connection { mut sender, mut receiver } = connection;
    let hear = receiver.hear_until(|heard| match heard {
        Heard::HeartBeat => Ok(ControlFlow::Continue(())),
        other => bail!("An idle connection got {other:?}"),
    });
    let beat = async {
        if heart_beat == 0 {
            return std::future::pending::<Result<()>>().await;
        }
        let mut beats = interval_at(Instant::now() + first_beat, Duration::from_millis(heart_beat.into()));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            sender.send(b"\n").await?;
        }
    };
    tokio::select! {
        ended = hear => ended,
        ended = beat => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_are_spread_over_one_interval() {
        assert_eq!(first_beat(10_000, 0, 10_000), Duration::from_millis(1));
        assert_eq!(first_beat(10_000, 4999, 10_000), Duration::from_secs(5));
        assert_eq!(first_beat(10_000, 9999, 10_000), Duration::from_secs(10));
        assert_eq!(first_beat(0, 3, 10), Duration::from_millis(1));
    }
}
