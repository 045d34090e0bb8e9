//! What the binary can be told to do.

mod cluster;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use serde_json::{Map, Value};

use crate::auth::{Issuer, JwtAlgorithm, Key, KeySettings};
use crate::message::{HumanDuration, UserName};
use crate::node::Node;
use crate::settings::{Checked, Mode, Settings, environment};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// STOMP over WebSocket for Spring-style chat frontends.
#[derive(Debug, Parser)]
#[command(name = "footfall", version)]
pub struct Arguments {
    /// The settings; without it `footfall.toml`, or if there is none, what two tabs need to chat.
    #[arg(long, short, global = true, env = "FOOTFALL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node (what happens without a command).
    Run,
    /// Say what is wrong with the settings, with line and suggestion.
    Check {
        /// Ask Kafka, PostgreSQL and Redis too, and say what of them is not as the settings need it.
        #[arg(long)]
        connect: bool,
    },
    /// Kafka's topics.
    Topics {
        #[command(subcommand)]
        command: Topics,
    },
    /// Print a token that this broker accepts.
    Token {
        /// Whom it is for.
        #[arg(long)]
        user: String,
        /// A role; may be given several times.
        #[arg(long = "role")]
        roles: Vec<String>,
        /// A further claim as name=value, the value as JSON or else as text; may be given several times.
        #[arg(long = "claim", value_name = "NAME=VALUE")]
        claims: Vec<String>,
        /// How long it is good, as 30m or 12h.
        #[arg(long = "for", default_value = "12h", value_name = "DURATION")]
        lifetime: String,
    },
    /// Print the JSON Schema of the settings.
    Schema,
}

#[derive(Debug, Subcommand)]
enum Topics {
    /// Make the topics that are missing, as the settings say; what exists is not changed.
    Create,
    /// Accept the events topic as it is now, where it is not the one that the store was filled from: it was made anew, or
    /// is in another cluster. What was not stored by then is lost; numbering goes on.
    Adopt,
}

/// Does what was asked.
pub fn main(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => run(arguments.config.as_deref()),
        Command::Check { connect } => check(arguments.config.as_deref(), connect),
        Command::Topics { command: Topics::Create } => {
            cluster::create(&read(arguments.config.as_deref(), DevelopmentKey::ForNow)?.settings)
        }
        Command::Topics { command: Topics::Adopt } => cluster::adopt(&read(arguments.config.as_deref(), DevelopmentKey::ForNow)?.settings),
        Command::Token { user, roles, claims, lifetime } => token(arguments.config.as_deref(), &user, &roles, &claims, &lifetime),
        Command::Schema => print(&serde_json::to_string_pretty(&schemars::schema_for!(Settings))?),
    }
}

fn run(config: Option<&Path>) -> Result<ExitCode> {
    let checked = read(config, DevelopmentKey::Kept)?;
    telemetry::init(checked.settings.log.format, &checked.settings.log.filter).context("[log]")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended_well = runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.signals().context("signals can't be listened for")?;
        let (mode, path) = (checked.settings.mode, checked.settings.server.path.clone());
        let node = Node::start_checked(checked, Vec::new(), shutdown).await?;
        if mode == Mode::Development {
            greet(&node, &path)?;
        }
        Ok::<_, anyhow::Error>(node.run().await)
    })?;
    Ok(if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn greet(node: &Node, path: &str) -> Result<ExitCode> {
    let address = node.address();
    let port = address.port();
    print(&format!(
        "\nfootfall listens on {address} in development mode.\n\n\
         \x20 Chat and console   http://localhost:{port}/            (open it in two tabs)\n\
         \x20 STOMP              ws://localhost:{port}{path}\n\
         \x20 A token            footfall token --user alice\n\
         \x20                    or POST http://localhost:{port}/dev/token  {{\"user\":\"alice\"}}\n\n\
         \x20 Anyone on this machine can have a token. For anything else write a footfall.toml with your own key.\n"
    ))
}

fn check(config: Option<&Path>, connect: bool) -> Result<ExitCode> {
    let settings = read(config, DevelopmentKey::ForNow)?.settings;
    let (mode, destinations, applications) = (settings.mode, settings.destinations.len(), settings.applications.len());
    print(&format!("The settings are good: {mode:?} mode, {destinations} destinations, {applications} applications."))?;
    for warning in cluster::warnings(&settings) {
        print(&format!("warning: {warning}"))?;
    }
    if connect { cluster::check(&settings) } else { Ok(ExitCode::SUCCESS) }
}

fn token(config: Option<&Path>, user: &str, roles: &[String], claims: &[String], lifetime: &str) -> Result<ExitCode> {
    let settings = read(config, DevelopmentKey::Kept)?.settings;
    let user = UserName::new(user)?;
    let lifetime: HumanDuration = lifetime.parse()?;
    let mut extra = Map::new();
    for claim in claims {
        let Some((name, value)) = claim.split_once('=') else { bail!("--claim is name=value, and `{claim}` has no =") };
        extra.insert(name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)));
    }
    let now_s = SystemTime::UNIX_EPOCH.elapsed().context("the clock stands before 1970")?.as_secs();
    print(&Issuer::new(&settings.auth)?.issue(&user, roles, extra, lifetime.0, now_s)?)
}

/// What becomes of the key that development mode makes for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DevelopmentKey {
    /// A file holds it, so that tokens outlive a restart.
    Kept,
    /// If there is no file yet, none is made: who only looks changes nothing.
    ForNow,
}

fn read(config: Option<&Path>, key: DevelopmentKey) -> Result<Checked> {
    let (mut settings, written) = Settings::read(config, environment())?;
    if settings.mode == Mode::Development && settings.auth.keys.is_empty() {
        settings.auth.keys.push(development_key(&settings, key)?);
    }
    Ok(written.check(settings)?)
}

fn development_key(settings: &Settings, key: DevelopmentKey) -> Result<KeySettings> {
    let path = settings.store.sqlite.path.with_file_name("development.key");
    let mut entry =
        KeySettings { kid: None, algorithms: vec![JwtAlgorithm::HS256], secret: None, secret_file: None, public_key_file: None };
    if !path.exists() {
        let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        if key == DevelopmentKey::ForNow {
            entry.secret = Some(secret.into());
            return Ok(entry);
        }
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(directory).with_context(|| format!("{} can't be made", directory.display()))?;
        write_private(&path, format!("{secret}\n").as_bytes()).with_context(|| format!("{} can't be written", path.display()))?;
    }
    entry.secret_file = Some(path.clone());
    // No settings name this file, so no place in them could.
    Key::load(0, &entry)
        .map_err(|error| anyhow!("{}: {} Remove it, and the next start makes a new one.", path.display(), error.parts().1))?;
    Ok(entry)
}

/// Readable by its owner only from its first byte on.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all()),
        // Two first starts at once: the other one's key is as good.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn print(text: &str) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}") {
        // Whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
