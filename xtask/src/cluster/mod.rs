//! What `deploy/compose.yaml` describes, as local processes: the tests' cluster, and `cargo xtask cluster`.
//!
//! The file itself is under test: what is in it and has no meaning here is an error. All calls block, as in [`services`].
//!
//! [`services`]: crate::services

mod addresses;
mod build;
mod command;
mod compose;
mod images;
mod logs;
mod options;
mod plan;
mod variables;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::report::succeeded;
use crate::services::server::Launch;
use crate::services::{Ending, Kafka, Nginx, Port, Postgres, Redis, Server};

pub use command::run;
pub use options::{Options, Published};

/// A command of footfall's that ends, such as `topics create`.
const JOB: Duration = Duration::from_mins(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A running cluster. What is left of it when it is dropped is killed.
pub struct Cluster {
    // Fields are dropped from the first to the last: who needs others goes before them.
    nginx: Nginx,
    nodes: Vec<Server>,
    /// Of the nodes, if the file has them.
    metrics: Vec<Port>,
    jobs: Vec<Server>,
    kafka: Kafka,
    postgres: Postgres,
    redis: Redis,
    /// What starts together.
    waves: Vec<Vec<Part>>,
    database: String,
    /// Starts a node; with other arguments, another command of the same settings.
    launch: Launch,
    folder: PathBuf,
    /// The secret that tokens are signed with.
    secret: String,
    _temporary: Option<TempDir>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Kafka,
    Postgres,
    Redis,
    Nodes,
    Nginx,
    Job(usize),
}

impl fmt::Debug for Cluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the nodes are started with holds secrets.
        out.debug_struct("Cluster").field("folder", &self.folder).field("waves", &self.waves).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts what `deploy/compose.yaml` says and waits until all of it is healthy.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let cluster = build::build(options)?;
        for wave in &cluster.waves {
            let parts: Vec<&Part> = wave.iter().collect();
            at_once(&parts, |part| cluster.start_part(*part)).into_iter().collect::<anyhow::Result<()>>()?;
        }
        Ok(cluster)
    }

    /// The node `footfall-node-<number>`, from 1 on.
    pub fn node(&self, number: usize) -> anyhow::Result<&Server> {
        let count = self.nodes.len();
        number.checked_sub(1).and_then(|index| self.nodes.get(index)).with_context(|| format!("there is no node {number} of {count}"))
    }

    /// All nodes; the first is number 1.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Where each node tells its metrics, if the file has a port for them.
    pub fn metrics(&self) -> Vec<SocketAddr> {
        self.metrics.iter().map(Port::address).collect()
    }

    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    pub fn nginx(&self) -> &Nginx {
        &self.nginx
    }

    /// The name of footfall's database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// With the database's name and password.
    pub fn database_url(&self) -> String {
        self.postgres.url(&self.database)
    }

    /// The HS256 secret of tokens.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// A folder for each process, with its log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs footfall with other arguments and a node's settings and environment, as `["token", "--user", "alice"]`; what it
    /// prints.
    pub fn footfall(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let launch =
            Launch { program: self.launch.program.clone(), arguments, environment: self.launch.environment.clone(), ..Launch::default() };
        succeeded(&mut launch.command(&self.folder), JOB, false)
    }

    /// Every process, in the order in which they were started.
    pub fn servers(&self) -> Vec<&Server> {
        self.waves.iter().flatten().flat_map(|&part| self.servers_of(part)).collect()
    }

    /// Those that were not asked to end and did.
    pub fn ended(&self) -> Vec<(&Server, ExitStatus)> {
        let jobs = |server: &Server| self.jobs.iter().any(|job| job.name() == server.name());
        self.servers().into_iter().filter(|server| !jobs(server)).filter_map(|server| Some((server, server.ended()?))).collect()
    }

    /// Stops everything politely, from the last that was started to the first. What ended by itself, had to be killed or
    /// panicked is an error, but only once all are stopped.
    pub fn stop(&self) -> anyhow::Result<()> {
        let mut problems: Vec<String> =
            self.ended().into_iter().map(|(server, status)| format!("{} had ended by itself, with {status}", server.name())).collect();
        for wave in self.waves.iter().rev() {
            let servers: Vec<&Server> = wave.iter().flat_map(|&part| self.servers_of(part)).collect();
            problems
                .extend(at_once(&servers, |server| self.stopped(server)).into_iter().filter_map(|result| Some(result.err()?.to_string())));
        }
        ensure!(problems.is_empty(), "{}", problems.join("; "));
        Ok(())
    }

    fn stopped(&self, server: &Server) -> anyhow::Result<()> {
        let is_node = self.nodes.iter().any(|node| node.name() == server.name());
        let name = server.name();
        match server.stop()? {
            Ending::Polite(status) if is_node => ensure!(status.success(), "{name} answered the request to end with {status}"),
            Ending::Killed => bail!("{name} did not end when it was asked to"),
            Ending::Polite(_) | Ending::Before => {}
        }
        let log = std::fs::read_to_string(server.log()).unwrap_or_default();
        // A task's panic is caught, so the process itself would not tell.
        ensure!(!is_node || !(log.contains("panic: ") || log.contains("panicked at")), "{name} panicked; see its log");
        Ok(())
    }

    /// Prints the end of each log, for a test that failed.
    pub fn show_logs(&self) {
        for server in self.servers() {
            println!("-- the end of {}'s log", server.name());
            for line in server.last_lines().lines() {
                println!("{} | {line}", server.name());
            }
        }
    }

    fn servers_of(&self, part: Part) -> Vec<&Server> {
        match part {
            Part::Kafka => self.kafka.nodes().iter().collect(),
            Part::Postgres => vec![&self.postgres],
            Part::Redis => vec![&self.redis],
            Part::Nodes => self.nodes.iter().collect(),
            Part::Nginx => vec![&self.nginx],
            Part::Job(index) => self.jobs.get(index).into_iter().collect(),
        }
    }

    fn start_part(&self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Kafka => self.kafka.start(),
            Part::Postgres => self.start_database(),
            Part::Redis => self.redis.start(),
            Part::Nodes => {
                self.nodes.iter().try_for_each(Server::launch)?;
                self.nodes.iter().try_for_each(Server::wait_until_ready)
            }
            Part::Nginx => self.nginx.start(),
            Part::Job(index) => self.jobs.get(index).map_or(Ok(()), complete),
        }
    }

    /// The image makes the database at its first start, so we do.
    fn start_database(&self) -> anyhow::Result<()> {
        self.postgres.start()?;
        let there = self.postgres.query("postgres", "SELECT datname FROM pg_database")?;
        if there.contains(&self.database) { Ok(()) } else { self.postgres.create_database(&self.database) }
    }
}

