//! `cargo xtask cluster`: a cluster for people, until Ctrl-C.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::root;
use crate::services::scratch;
use crate::test::build_node;

use super::logs::Follower;
use super::{Cluster, Options, Published};

/// The file's names for the passwords of the database and of Redis.
const PASSWORDS: [&str; 2] = ["POSTGRES_PASSWORD", "REDIS_PASSWORD"];
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Builds the node, starts everything, and stops it when it is asked to.
pub fn run(nodes: Option<usize>, settings: Option<PathBuf>, release: bool) -> ExitCode {
    match all(nodes, settings, release) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(nodes: Option<usize>, settings: Option<PathBuf>, release: bool) -> anyhow::Result<()> {
    let binary = build_node(release)?;
    let folder = scratch()?;
    let mut options = Options::new(binary);
    options.nodes = nodes;
    options.settings = settings.map(fs::canonicalize).transpose().context("the settings")?;
    options.measured = release;
    options.variables = variables()?.into_iter().collect();
    let made_up = PASSWORDS.map(|name| options.variables.get(name).is_none_or(String::is_empty));
    options.folder = Some(folder.path().to_owned());
    options.ports = Published::AsWritten;
    // For people, whatever machines are to read.
    for service in ["node", "topics"] {
        options.environment.push((service.to_owned(), "FOOTFALL_LOG__FORMAT".to_owned(), "text".to_owned()));
    }
    let mut logs = Follower::new(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut asked = Asked::new()?;
        let Some(cluster) = started(options, &mut asked, &mut logs).await? else { return Ok(()) };
        say(&cluster, made_up)?;
        let mut known = BTreeSet::new();
        while !asked.within(BETWEEN_LOOKS).await {
            show(&mut logs);
            for (server, status) in cluster.ended() {
                if known.insert(server.name().to_owned()) {
                    println!("== {} ended by itself, with {status}", server.name());
                }
            }
        }
        println!("\n== stopping");
        stopped(cluster, &mut asked, &mut logs).await
    })
}

/// The cluster, or none if it was asked to stop before there was one.
async fn started(options: Options, asked: &mut Asked, logs: &mut Follower) -> anyhow::Result<Option<Cluster>> {
    let starting = thread::spawn(move || Cluster::start(&options));
    while !starting.is_finished() {
        if asked.within(BETWEEN_LOOKS).await {
            // What has started is ended by its guards.
            println!("\n== stopped before everything had started");
            return Ok(None);
        }
        show(logs);
    }
    show(logs);
    starting.join().map_err(|_| anyhow!("the thread that starts the cluster panicked"))?.map(Some)
}

async fn stopped(cluster: Cluster, asked: &mut Asked, logs: &mut Follower) -> anyhow::Result<()> {
    let cluster = Arc::new(cluster);
    let stopping = thread::spawn({
        let cluster = Arc::clone(&cluster);
        move || cluster.stop()
    });
    while !stopping.is_finished() {
        if asked.within(BETWEEN_LOOKS).await {
            println!("== asked again: the rest is killed");
            return Ok(());
        }
        show(logs);
    }
    show(logs);
    stopping.join().map_err(|_| anyhow!("the thread that stops the cluster panicked"))??;
    println!("== all stopped");
    Ok(())
}

/// A password that somebody chose is not shown.
fn say(cluster: &Cluster, made_up: [bool; 2]) -> anyhow::Result<()> {
    let token = cluster.footfall(&["token", "--user", "alice"])?.join("");
    let kafka = cluster.kafka().bootstrap_servers();
    let database = format!("postgres://{}/{}", cluster.postgres().address(), cluster.database());
    println!("\n== ready\n");
    println!("   nginx            http://{0}/ and ws://{0}/ws", cluster.nginx().address());
    for node in cluster.nodes() {
        println!("   {:<16} http://{}", node.name(), node.address());
    }
    println!("   Kafka            {kafka}");
    println!("   PostgreSQL       {}", if made_up[0] { cluster.database_url() } else { database });
    let redis = cluster.redis();
    println!("   Redis            {}", if made_up[1] { redis.url() } else { format!("redis://{}/", redis.address()) });
    println!("   a token          {token}");
    println!("   folders          {}\n", cluster.folder().display());
    println!("   Ctrl-C stops everything.\n");
    Ok(())
}

fn show(logs: &mut Follower) {
    for (name, line) in logs.lines() {
        println!("{name:<16} | {line}");
    }
}

/// Ctrl-C, or SIGTERM.
struct Asked {
    interrupt: Signal,
    terminate: Signal,
}

impl Asked {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals can't be listened for");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn within(&mut self, time: Duration) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

/// As compose has them: `.env` beside the file, and the environment, which wins.
fn variables() -> anyhow::Result<Vec<(String, String)>> {
    let file = root().join("deploy/.env");
    let text = if file.exists() { fs::read_to_string(&file).with_context(|| file.display().to_string())? } else { String::new() };
    let mut variables = from_file(&text)?;
    #[expect(clippy::disallowed_methods, reason = "the variables of a compose file come from here")]
    let environment = std::env::vars_os();
    variables.extend(environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))));
    Ok(variables)
}

fn from_file(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let pair = |(line, number): (&str, usize)| {
        // The line itself may be a secret.
        let (name, value) = line.split_once('=').with_context(|| format!(".env, line {number}: it is not NAME=value"))?;
        Ok((name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read() {
        let read = from_file("# x\n\nA=1\nB = \"two words\"\nC=\n#D=4\nE=a=b\n").unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("A", "1"), ("B", "two words"), ("C", ""), ("E", "a=b")]);
        let error = from_file("A=1\nsecret\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
