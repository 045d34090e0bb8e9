//! Builds the page that the node serves at `/` into `OUT_DIR/page`: `index.html`, `page.js` and `page.css`.
//!
//! A machine without Node, or without its packages, still builds the broker: the page then says what to do. Nothing is
//! written outside `OUT_DIR`, so the sources are copied and npm's cache is there too.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILES: [&str; 3] = ["index.html", "page.js", "page.css"];

/// What a developer's own npm and bundler leave in `page/`; none of it is a source.
const NOT_SOURCES: [&str; 2] = ["node_modules", "dist"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FOOTFALL_SKIP_PAGE");
    let sources = PathBuf::from(variable("CARGO_MANIFEST_DIR").ok_or("cargo names no folder")?).join("page");
    let out = PathBuf::from(variable("OUT_DIR").ok_or("cargo names no folder for results")?);

    let copied = out.join("page-src");
    let built = out.join("page");
    // A file that was deleted must not stay in the copy.
    clear(&copied)?;
    for entry in entries(&sources)? {
        println!("cargo:rerun-if-changed={}", entry.display());
        copy(&entry, &copied)?;
    }
    fs::create_dir_all(&built)?;
    let skip = variable("FOOTFALL_SKIP_PAGE").is_some_and(|value| !value.is_empty() && value != "0");
    let result = if skip { Err("FOOTFALL_SKIP_PAGE is set".to_owned()) } else { bundle(&copied, &built, &out) };
    if let Err(reason) = result {
        if !skip {
            println!("cargo:warning=the page at / was not built: {reason}");
            // A file that is never there: the next build tries again, by when Node or the network may be.
            println!("cargo:rerun-if-changed={}", out.join("page-not-built").display());
        }
        apologise(&built, &reason)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo talks to a build script")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What is in a folder of sources, in a steady order; nothing if there is no such folder.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = found.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    entries.retain(|path| !NOT_SOURCES.iter().any(|name| path.ends_with(name)));
    entries.sort();
    Ok(entries)
}

fn copy(from: &Path, into: &Path) -> std::io::Result<()> {
    let Some(name) = from.file_name() else { return Ok(()) };
    let to = into.join(name);
    fs::create_dir_all(into)?;
    if from.is_dir() {
        for entry in entries(from)? {
            copy(&entry, &to)?;
        }
        return Ok(());
    }
    fs::copy(from, to).map(drop)
}

/// Removes what was copied, but no packages.
fn clear(copied: &Path) -> std::io::Result<()> {
    for entry in entries(copied)? {
        if entry.is_dir() { fs::remove_dir_all(entry)? } else { fs::remove_file(entry)? }
    }
    Ok(())
}

fn bundle(sources: &Path, built: &Path, out: &Path) -> Result<(), String> {
    let lock = fs::read(sources.join("package-lock.json")).map_err(|_| "page/package-lock.json is missing".to_owned())?;
    // Packages of the same lock file are the same packages, so another build needs no network.
    let installed = out.join("page-packages");
    if fs::read(&installed).ok().as_ref() != Some(&lock) || !sources.join("node_modules").is_dir() {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]);
        // Offline it should give up soon; the defaults wait for minutes.
        npm.args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000", "--fetch-timeout=60000"]);
        npm.arg("--cache").arg(out.join("npm-cache"));
        run(npm.current_dir(sources), "npm ci")?;
        fs::write(&installed, &lock).map_err(|error| error.to_string())?;
    }
    let mut node = Command::new("node");
    run(node.arg("build.mjs").arg(built).current_dir(sources), "node build.mjs")?;
    match FILES.iter().find(|file| !built.join(file).is_file()) {
        Some(file) => Err(format!("node build.mjs made no {file}")),
        None => Ok(()),
    }
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            Err(format!("`{name}` failed: {}", first.trim()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(format!("`{name}` needs Node 20 or newer with npm, which is not installed"))
        }
        Err(error) => Err(format!("`{name}` did not start: {error}")),
    }
}

/// The broker without its page is a good broker; who opens `/` is told how to get the page.
fn apologise(built: &Path, reason: &str) -> std::io::Result<()> {
    let reason = reason.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>footfall</title>\n<h1>footfall is running, but without its page</h1>\n\
         <p>The page was not built with it: {reason}.</p>\n\
         <p>To get it, install Node 20 or newer with npm, be online, and build again. \
         STOMP clients are not affected.</p>\n</html>\n"
    );
    for (file, text) in FILES.iter().zip([page.as_str(), "", ""]) {
        fs::write(built.join(file), text)?;
    }
    Ok(())
}
