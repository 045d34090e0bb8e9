//! Kafka's jars: fetched by Maven once per target directory, whoever asks first and however it ends.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::command::{cargo, command};
use crate::report::succeeded;
use crate::tools;

use super::class_archive::with_archive;

/// The newest of which every artifact could be had.
const VERSION: &str = "4.3.1";

/// With an empty Maven repository and a slow network.
const FETCH: Duration = Duration::from_mins(10);
const LOOK: Duration = Duration::from_secs(30);

/// What is needed to run Kafka and its tools.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    pub(super) java: PathBuf,
    /// Each jar by name, in order: the class archive holds only for the same class path.
    pub(super) class_path: String,
    pub(super) archive: Archive,
}

/// Java's archive of the classes in the jars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Archive {
    None,
    Use(PathBuf),
    /// By a node, at its end.
    Make(PathBuf),
}

impl Jars {
    pub(super) fn archive_options(&self) -> Vec<String> {
        match &self.archive {
            Archive::Use(path) => {
                let file = format!("-XX:SharedArchiveFile={}", path.display());
                // One that does not fit is passed over without a word.
                vec![file, "-Xshare:auto".to_owned(), "-Xlog:cds=off".to_owned(), "-Xlog:cds+dynamic=off".to_owned()]
            }
            Archive::None | Archive::Make(_) => Vec::new(),
        }
    }
}

/// Fetches them unless they are there; who comes meanwhile waits.
pub(super) fn kafka() -> anyhow::Result<Jars> {
    let java = tools::java()?;
    let services = target_directory()?.join("services");
    let folder = services.join(format!("kafka-{VERSION}"));
    if !folder.is_dir() {
        fs::create_dir_all(&services).with_context(|| services.display().to_string())?;
        let lock = File::create(services.join("lock"))?;
        lock.lock()?;
        // Somebody else may have done it while we waited.
        if !folder.is_dir() {
            fetch(&folder)?;
        }
    }
    let jars = Jars { java, class_path: class_path(&folder)?, archive: Archive::None };
    Ok(with_archive(jars, &folder))
}

/// Into a folder of another name, which gets its own only when all is there. Under the lock.
fn fetch(folder: &Path) -> anyhow::Result<()> {
    let maven = tools::maven()?;
    let partial = folder.with_file_name(format!("kafka-{VERSION}-partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    fs::write(partial.join("pom.xml"), project())?;
    // `-U`: else a look-up that failed once is not tried again.
    let mut fetch = command(&maven.to_string_lossy(), &["-B", "-q", "-U", "-f", "pom.xml"]);
    fetch.arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies");
    fetch.args(["-DincludeScope=runtime", "-DoutputDirectory=lib"]).current_dir(&partial);
    succeeded(&mut fetch, FETCH, true).context("Kafka could not be fetched by Maven")?;
    class_path(&partial)?;
    fs::rename(&partial, folder)?;
    Ok(())
}

fn project() -> String {
    let dependency = |group: &str, artifact: &str, version: &str, more: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</dependency>\n"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", VERSION, ""),
        // Without what it brings for Connect: Jetty, Jersey and much more.
        dependency(
            "org.apache.kafka",
            "kafka-tools",
            VERSION,
            "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>",
        ),
        // As old as Kafka's own slf4j; without one there is no log.
        dependency("org.slf4j", "slf4j-simple", "1.7.36", ""),
    ];
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>footfall</groupId><artifactId>services</artifactId>\
         <version>1</version><packaging>pom</packaging>\n<dependencies>\n{}</dependencies></project>\n",
        dependencies.concat()
    )
}

fn class_path(folder: &Path) -> anyhow::Result<String> {
    let lib = folder.join("lib");
    let entries = fs::read_dir(&lib).with_context(|| lib.display().to_string())?;
    let mut jars = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    jars.sort();
    let has = |name: &str| jars.iter().any(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)));
    for name in ["kafka_2.13-", "kafka-tools-", "slf4j-simple-"] {
        ensure!(has(name), "{name}*.jar is not in {}; remove that folder and try again", lib.display());
    }
    let joined = jars.into_iter().map(PathBuf::into_os_string).collect::<Vec<OsString>>().join(":".as_ref());
    joined.into_string().ok().context("the path of the target directory is not UTF-8")
}

/// However it is configured.
fn target_directory() -> anyhow::Result<PathBuf> {
    let lines = succeeded(&mut cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]), LOOK, false)?;
    let metadata: serde_json::Value = serde_json::from_str(&lines.concat())?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo named no target directory")
}
