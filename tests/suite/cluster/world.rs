//! Three nodes over a real Kafka, PostgreSQL and Redis, behind a real nginx, started once for all rows, and hands to hurt them with.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use footfall::auth::{AuthSettings, Issuer};
use tokio::task::block_in_place;
use tokio::time::{Instant, interval};
use xtask::cluster::{Cluster, Options};
use xtask::services::{Ending, Server};

use super::broker::{Broker, EVENTS};
use super::rows::{Owners, Rows};
use super::words;

/// For whatever must come about by itself.
const PATIENCE: Duration = Duration::from_mins(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) broker: Broker,
    pub(super) rows: Rows,
    /// Each row's randomness follows from it.
    pub(super) seed: u64,
}

impl World {
    /// All healthy. `environment` goes to the nodes.
    pub(super) fn start(seed: u64, environment: &[(&str, &str)]) -> Self {
        let mut options = Options::new(env!("CARGO_BIN_EXE_footfall"));
        options.settings = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/cluster/footfall.toml"));
        let variable = |(name, value): &(&str, &str)| ("node".to_owned(), (*name).to_owned(), (*value).to_owned());
        options.environment = environment.iter().map(variable).collect();
        let cluster = block_in_place(|| Cluster::start(&options)).unwrap();
        let broker = Broker::new(&cluster.kafka().bootstrap_servers());
        let rows = Rows::new(cluster.database_url());
        Self { cluster, broker, rows, seed }
    }

    pub(super) fn issuer(&self) -> Issuer {
        let keys = format!("[[keys]]\nalgorithms = [\"HS256\"]\nsecret = \"{}\"\n", self.cluster.secret());
        let settings: AuthSettings = toml::from_str(&keys).unwrap();
        Issuer::new(&settings).unwrap()
    }

    /// Where clients go.
    pub(super) fn nodes(&self) -> Vec<SocketAddr> {
        self.cluster.nodes().iter().map(Server::address).collect()
    }

    /// One of them, from 1 on.
    pub(super) fn node(&self, number: usize) -> &Server {
        self.cluster.node(number).unwrap()
    }

    /// Everything runs and is ready again, whatever a row that failed has left behind.
    pub(super) fn mend(&self) {
        for server in self.cluster.servers() {
            // A job has ended, and a process that was never paused takes no harm from it.
            if server.pid().is_some() {
                hurt(|| server.resume());
            }
        }
        let others = [&**self.cluster.postgres(), &**self.cluster.redis()];
        for server in others.into_iter().chain(self.cluster.kafka().nodes()).chain(self.cluster.nodes()) {
            if server.pid().is_none() || server.ended().is_some() {
                hurt(|| server.start());
            }
        }
    }

    /// Waits until the database has all that is on the events topic, as long as it gets on.
    pub(super) async fn until_stored(&self) {
        let (mut most, mut got_on) = (0, Instant::now());
        let mut looks = interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            let next = self.rows.next().await;
            let Some(ends) = block_in_place(|| self.broker.ends(EVENTS)) else { continue };
            if ends.iter().all(|(partition, end)| next.get(partition).copied().unwrap_or_default() >= *end) {
                return;
            }
            let sum = next.values().sum();
            if sum > most {
                (most, got_on) = (sum, Instant::now());
            }
            assert!(got_on.elapsed() < PATIENCE, "of {ends:?} is stored {next:?}, and nothing was added for {PATIENCE:?}");
        }
    }

    /// How long it takes until the group has committed all of it too; not waited for without end.
    pub(super) async fn until_committed(&self) -> Duration {
        let began = Instant::now();
        let mut looks = interval(BETWEEN_LOOKS);
        while began.elapsed() < PATIENCE && block_in_place(|| self.broker.lag()) != Some(0) {
            looks.tick().await;
        }
        began.elapsed()
    }

    /// The partitions that a node has now; not none.
    pub(super) async fn partitions(&self, node: usize) -> BTreeSet<i32> {
        let mut partitions = BTreeSet::new();
        self.until(&format!("node {node} has partitions"), || {
            partitions = words::partitions(self.node(node));
            !partitions.is_empty()
        })
        .await;
        partitions
    }

    /// How long after `since` each of these partitions has another owner than it had; not waited for beyond `limit`.
    pub(super) async fn until_owned_anew(
        &self,
        partitions: &BTreeSet<i32>,
        before: &Owners,
        since: Instant,
        limit: Duration,
    ) -> Result<Duration, Owners> {
        let mut looks = interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            let now = self.rows.owners().await;
            let took = since.elapsed();
            if partitions.iter().all(|partition| now.get(partition) != before.get(partition)) {
                return Ok(took);
            }
            if took > limit {
                return Err(now.into_iter().filter(|(partition, owner)| before.get(partition) == Some(owner)).collect());
            }
        }
    }

    pub(super) async fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut looks = interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            if block_in_place(&mut is) {
                return;
            }
            assert!(Instant::now() < end, "it did not come about within {PATIENCE:?} that {what}");
        }
    }
}

/// Kills a process that is there: one that had ended by itself would hide behind this.
pub(super) fn kill(server: &Server) {
    assert!(server.pid().is_some(), "{} ended by itself, with {:?}", server.name(), server.ended());
    hurt(|| server.kill());
}

/// Asks a node to end, which it does, and in good order.
pub(super) fn stop(node: &Server) {
    let ended = node.ended();
    match hurt(|| node.stop()) {
        Ending::Polite(status) if status.success() => {}
        other => panic!("{} was asked to end, and {other:?} came of it; before that it had ended with {ended:?}", node.name()),
    }
}

/// Does something to a process.
pub(super) fn hurt<T>(work: impl FnOnce() -> anyhow::Result<T>) -> T {
    block_in_place(work).unwrap_or_else(|error| panic!("{error:#}"))
}
