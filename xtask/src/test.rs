//! `cargo xtask test`: the whole of what CI runs, or the part that is fast.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::clients;
use crate::command::cargo;
use crate::counts::Counts;
use crate::report::{Report, succeeded};
use crate::services;

/// With nothing built before, on two busy cores.
const BUILD: Duration = Duration::from_mins(20);
const TESTS: Duration = Duration::from_mins(10);
const FORMAT: Duration = Duration::from_mins(1);

/// The standard load on one node, and the rows of the failure matrix on three.
pub(crate) const CALM: &str = "cluster::calm::";
pub(crate) const FAULTS: &str = "cluster::real_nodes_";

/// Tier 0.
pub fn fast() -> ExitCode {
    let mut report = Report::default();
    let mut tests = cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"]);
    // They need servers.
    tests.args(["--skip", "real_", "--skip", "contracts::postgres", "--skip", "contracts::kafka", "--skip", "commands::cluster"]);
    // They need no other program, but a minute of killing and restarting nodes.
    tests.args(["--skip", "durability::", "--skip", "sqlite_kill::", "--skip", "spec::limits", "--skip", "spec::flow", "--skip", CALM]);
    report.tests("tests in Rust", &mut tests, BUILD, Counts::of_cargo);
    report.finish(false)
}

/// Tier 1. A failure stops nothing but what needs the failed part, so that one run shows everything.
pub fn all() -> ExitCode {
    let mut report = Report::default();
    if services::prepare(&mut report).is_none() {
        return report.finish(true);
    }
    let Some(browser) = clients::prepare(&mut report) else { return report.finish(true) };
    report.run("format", &mut cargo(&["fmt", "--all", "--check"]), FORMAT);
    report.run("clippy", &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]), BUILD);
    report.run("documentation", cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"), BUILD);

    // The same artifacts as the tests', node included: with other features or another profile all would be built twice.
    let mut build = cargo(&["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let Some(messages) = report.read("build", &mut build, BUILD) else { return report.finish(true) };
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast", "--", "--skip", CALM, "--skip", FAULTS]);
    report.tests("tests in Rust", &mut tests, TESTS, Counts::of_cargo);
    // By themselves: they measure times, and on a machine that other tests keep busy these say nothing.
    let mut faults = cargo(&["test", "--package", "footfall", "--test", "suite", "--", "--nocapture", CALM, FAULTS]);
    report.tests("faults of a cluster", &mut faults, TESTS, Counts::of_cargo);

    if let Some(node) = report.step("node binary", || node_binary(&messages)) {
        clients::run(&mut report, &node, &browser);
    }
    report.finish(true)
}

/// Builds the node, and where it is.
pub(crate) fn build_node(release: bool) -> anyhow::Result<PathBuf> {
    let mut build = cargo(&["build", "--package", "footfall", "--bin", "footfall", "--message-format=json-render-diagnostics"]);
    if release {
        build.arg("--release");
    }
    node_binary(&succeeded(&mut build, BUILD, false)?)
}

/// Where cargo put the node.
fn node_binary(messages: &[String]) -> anyhow::Result<PathBuf> {
    let found = messages.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_node =
            message["target"]["name"] == "footfall" && message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false;
        message["executable"].as_str().filter(|_| is_node).map(PathBuf::from)
    });
    found.ok_or_else(|| anyhow::anyhow!("cargo named no binary `footfall`"))
}
