//! The load generator as a program of its own; `footfall bench` calls the same library.

use std::process::ExitCode;

use clap::Parser;

/// Loads a running footfall node and reports what it measured.
#[derive(Debug, Parser)]
#[command(name = "footfall-bench", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    arguments: footfall_bench::Arguments,
}

fn main() -> ExitCode {
    let Err(error) = footfall_bench::run(&CommandLine::parse().arguments) else { return ExitCode::SUCCESS };
    // Sentences, from what failed to why; a stack of calls would say nothing about the node.
    for cause in error.chain() {
        eprintln!("{cause}");
    }
    ExitCode::FAILURE
}
