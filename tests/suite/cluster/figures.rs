//! What a row of the failure matrix asks for beside what was seen. Times may be missed on a busy machine, so a test ends
//! only at five times the target; counts may not.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// A test ends at so many times what was wished for.
const PATIENCE: u32 = 5;

/// The lines of one row.
#[derive(Debug)]
pub(super) struct Figures {
    row: &'static str,
    seed: u64,
    /// What was missed so far that nothing excuses.
    missed: Vec<String>,
}

impl Figures {
    pub(super) fn new(row: &'static str, seed: u64) -> Self {
        Self { row, seed, missed: Vec::new() }
    }

    /// At most this long.
    pub(super) fn time(&mut self, what: &str, target: Duration, measured: Duration) {
        self.line(what, &format!("<= {} s", target.as_secs_f64()), &format!("{:.1} s", measured.as_secs_f64()));
        if measured > target * PATIENCE {
            self.missed.push(format!("{what} took {measured:?}, and {PATIENCE} x {target:?} is the end"));
        }
    }

    /// Wished for in `target`, and over at `limit`, which follows from a setting and not from how fast a machine is.
    pub(super) fn within(&mut self, what: &str, target: Duration, limit: Duration, measured: Duration) {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        self.line(what, &format!("<= {}, {} at most", seconds(target), seconds(limit)), &seconds(measured));
        if measured > limit {
            self.missed.push(format!("{what} took {measured:?}, and {limit:?} is the end"));
        }
    }

    /// At least so many.
    pub(super) fn at_least(&mut self, what: &str, target: usize, measured: usize) {
        self.line(what, &format!(">= {target}"), &measured.to_string());
        if measured < target {
            self.missed.push(format!("{what}: {measured}, and {target} is the least"));
        }
    }

    /// At most so many times something.
    pub(super) fn ratio(&mut self, what: &str, target: f64, measured: f64) {
        self.line(what, &format!("<= {target}"), &format!("{measured:.1}"));
        if measured > target * f64::from(PATIENCE) {
            self.missed.push(format!("{what}: {measured}, and {PATIENCE} x {target} is the end"));
        }
    }

    /// Exactly this.
    pub(super) fn count<T: Copy + PartialEq + Display>(&mut self, what: &str, target: T, measured: T) {
        self.line(what, &target.to_string(), &measured.to_string());
        if measured != target {
            self.missed.push(format!("{what}: {measured}, and not {target}"));
        }
    }

    /// Nothing is asked for.
    pub(super) fn note(&self, what: &str, measured: impl Display) {
        self.line(what, "", &measured.to_string());
    }

    /// What nothing excuses.
    pub(super) fn wrong(&mut self, what: String) {
        self.missed.push(what);
    }

    /// Panics with all that was missed.
    pub(super) fn done(self) {
        assert!(self.missed.is_empty(), "{}, seed {}: {}", self.row, self.seed, self.missed.join("; "));
    }

    /// Past the test harness, which would keep it for itself.
    fn line(&self, what: &str, target: &str, measured: &str) {
        let line = format!("| {} | {} | {what} | {target} | {measured} |\n", self.row, self.seed);
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
