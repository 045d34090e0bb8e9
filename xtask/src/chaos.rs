//! `cargo xtask chaos --quick`: what kills and restarts nodes, at full size. Minutes, so not for every change.

use std::process::ExitCode;
use std::time::Duration;

use crate::command::cargo;
use crate::counts::Counts;
use crate::report::Report;

const KILLS: Duration = Duration::from_mins(20);
/// A minute and more for each.
const FAULTS: Duration = Duration::from_mins(40);

/// Tier 2: 200 kills of a whole node under load, 200 of its store, and all faults of a cluster that tests know.
pub fn quick() -> ExitCode {
    let mut report = Report::default();
    let subjects = [
        ("nodes killed under load", "durability::", KILLS),
        ("stores killed while they write", "sqlite_kill::", KILLS),
        ("faults of a cluster", "cluster::", FAULTS),
    ];
    for (name, filter, within) in subjects {
        let mut tests = cargo(&["test", "--package", "footfall", "--test", "suite", "--", "--nocapture", filter]);
        report.tests(name, tests.env("FOOTFALL_TIER", "2"), within, Counts::of_cargo);
    }
    report.finish(true)
}
