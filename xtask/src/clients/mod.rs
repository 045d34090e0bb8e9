//! Real clients against real nodes: each folder of `tests/clients` with a `package.json` is a suite.
//!
//! A suite is run by `npm test` (`node --test`), with a node of its own, whose settings are the suite's `footfall.toml` or
//! else the one that suites share: `FOOTFALL_URL` is its base URL, `FOOTFALL_DATA`
//! the folder it runs in, `FOOTFALL_BIN` the binary for suites that start more nodes, `CHROMIUM` a browser. The suite
//! `ON_CLUSTER` has a whole cluster instead; its README says what it is told of that.

mod place;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::command::command;
use crate::counts::Counts;
use crate::report::Report;
use crate::test::build_node;
use crate::{root, services, tools};
use place::Place;

/// The suite that runs on what `deploy/compose.yaml` describes.
const ON_CLUSTER: &str = "scenarios";

const PACKAGES: Duration = Duration::from_mins(5);
const SUITE: Duration = Duration::from_mins(10);

/// `cargo xtask clients`: some suites by their names, or all.
pub fn some(names: &[String]) -> ExitCode {
    let mut report = Report::default();
    let needs_cluster = names.is_empty() || names.iter().any(|name| name == ON_CLUSTER);
    if needs_cluster && services::prepare(&mut report).is_none() {
        return report.finish(true);
    }
    let Some(browser) = prepare(&mut report) else { return report.finish(true) };
    let Some(binary) = report.step("node binary", || build_node(false)) else { return report.finish(true) };
    if let Some(suites) = report.step("the client suites", || named(suites()?, names)) {
        run_each(&mut report, &suites, &binary, &browser);
    }
    report.finish(true)
}

/// Node and a browser. First of all, because the build of the node needs Node as well, for its page.
pub(crate) fn prepare(report: &mut Report) -> Option<String> {
    report.step("what the page and the clients need", || {
        tools::node()?;
        tools::browser()
    })
}

pub(crate) fn run(report: &mut Report, binary: &Path, browser: &str) {
    if let Some(suites) = report.step("the client suites", suites) {
        run_each(report, &suites, binary, browser);
    }
}

fn run_each(report: &mut Report, suites: &[PathBuf], binary: &Path, browser: &str) {
    for suite in suites {
        let name = name(suite);
        let mut npm = command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
        if report.run(&format!("packages of {name}"), npm.current_dir(suite), PACKAGES).is_none() {
            continue;
        }
        let what = if name == ON_CLUSTER { "cluster" } else { "node" };
        let start = || if name == ON_CLUSTER { Place::cluster(binary) } else { Place::node(binary, &settings(suite)) };
        let Some(place) = report.step(&format!("a {what} for {name}"), start) else { continue };
        let mut test = command("npm", &["test"]);
        test.current_dir(suite).envs(place.environment()).env("FOOTFALL_BIN", binary).env("CHROMIUM", browser);
        if !report.tests(&format!("client {name}"), &mut test, SUITE, Counts::of_node) {
            place.show_logs();
        }
        report.step(&format!("the {what} of {name} stops"), || place.stop());
    }
}

fn folder() -> PathBuf {
    root().join("tests/clients")
}

fn name(suite: &Path) -> String {
    suite.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn settings(suite: &Path) -> PathBuf {
    let own = suite.join("footfall.toml");
    if own.is_file() { own } else { folder().join("footfall.toml") }
}

fn suites() -> anyhow::Result<Vec<PathBuf>> {
    let folder = folder();
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut suites = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    suites.retain(|path| path.join("package.json").is_file());
    suites.sort();
    ensure!(!suites.is_empty(), "there is no client suite in {}", folder.display());
    Ok(suites)
}

/// Those with these names, or all. A name that is none would look like a suite that passes.
fn named(mut suites: Vec<PathBuf>, names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let known: Vec<String> = suites.iter().map(|suite| name(suite)).collect();
    for wanted in names {
        ensure!(known.contains(wanted), "there is no client suite `{wanted}`, only {}", known.join(", "));
    }
    suites.retain(|suite| names.is_empty() || names.contains(&name(suite)));
    Ok(suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_their_names() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            named(suites().unwrap(), &wanted).map(|suites| suites.iter().map(|suite| name(suite)).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["page", "scenarios", "stompjs"]);
        assert_eq!(names(&["stompjs", ON_CLUSTER]).unwrap(), [ON_CLUSTER, "stompjs"]);
        let error = names(&["stomp"]).unwrap_err().to_string();
        assert!(error.contains("`stomp`, only page"), "{error}");
    }
}
