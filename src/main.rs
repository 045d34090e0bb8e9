//! The `footfall` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use footfall::commands::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::main(Arguments::parse()).unwrap_or_else(|error| {
        // If even standard error is gone, nobody is there to be told.
        let _nobody_reads = writeln!(std::io::stderr(), "footfall: {error:#}");
        ExitCode::FAILURE
    })
}
