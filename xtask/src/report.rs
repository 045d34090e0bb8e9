//! What became of each step, and the last line.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::process::{Finished, run};

/// All steps so far.
#[derive(Default)]
pub(crate) struct Report {
    counts: Counts,
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    /// A step that is one command. Answers whether it went well, and what it printed.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command, limit: Duration) -> Option<Vec<String>> {
        self.step(name, || succeeded(command, limit, true))
    }

    /// A step that is one command whose output is for us.
    pub(crate) fn read(&mut self, name: &str, command: &mut Command, limit: Duration) -> Option<Vec<String>> {
        self.step(name, || succeeded(command, limit, false))
    }

    /// A step of any kind. If it fails it counts as a failed test.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> Option<T> {
        let began = heading(name);
        let result = work();
        let failure = result.as_ref().err().map(|error| format!("{error:#}"));
        self.counts.failed += u64::from(failure.is_some());
        self.end(name, began, failure);
        result.ok()
    }

    /// A step that is a run of tests, counted by `count`. If it fails without a failed test that counts as one.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command, limit: Duration, count: fn(&[String]) -> Counts) -> bool {
        let began = heading(name);
        let (mut counts, mut failure) = match run(command, limit, true) {
            Ok(finished) => (count(&finished.lines), judged(&finished, limit)),
            Err(error) => (Counts::default(), Some(format!("did not start: {error}"))),
        };
        println!("-- {name}: {counts}");
        if failure.is_none() && counts.total() == 0 {
            failure = Some("no tests were counted".to_owned());
        }
        if failure.is_some() && counts.failed == 0 {
            counts.failed = 1;
        }
        if failure.is_none() && counts.failed > 0 {
            failure = Some("tests failed".to_owned());
        }
        self.counts += counts;
        let good = failure.is_none();
        self.end(name, began, failure);
        good
    }

    fn end(&mut self, name: &str, began: Instant, failure: Option<String>) {
        let took = began.elapsed();
        let how = failure.as_deref().map_or_else(|| "ok".to_owned(), |failure| format!("FAILED: {failure}"));
        println!("-- {name}: {how} ({:.1} s)", took.as_secs_f64());
        self.steps.push(Step { name: name.to_owned(), took, failure });
    }

    /// Says it all again, shortly; what was to be run but was skipped is as bad as a failure if `whole`.
    pub(crate) fn finish(self, whole: bool) -> ExitCode {
        println!("\n== summary");
        for Step { name, took, failure } in &self.steps {
            println!(
                "{:>7.1} s  {name}: {}",
                took.as_secs_f64(),
                failure.as_deref().map_or_else(|| "ok".to_owned(), |failure| format!("FAILED: {failure}"))
            );
        }
        if whole && self.counts.skipped > 0 {
            println!("a skipped test is a failure here");
        }
        println!("{}", self.counts);
        let good = self.counts.failed == 0 && self.counts.passed > 0 && !(whole && self.counts.skipped > 0);
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn heading(name: &str) -> Instant {
    println!("\n== {name}");
    Instant::now()
}

/// Runs a command that must succeed.
pub(crate) fn succeeded(command: &mut Command, limit: Duration, echo: bool) -> anyhow::Result<Vec<String>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let finished = run(command, limit, echo).map_err(|error| anyhow::anyhow!("`{program}` did not start: {error}"))?;
    match judged(&finished, limit) {
        None => Ok(finished.lines),
        Some(failure) => anyhow::bail!("`{program}` {failure}"),
    }
}

fn judged(finished: &Finished, limit: Duration) -> Option<String> {
    match finished.status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("ended with {status}")),
        None => Some(format!("was killed after {} s", limit.as_secs())),
    }
}
