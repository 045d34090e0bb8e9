//! `cargo xtask image`: the build of `deploy/Dockerfile` without a container engine, in a folder that has only what the
//! image's build would have.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::command::command;
use crate::dockerfile::{Copy, Dockerfile};
use crate::report::{Report, succeeded};
use crate::root;

/// A release build from nothing on a busy machine.
const LIMIT: Duration = Duration::from_hours(1);
const COPY: Duration = Duration::from_mins(2);

/// What is about the image's own system. Here its counterpart must be there already: OpenSSL's headers, Node, npm.
const SYSTEM: [&str; 3] = ["apt-get ", "ln ", "useradd "];

/// Runs the commands of the stage `build`.
pub fn run() -> ExitCode {
    let mut report = Report::default();
    // Without a container nobody counts tests, so the steps are what is counted.
    let built = report.step("the image's build", build).is_some();
    println!("{} passed, {} failed", u8::from(built), u8::from(!built));
    if built { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn build() -> anyhow::Result<()> {
    let file = Dockerfile::read(&root().join("deploy/Dockerfile"))?;
    let stage = file.stage("build").context("deploy/Dockerfile has no stage `build`")?;
    println!("-- the stage `build`, for which {} is this machine", stage.base);
    let folder = tempfile::Builder::new().prefix("footfall-image-").tempdir()?;
    for copy in stage.copies()?.iter().filter(|copy| copy.from.is_none()) {
        take(copy, folder.path())?;
    }
    for line in stage.commands() {
        if SYSTEM.iter().any(|start| line.starts_with(start)) {
            println!("-- left out, since it is about the image's system: {line}");
            continue;
        }
        println!("-- {line}");
        let mut shell = command("sh", &["-c", line]);
        succeeded(in_image(&mut shell, folder.path()), LIMIT, true).with_context(|| line.to_owned())?;
    }
    let image = file.image()?;
    for copy in image.copies()? {
        for source in &copy.sources {
            // The stage builds in /build.
            let built = folder.path().join(source.trim_start_matches("/build/"));
            if !built.is_file() {
                bail!("COPY {source}: the build did not make it");
            }
        }
    }
    Ok(())
}

/// No target directory from outside, and the toolchain that the repository names: the image has one only.
fn in_image<'a>(shell: &'a mut Command, folder: &Path) -> &'a mut Command {
    shell.current_dir(folder).env_remove("CARGO_TARGET_DIR").env("CARGO_BUILD_TARGET_DIR", folder.join("target"))
}

fn take(copy: &Copy, folder: &Path) -> anyhow::Result<()> {
    for source in &copy.sources {
        let target = folder.join(&copy.target);
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        let mut cp = command("cp", &["-r", "--", source]);
        succeeded(cp.arg(&target), COPY, false)?;
    }
    Ok(())
}
