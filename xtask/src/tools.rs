//! Programs that tests need besides Rust: looked for, else installed, else a sentence about what to install.

use std::fs;
use std::path::{Path, PathBuf};
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

/// A server's program: how it is found, and the package that has it.
struct Program {
    name: &'static str,
    find: fn() -> Option<PathBuf>,
    package: &'static str,
}

/// What Kafka 4 needs.
const JAVA_MAJOR: u32 = 17;

/// Debian's default is 17 or newer since Debian 12.
const JAVA: Program = Program { name: "java 17 or newer", find: find_java, package: "default-jre-headless" };
const MAVEN: Program = Program { name: "mvn", find: || find("mvn"), package: "maven" };
const POSTGRES: Program = Program { name: "postgres", find: find_postgres, package: "postgresql" };
const NGINX: Program = Program { name: "nginx", find: || find("nginx"), package: "nginx-light" };
const REDIS: Program = Program { name: "redis-server", find: || find("redis-server"), package: "redis-server" };

/// All programs that the servers for tests need, with one installation for all that is missing.
pub(crate) fn servers() -> anyhow::Result<()> {
    provide(&[&JAVA, &MAVEN, &POSTGRES, &NGINX, &REDIS]).map(drop)
}

pub(crate) fn java() -> anyhow::Result<PathBuf> {
    provide_one(&JAVA)
}

pub(crate) fn maven() -> anyhow::Result<PathBuf> {
    provide_one(&MAVEN)
}

/// The folder of PostgreSQL's programs; the package does not put them on the path.
pub(crate) fn postgres() -> anyhow::Result<PathBuf> {
    provide_one(&POSTGRES)
}

pub(crate) fn nginx() -> anyhow::Result<PathBuf> {
    provide_one(&NGINX)
}

pub(crate) fn redis() -> anyhow::Result<PathBuf> {
    provide_one(&REDIS)
}

fn provide_one(program: &Program) -> anyhow::Result<PathBuf> {
    provide(&[program])?.pop().context("nothing was looked for")
}

fn provide(programs: &[&Program]) -> anyhow::Result<Vec<PathBuf>> {
    let missing: Vec<&Program> = programs.iter().copied().filter(|program| (program.find)().is_none()).collect();
    if !missing.is_empty() {
        let names = missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
        let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
        let advice = || format!("{names}: needed, and could not be installed; install {} and try again", packages.join(" "));
        install(&packages).with_context(advice)?;
    }
    let found = programs.iter().map(|program| {
        (program.find)().with_context(|| format!("{} is needed, and still not there after installing {}", program.name, program.package))
    });
    found.collect()
}

/// Daemons may be where only root's path leads.
fn find(program: &str) -> Option<PathBuf> {
    let daemon = || Some(Path::new("/usr/sbin").join(program)).filter(|path| path.is_file());
    look(program).map(PathBuf::from).or_else(daemon)
}

fn find_java() -> Option<PathBuf> {
    let others = below("/usr/lib/jvm", "bin/java");
    find("java").into_iter().chain(others).find(|java| java_major(java).is_some_and(|major| major >= JAVA_MAJOR))
}

fn java_major(java: &Path) -> Option<u32> {
    // On standard error: `openjdk version "17.0.15" 2025-04-15`, and `"1.8.0"` for 8.
    let output = command(&java.to_string_lossy(), &["-version"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

fn find_postgres() -> Option<PathBuf> {
    // The newest of several.
    let newest = below("/usr/lib/postgresql", "bin/postgres").into_iter().max_by_key(|path| version_in(path));
    newest.or_else(|| find("postgres")).and_then(|path| path.parent().map(Path::to_owned))
}

/// The number of `/usr/lib/postgresql/15/bin/postgres`.
fn version_in(path: &Path) -> u32 {
    path.iter().find_map(|part| part.to_str()?.parse().ok()).unwrap_or(0)
}

/// `folder/*/file`, where it is there.
fn below(folder: &str, file: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    folders.map(|entry| entry.path().join(file)).filter(|path| path.is_file()).collect()
}

/// User and group of an account.
pub(crate) fn account(name: &str) -> anyhow::Result<(u32, u32)> {
    let id =
        |which: &str| -> anyhow::Result<u32> { Ok(succeeded(&mut command("id", &[which, name]), LOOK, false)?.concat().trim().parse()?) };
    Ok((id("-u")?, id("-g")?))
}

pub(crate) fn is_root() -> anyhow::Result<bool> {
    Ok(succeeded(&mut command("id", &["-u"]), LOOK, false)?.concat() == "0")
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
    let mut apt: Command = match (is_root()?, look("sudo")) {
        (true, _) => command("apt-get", &[]),
        // Never asks: there may be nobody to answer.
        (false, Some(_)) => command("sudo", &["-n", "apt-get"]),
        (false, None) => bail!("apt-get needs root, and there is no sudo"),
    };
    // Another installation may be under way; it is waited for. Archives of our own, since images that tidy up after apt
    // would take away the other's.
    let archives = tempfile::tempdir()?;
    fs::create_dir(archives.path().join("partial"))?;
    apt.arg("-o").arg(format!("Dir::Cache::archives={}", archives.path().display()));
    apt.args(["-o", "DPkg::Lock::Timeout=180"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    succeeded(&mut apt, INSTALL, true).map(drop)
}