/// Runs a command that ends by itself.
fn complete(job: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + JOB;
    job.launch()?;
    loop {
        if let Some(status) = job.ended() {
            ensure!(status.success(), "{} ended with {status}; its log ends\n{}", job.name(), job.last_lines());
            return Ok(());
        }
        if Instant::now() >= end {
            job.kill()?;
            bail!("{} had not ended after {} s; its log ends\n{}", job.name(), JOB.as_secs(), job.last_lines());
        }
        pause(BETWEEN_LOOKS);
    }
}

fn at_once<T: Sync + ?Sized>(items: &[&T], work: impl Fn(&T) -> anyhow::Result<()> + Sync) -> Vec<anyhow::Result<()>> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|&item| scope.spawn(|| work(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))).collect()
    })
}

#[expect(clippy::disallowed_methods, reason = "looks at other processes now and then; there is no runtime to block")]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// In footfall's place: it says its number to everybody, and creates topics by doing nothing. What it was started with
    /// lies in its folder.
    const PROGRAM: &str = r#"#!/bin/sh
env | grep FOOTFALL_ > environment
[ "$1" = run ] || { echo "$@"; exit 0; }
mkdir -p temp
cat > nginx.conf << END
daemon off;
pid nginx.pid;
error_log stderr;
events { }
http {
    access_log off;
    client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
    server { listen $FOOTFALL_SERVER__HOST:$FOOTFALL_SERVER__PORT; location / { return 200 "${PWD##*/}\n"; } }
}
END
exec NGINX -p "$PWD/" -c nginx.conf -e error.log
"#;

    fn get(address: SocketAddr) -> String {
        let answer = ask(address, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        answer.lines().last().unwrap_or_default().to_owned()
    }

    /// A question after which the other side closes.
    fn ask(address: SocketAddr, question: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn real_servers_start_are_reached_by_their_names_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("program");
        let nginx = crate::tools::nginx().unwrap();
        fs::write(&binary, PROGRAM.replace("NGINX", nginx.to_str().unwrap())).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let mut options = Options::new(&binary);
        options.nodes = Some(2);
        options.environment.push(("node".to_owned(), "FOOTFALL_X".to_owned(), "at kafka:9092".to_owned()));
        let cluster = Cluster::start(&options).unwrap();

        assert_eq!(cluster.nodes().iter().map(Server::name).collect::<Vec<_>>(), ["footfall-node-1", "footfall-node-2"]);
        let mut asked: Vec<String> = (0..4).map(|_| get(cluster.nginx().address())).collect();
        asked.sort();
        asked.dedup();
        assert_eq!(asked, ["footfall-node-1", "footfall-node-2"], "nginx knows both");

        let environment = fs::read_to_string(cluster.node(2).unwrap().folder().join("environment")).unwrap();
        let kafka = cluster.kafka().bootstrap_servers();
        for line in [format!("FOOTFALL_X=at {kafka}"), format!("FOOTFALL_BUS__KAFKA__BROKERS={kafka}")] {
            assert!(environment.lines().any(|found| found == line), "{line} is not in\n{environment}");
        }
        assert!(environment.contains(&format!("FOOTFALL_AUTH__KEYS__0__SECRET={}\n", cluster.secret())));
        assert_eq!(cluster.kafka().topics(&["--list"]).unwrap().concat(), "", "nobody created any");
        let limit = cluster.postgres().query(cluster.database(), "SHOW max_connections").unwrap();
        assert_eq!(limit, ["200"], "as the file's command says");
        let redis = cluster.redis();
        assert!(environment.contains(&format!("FOOTFALL_REGISTRY__REDIS__PASSWORD={}\n", redis.password().unwrap())));
        assert!(ask(redis.address(), "PING\r\nQUIT\r\n").starts_with("-NOAUTH "));
        let answer = ask(redis.address(), &format!("AUTH {}\r\nCONFIG GET appendonly\r\nQUIT\r\n", redis.password().unwrap()));
        assert!(answer.contains("\r\nyes\r\n"), "as the file's command says: {answer}");
        let job = fs::read_to_string(cluster.folder().join("topics/topics.log")).unwrap();
        assert_eq!(job, "topics create\n");
        assert_eq!(cluster.footfall(&["token", "--user", "alice"]).unwrap(), ["token --user alice"]);

        cluster.node(1).unwrap().kill().unwrap();
        assert!(cluster.ended().is_empty(), "a test did it");
        assert_eq!(get(cluster.nginx().address()), "footfall-node-2");
        cluster.node(1).unwrap().start().unwrap();
        cluster.stop().unwrap();
        assert!(cluster.servers().iter().all(|server| server.pid().is_none()));
    }

    #[test]
    fn real_start_ends_with_a_command_that_fails() {
        let error = format!("{:#}", Cluster::start(&Options::new("/bin/false")).unwrap_err());
        assert!(error.contains("topics ended with"), "{error}");
    }
}
