//! Real clients against a real node: each folder of `tests/clients` with a `package.json` is a suite.
//!
//! A suite is run by `npm test` (`node --test`), with a node of its own, whose settings are the suite's `footfall.toml` or
//! else the one that suites share: `FOOTFALL_URL` is its base URL, `FOOTFALL_DATA`
//! the folder it runs in, `FOOTFALL_BIN` the binary for suites that start more nodes, `CHROMIUM` a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::command::command;
use crate::counts::Counts;
use crate::node::Node;
use crate::report::Report;
use crate::{root, tools};

const PACKAGES: Duration = Duration::from_mins(5);
const SUITE: Duration = Duration::from_mins(10);

/// Node and a browser. First of all, because the build of the node needs Node as well, for its page.
pub(crate) fn prepare(report: &mut Report) -> Option<String> {
    report.step("what the page and the clients need", || {
        tools::node()?;
        tools::browser()
    })
}

pub(crate) fn run(report: &mut Report, binary: &Path, browser: &str) {
    let folder = root().join("tests/clients");
    let Some(suites) = report.step("the client suites", || suites(&folder)) else { return };
    for suite in suites {
        let name = suite.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut npm = command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
        if report.run(&format!("packages of {name}"), npm.current_dir(&suite), PACKAGES).is_none() {
            continue;
        }
        let own = suite.join("footfall.toml");
        let settings = if own.is_file() { own } else { folder.join("footfall.toml") };
        let Some(node) = report.step(&format!("a node for {name}"), || Node::start(binary, &settings)) else {
            continue;
        };
        let mut test = command("npm", &["test"]);
        test.current_dir(&suite).env("FOOTFALL_URL", node.url()).env("FOOTFALL_DATA", node.folder());
        test.env("FOOTFALL_BIN", binary).env("CHROMIUM", browser);
        if !report.tests(&format!("client {name}"), &mut test, SUITE, Counts::of_node) {
            node.show_log();
        }
        report.step(&format!("the node of {name} stops"), || node.stop());
    }
}

fn suites(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut suites = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    suites.retain(|path| path.join("package.json").is_file());
    suites.sort();
    ensure!(!suites.is_empty(), "there is no client suite in {}", folder.display());
    Ok(suites)
}
