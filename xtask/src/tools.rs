//! Programs that tests need besides Rust: looked for, else installed, else a sentence about what to install.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::command::{chosen_browser, command};
use crate::report::succeeded;

const INSTALL: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_secs(20);

/// What the client suites are written for.
const NODE_MAJOR: u32 = 20;

/// Node and npm. Answers nothing: they are called by name.
pub(crate) fn node() -> anyhow::Result<()> {
    provided(&["node"], &["nodejs", "npm"])?;
    provided(&["npm"], &["npm"])?;
    let version = succeeded(&mut command("node", &["--version"]), LOOK, false)?.join("");
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => bail!("Node {NODE_MAJOR} or newer is needed, and `node` is {version}; install a newer one (nodejs.org) and try again"),
    }
}

/// The path of a browser.
pub(crate) fn browser() -> anyhow::Result<String> {
    match chosen_browser() {
        Some(path) => Ok(path),
        None => provided(&["chromium-headless-shell", "chromium", "google-chrome"], &["chromium-headless-shell"]),
    }
}

/// The path of the first of these programs that is there, or is once the packages are installed.
fn provided(programs: &[&str], packages: &[&str]) -> anyhow::Result<String> {
    if let Some(path) = programs.iter().find_map(|program| look(program)) {
        return Ok(path);
    }
    let names = packages.join(" ");
    install(packages).with_context(|| format!("`{}` is needed and could not be installed; install {names} and try again", programs[0]))?;
    let found = programs.iter().find_map(|program| look(program));
    found.with_context(|| format!("`{}` is needed, and still not there after installing {names}", programs[0]))
}

fn look(program: &str) -> Option<String> {
    let found = succeeded(&mut command("sh", &["-c", "command -v \"$0\"", program]), LOOK, false).ok()?;
    found.into_iter().next().filter(|path| path.starts_with('/'))
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    if look("apt-get").is_none() {
        bail!("this is no Debian, so it is not known how");
    }
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let is_root = succeeded(&mut command("id", &["-u"]), LOOK, false)?.join("") == "0";
    let mut apt: Command = match (is_root, look("sudo")) {
        (true, _) => command("apt-get", &[]),
        // Never asks: there may be nobody to answer.
        (false, Some(_)) => command("sudo", &["-n", "apt-get"]),
        (false, None) => bail!("apt-get needs root, and there is no sudo"),
    };
    // Another installation may be under way; it is waited for.
    apt.args(["-o", "DPkg::Lock::Timeout=180"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    succeeded(&mut apt, INSTALL, true).map(drop)
}
