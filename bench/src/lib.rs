//! A load generator for a node that runs as a process of its own. It knows STOMP and the wire, and nothing of the
//! broker's insides: what it reports, a client saw or the kernel counted.

mod clock;
mod connection;
mod disk;
mod endpoint;
mod fanout;
mod heard;
mod idle;
mod latency;
mod open_loop;
mod pace;
mod process;
mod report;
mod run;
mod stored;
mod tally;
mod websocket;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};

/// Which node to load, how, and where to report.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

/// What every measurement needs to know.
#[derive(Debug, Clone, Args)]
struct Target {
    /// The node's WebSocket endpoint; ws:// only, since TLS would measure TLS.
    #[arg(long, global = true, default_value = "ws://127.0.0.1:8080/ws")]
    url: endpoint::Endpoint,
    /// A JWT for all connections; without it, tokens are asked from POST /dev/token of the same node.
    #[arg(long, global = true)]
    token: Option<String>,
    /// Over how many users the connections are spread; a node may limit what one user sends.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Roles in the tokens asked from /dev/token.
    #[arg(long, global = true, value_delimiter = ',', default_value = "USER")]
    roles: Vec<String>,
    /// The node's process id; without it neither its CPU seconds nor its memory are reported.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Where to write the result as JSON, besides the table.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// How many connections may be opening at a time.
    #[arg(long, global = true, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    opening: u16,
    /// Threads of the load generator. More than one takes cores from a node on the same machine.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One destination, many subscribers: deliveries per second, CPU seconds per million, latency.
    Fanout(fanout::Fanout),
    /// Connections that only keep their heart-beats: memory and CPU for each.
    Idle(idle::Idle),
    /// Many rooms at a fixed load, however slow the node gets: latency from the moment a SEND was due.
    Latency(latency::Latency),
    /// Stored SENDs with receipts: how many per second, and how long a receipt takes.
    Stored(stored::Stored),
}

/// Runs one measurement to its end and prints its table. It starts its own runtime, so it can't be called from one.
pub fn run(arguments: &Arguments) -> Result<()> {
    let target = &arguments.target;
    ensure!(target.token.is_none() || target.users == 1, "One --token is one user; leave out --users, or --token.");
    // One thread by default needs no work stealing between tasks that each read a hundred bytes.
    let mut builder =
        if target.threads == 1 { tokio::runtime::Builder::new_current_thread() } else { tokio::runtime::Builder::new_multi_thread() };
    let runtime = builder.worker_threads(target.threads.into()).enable_all().build().context("No runtime could be started.")?;
    let report = runtime.block_on(async {
        match &arguments.command {
            Command::Fanout(fanout) => fanout::measure(target, fanout).await,
            Command::Idle(idle) => idle::measure(target, idle).await,
            Command::Latency(latency) => latency::measure(target, latency).await,
            Command::Stored(stored) => stored::measure(target, stored).await,
        }
    })?;
    report.print();
    if let Some(file) = &target.json {
        report.write(file)?;
    }
    report.judge()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        CommandLine::try_parse_from(line.split(' ')).map(|line| line.arguments)
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_every_command_takes_may_stand_behind_it() {
        let arguments = parse("bench idle --connections 7 --pid 12 --url ws://localhost:81/x --roles USER,VIP").unwrap();
        assert_eq!(arguments.target.pid, Some(12));
        assert_eq!(arguments.target.url.authority(), "localhost:81");
        assert_eq!(arguments.target.roles, ["USER", "VIP"]);
    }

    #[test]
    fn a_rate_and_lock_step_exclude_each_other() {
        assert!(parse("bench fanout --rate 100 --lock-step").is_err());
        assert!(parse("bench fanout --rate 100 --batch 8").is_err());
        assert!(parse("bench fanout --lock-step --batch 8").is_ok());
        assert!(parse("bench fanout --rate 100").is_ok());
        assert!(parse("bench fanout").is_ok());
    }

    #[test]
    fn nonsense_is_refused_before_anything_runs() {
        for line in
            ["bench", "bench fanout --body 3", "bench fanout --subscribers 0", "bench idle --url http://x", "bench stored --in-flight 0"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
