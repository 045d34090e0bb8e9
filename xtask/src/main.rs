//! What a developer types: `cargo xtask <command>`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{chaos, clients, cluster, image, test};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What CI runs, and what a developer types")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

// Each task is a module of the library; `bench` becomes a line here when it exists.
#[derive(Subcommand)]
enum Task {
    /// Run the tests; the last line is `N passed, N failed, N skipped`.
    Test {
        /// Only what needs no other program: unit tests, transcripts, contracts in memory, layers. For use while working.
        #[arg(long)]
        fast: bool,
    },
    /// Kill and restart nodes under load, many times; takes minutes. The last line is as that of `test`.
    Chaos {
        /// The only size there is yet.
        #[arg(long, required = true)]
        quick: bool,
    },
    /// Run what deploy/compose.yaml describes as local processes, until Ctrl-C.
    Cluster {
        /// How many nodes, instead of as many as the file says.
        #[arg(long)]
        nodes: Option<usize>,
        /// Settings for the nodes instead of those that the file mounts.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// To be measured: nodes as released, and a PostgreSQL that waits for the disk.
        #[arg(long)]
        release: bool,
    },
    /// Run some of the suites of real clients, or all; the last line is as that of `test`.
    Clients {
        /// Folders of tests/clients, as `scenarios`.
        suites: Vec<String>,
    },
    /// Run the commands by which deploy/Dockerfile builds, in a folder with what it copies; takes long.
    Image,
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Test { fast: true } => test::fast(),
        Task::Test { fast: false } => test::all(),
        Task::Chaos { .. } => chaos::quick(),
        Task::Clients { suites } => clients::some(&suites),
        Task::Image => image::run(),
        Task::Cluster { nodes, settings, release } => cluster::run(nodes, settings, release),
    }
}
