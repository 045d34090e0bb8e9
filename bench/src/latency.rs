//! Many rooms at a fixed load: how long a message takes, counted from when it was due, so that a stall is charged for
//! all that waited for its end (no coordinated omission).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::Target;
use crate::clock::{Clock, body_size};
use crate::connection::{Manner, open_all};
use crate::endpoint::Endpoint;
use crate::open_loop::{self, Load};
use crate::process::{Process, ensure_room_for};
use crate::report::Report;
use crate::run::{Tasks, count_deliveries, numbered, subscribe_all};
use crate::tally::Tally;

#[derive(Debug, Args)]
pub(crate) struct Latency {
    /// The load. Each message has as many deliveries as its room has subscribers.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    deliveries_per_second: u32,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
    /// Subscribers in each room; besides them a room has one connection that only sends.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Send to stored destinations.
    #[arg(long)]
    stored: bool,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before anything is counted.
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
    /// Bytes in a body.
    #[arg(long, default_value = "100", value_parser = body_size)]
    body: usize,
    /// Another node, for those who send: then the latency is that from node to node.
    #[arg(long)]
    senders_url: Option<Endpoint>,
    /// The rooms' destinations, with the room's number in place of {…}
    /// [default: /topic/bench.{n}, with --stored /topic/rooms.{room}]
    #[arg(long)]
    destination: Option<String>,
}

impl Latency {
    fn messages_per_second(&self) -> Result<u32> {
        let whole = self.deliveries_per_second.is_multiple_of(self.subscribers);
        ensure!(whole, "--deliveries-per-second must be a multiple of --subscribers, so that the load is what the report says.");
        Ok(self.deliveries_per_second / self.subscribers)
    }

    fn template(&self) -> &str {
        let usual = if self.stored { "/topic/rooms.{room}" } else { "/topic/bench.{n}" };
        self.destination.as_deref().unwrap_or(usual)
    }
}

pub(crate) async fn measure(target: &Target, options: &Latency) -> Result<Report> {
    let messages_per_second = options.messages_per_second()?;
    let node = target.pid.map(Process::new).transpose()?;
    let (rooms, subscribers) = (options.rooms as usize, options.subscribers as usize);
    let connections = rooms * (subscribers + 1);
    ensure_room_for(connections, node)?;
    let manner = Manner { heart_beat: 0, body_size: options.body };
    let elsewhere = options.senders_url.clone().map(|url| Target { url, ..target.clone() });
    let mut opened = open_all(target, manner, rooms * subscribers).await?;
    let mut senders = open_all(elsewhere.as_ref().unwrap_or(target), manner, rooms).await?;
    subscribe_all(&mut opened, target.opening.into(), |number| numbered(options.template(), number % rooms)).await?;

    let clock = Clock::start();
    let tally = Arc::new(Tally::new(clock));
    let mut tasks = Tasks::new();
    let mut kept = Vec::new();
    for connection in opened {
        tasks.spawn(count_deliveries(connection.receiver, Arc::clone(&tally)));
        kept.push(connection.sender);
    }
    let mut lanes = Vec::new();
    for (room, connection) in senders.drain(..).enumerate() {
        tasks.spawn(count_deliveries(connection.receiver, Arc::clone(&tally)));
        lanes.push((connection.sender, numbered(options.template(), room)));
    }
    let load = Load {
        messages_per_second,
        subscribers: subscribers as u64,
        warm_up: Duration::from_secs(options.warm_up.into()),
        measure: Duration::from_secs(options.seconds.into()),
        body: options.body,
    };
    let outcome = open_loop::run(load, lanes, Arc::clone(&tally), clock, &mut tasks, node).await?;

    let mut report = Report::new();
    report.count("connections", connections as u64);
    report.count("rooms", rooms as u64);
    report.count("subscribers_in_a_room", subscribers as u64);
    report.count("body_bytes", options.body as u64);
    report.text("mode", format!("open loop, {messages_per_second} messages/s to {}", options.template()));
    if let Some(elsewhere) = &elsewhere {
        report.text("sent_to", elsewhere.url.to_string());
    }
    outcome.report(&mut report, node, &tally.times())?;
    drop(kept);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        latency: Latency,
    }

    fn parse(line: &str) -> Latency {
        Line::try_parse_from(line.split(' ')).unwrap().latency
    }

    #[test]
    fn the_load_is_divided_among_the_subscribers() {
        assert_eq!(parse("latency").messages_per_second().unwrap(), 1000);
        assert_eq!(parse("latency --deliveries-per-second 40 --subscribers 8").messages_per_second().unwrap(), 5);
        assert!(parse("latency --deliveries-per-second 41 --subscribers 8").messages_per_second().is_err());
        assert!(parse("latency --deliveries-per-second 4 --subscribers 8").messages_per_second().is_err());
    }

    #[test]
    fn stored_rooms_are_others_unless_named() {
        assert_eq!(parse("latency").template(), "/topic/bench.{n}");
        assert_eq!(parse("latency --stored").template(), "/topic/rooms.{room}");
        assert_eq!(parse("latency --stored --destination /topic/x.{y}").template(), "/topic/x.{y}");
    }
}
