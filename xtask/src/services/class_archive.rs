//! Java's archive of Kafka's classes, which halves the time of each start; made by one run of Kafka, once.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::jars::{Archive, Jars};
use super::kafka::Kafka;
use super::port::Port;
use super::{Ending, scratch};
use crate::command::command;

/// Jars with an archive, which is made if there is none. Without one all works the same, so that nothing here fails.
pub(super) fn with_archive(jars: Jars, folder: &Path) -> Jars {
    let archive = made(&jars, folder);
    match archive {
        Ok(path) => Jars { archive: Archive::Use(path), ..jars },
        Err(error) => {
            println!("Kafka starts more slowly, without an archive of its classes: {error:#}");
            jars
        }
    }
}

fn made(jars: &Jars, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("classes-{:016x}.jsa", fingerprint(jars)?));
    if path.exists() {
        return Ok(path);
    }
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    if path.exists() {
        return Ok(path);
    }
    println!("making an archive of Kafka's classes, once");
    let partial = path.with_extension("partial");
    remove(&partial)?;
    if let Err(error) = make(jars, &partial) {
        // Java passes over an archive that is none, and nobody tries again each time.
        remove(&partial)?;
        File::create(&partial)?;
        println!("Kafka will start more slowly: {error:#}");
    }
    fs::rename(&partial, &path)?;
    Ok(path)
}

fn make(jars: &Jars, to: &Path) -> anyhow::Result<()> {
    let folder = scratch()?;
    let making = Jars { archive: Archive::Make(to.to_owned()), ..jars.clone() };
    let kafka = Kafka::small(folder.path(), vec![Port::free()?], &[], making)?;
    kafka.start()?;
    // So that what topics and groups need is in it too.
    kafka.topics(&["--create", "--topic", "classes"])?;
    kafka.consumer_groups(&["--list"])?;
    let endings = kafka.stop()?;
    ensure!(matches!(endings[..], [Ending::Polite(_)]) && to.is_file(), "Java wrote none at its end");
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    // Java's are read-only, so it can't just be written over.
    if file.exists() { fs::remove_file(file) } else { Ok(()) }
}

/// It holds for this Java and these jars only.
fn fingerprint(jars: &Jars) -> anyhow::Result<u64> {
    let version = command(&jars.java.to_string_lossy(), &["-version"]).output()?;
    let mut hasher = DefaultHasher::new();
    (&jars.java, &jars.class_path, version.stderr).hash(&mut hasher);
    Ok(hasher.finish())
}
