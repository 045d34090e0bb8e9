//! Kafka, one node or several, each a broker and a controller in one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use super::jars::{self, Archive, Jars};
use super::kafka_properties::{Member, Quorum};
use super::port::Port;
use super::server::{Ending, Launch, Plan, Ready, Server};
use crate::command::command;
use crate::report::succeeded;

/// Two lines at a start, and the one that says it is ready.
const QUIET: [&str; 2] =
    ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info"];
/// Tools log without end otherwise.
const SILENT: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
/// Starts soon and needs little; its code is never compiled well.
const SMALL: [&str; 4] = ["-Xms32m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// Kafka's own defaults, about: for whoever measures what stands on it.
const FULL: [&str; 4] = ["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

/// A Java program on a busy machine.
const TOOL: Duration = Duration::from_mins(2);

/// The last node of several can't hand over to anyone, and would try for longer.
const ENDS: Duration = Duration::from_secs(10);
const WRITES_ARCHIVE: Duration = Duration::from_mins(2);

/// A Kafka cluster.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Server>,
    jars: Jars,
    /// Held, since the nodes find each other by them.
    _controllers: Vec<Port>,
}

impl Kafka {
    /// A node for each port, with fresh storage. `properties` are for all nodes, over defaults made for tests: replication
    /// as the number of nodes allows, no delay before a group's first balance, little memory.
    pub fn new(folder: &Path, ports: Vec<Port>, properties: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::with(folder, ports, properties, jars::kafka()?, &SMALL)
    }

    /// The same with a Java machine as in production.
    pub fn measured(folder: &Path, ports: Vec<Port>, properties: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::with(folder, ports, properties, jars::kafka()?, &FULL)
    }

    /// For once, to see what it loads.
    pub(super) fn small(folder: &Path, ports: Vec<Port>, properties: &[(&str, &str)], jars: Jars) -> anyhow::Result<Self> {
        Self::with(folder, ports, properties, jars, &SMALL)
    }

    fn with(folder: &Path, ports: Vec<Port>, properties: &[(&str, &str)], jars: Jars, machine: &[&str]) -> anyhow::Result<Self> {
        ensure!(!ports.is_empty(), "a Kafka cluster has at least one node");
        let controllers = ports.iter().map(|_| Port::free()).collect::<anyhow::Result<Vec<_>>>()?;
        let quorum = Quorum::new(&controllers);
        let mut nodes = Vec::with_capacity(ports.len());
        for ((port, controller), id) in ports.into_iter().zip(&controllers).zip(1..) {
            let folder = folder.join(format!("kafka-{id}"));
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            let member = Member { id, broker: port.address(), controller: controller.address() };
            fs::write(folder.join("server.properties"), quorum.properties(&member, properties))?;
            nodes.push(node(id, folder, port, &jars, machine));
        }
        let format = ["kafka.tools.StorageTool", "format", "-c", "server.properties", "-t", &quorum.cluster];
        let formats = each(&nodes, |node| {
            let mut format = java(&jars, SILENT, &format, node.folder());
            succeeded(format.args(["--initial-controllers", &quorum.initial_controllers]), TOOL, false)
        });
        for format in formats {
            format.context("Kafka's storage could not be made")?;
        }
        Ok(Self { nodes, jars, _controllers: controllers })
    }

    /// Starts all nodes and waits for each: one alone has no quorum and never gets ready.
    pub fn start(&self) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(Server::launch)?;
        self.nodes.iter().try_for_each(Server::wait_until_ready)
    }

    /// Stops all nodes at once. The last of several may have to be killed, since it can't hand over to anyone.
    pub fn stop(&self) -> anyhow::Result<Vec<Ending>> {
        each(&self.nodes, Server::stop).into_iter().collect()
    }

    pub fn kill(&self) -> anyhow::Result<()> {
        each(&self.nodes, Server::kill).into_iter().collect()
    }

    /// One of them by its `node.id`, from 1 on.
    pub fn node(&self, id: usize) -> anyhow::Result<&Server> {
        id.checked_sub(1).and_then(|index| self.nodes.get(index)).with_context(|| format!("there is no Kafka node {id}"))
    }

    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// What clients take for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.nodes.iter().map(|node| node.address().to_string()).collect::<Vec<_>>().join(",")
    }

    /// `kafka-topics.sh` with these arguments; its output.
    pub fn topics(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        self.tool("org.apache.kafka.tools.TopicCommand", arguments)
    }

    /// `kafka-consumer-groups.sh` with these arguments; its output.
    pub fn consumer_groups(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", arguments)
    }

    /// Runs one of Kafka's own tools by its class, with `--bootstrap-server` and these arguments; its output.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let folder = self.nodes.first().map(Server::folder).context("a Kafka cluster has at least one node")?;
        let mut tool = java(&self.jars, SILENT, &[class, "--bootstrap-server", &self.bootstrap_servers()], folder);
        succeeded(tool.args(arguments), TOOL, false).with_context(|| class.to_owned())
    }
}

fn node(id: usize, folder: PathBuf, port: Port, jars: &Jars, machine: &[&str]) -> Server {
    let options = machine.iter().copied().chain(QUIET).map(str::to_owned);
    let (archive, ends_within) = match &jars.archive {
        Archive::Make(path) => (vec![format!("-XX:ArchiveClassesAtExit={}", path.display())], WRITES_ARCHIVE),
        Archive::Use(_) | Archive::None => (jars.archive_options(), ENDS),
    };
    let rest = ["-cp", &jars.class_path, "kafka.Kafka", "server.properties"].map(str::to_owned);
    Server::new(Plan {
        name: format!("kafka-{id}"),
        folder,
        port,
        launch: Launch { program: jars.java.clone(), arguments: options.chain(archive).chain(rest).collect(), ..Launch::default() },
        // In KRaft after the broker was unfenced, so that a client can work at once.
        ready: Ready::Logs("Kafka Server started"),
        ready_within: Duration::from_mins(2),
        polite: "TERM",
        ends_within,
    })
}

fn java(jars: &Jars, log: &str, arguments: &[&str], folder: &Path) -> std::process::Command {
    let mut java = command(&jars.java.to_string_lossy(), &SMALL);
    java.arg(log).args(jars.archive_options()).args(["-cp", &jars.class_path]).args(arguments).current_dir(folder);
    java
}

/// The same with all nodes at the same time.
fn each<T: Send>(nodes: &[Server], work: impl Fn(&Server) -> anyhow::Result<T> + Sync) -> Vec<anyhow::Result<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(|| work(node))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))).collect()
    })
}
