//! What the nodes of a Kafka cluster must be told, of each other and so that tests are quick.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use super::port::Port;
use super::{lines, merged, owned};

/// What all nodes have in common.
pub(super) struct Quorum {
    /// The cluster's id: another one for each cluster, as footfall knows a log by it.
    pub(super) cluster: String,
    /// As `StorageTool` takes it, the same on every node.
    pub(super) initial_controllers: String,
    bootstrap: String,
    count: usize,
}

pub(super) struct Member {
    pub(super) id: usize,
    pub(super) broker: SocketAddr,
    pub(super) controller: SocketAddr,
}

impl Quorum {
    pub(super) fn new(controllers: &[Port]) -> Self {
        let addresses: Vec<String> = controllers.iter().map(|port| port.address().to_string()).collect();
        let initial = addresses.iter().zip(1..).map(|(address, id)| format!("{id}@{address}:{}", random_id()));
        Self {
            cluster: random_id(),
            initial_controllers: initial.collect::<Vec<_>>().join(","),
            bootstrap: addresses.join(","),
            count: controllers.len(),
        }
    }

    /// The text of `server.properties`.
    pub(super) fn properties(&self, member: &Member, chosen: &[(&str, &str)]) -> String {
        let id = member.id.to_string();
        let listeners = format!("PLAINTEXT://{},CONTROLLER://{}", member.broker, member.controller);
        let replicas = self.count.min(3).to_string();
        let in_sync = if self.count >= 3 { "2" } else { "1" };
        let defaults = owned(&[
            ("process.roles", "broker,controller"),
            ("node.id", &id),
            ("controller.quorum.bootstrap.servers", &self.bootstrap),
            ("listeners", &listeners),
            ("advertised.listeners", &listeners),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("controller.listener.names", "CONTROLLER"),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("log.dirs", "data"),
            ("default.replication.factor", &replicas),
            ("min.insync.replicas", in_sync),
            // Kafka's 3 would keep consumer groups from ever working on one node.
            ("offsets.topic.replication.factor", &replicas),
            ("transaction.state.log.replication.factor", &replicas),
            ("share.coordinator.state.topic.replication.factor", &replicas),
            ("transaction.state.log.min.isr", in_sync),
            ("share.coordinator.state.topic.min.isr", in_sync),
            // Kafka's 50 make the first group slow.
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.num.partitions", "4"),
            // Kafka's 3 s are waited by every new group.
            ("group.initial.rebalance.delay.ms", "0"),
            // Until a dead leader is replaced.
            ("broker.heartbeat.interval.ms", "500"),
            ("broker.session.timeout.ms", "6000"),
            ("replica.lag.time.max.ms", "10000"),
            // Kafka's buffer alone is 128 MiB.
            ("log.cleaner.dedupe.buffer.size", "2097152"),
            ("log.cleaner.io.buffer.size", "65536"),
            ("log.index.size.max.bytes", "1048576"),
            ("num.network.threads", "2"),
            ("num.io.threads", "2"),
            ("background.threads", "2"),
        ]);
        lines(merged(defaults, chosen), "=")
    }
}

/// 16 random bytes as Kafka writes them, in URL-safe Base64; here without `-`, which it must not begin with.
fn random_id() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // The last of the 22 letters has but two bits of the last byte.
    const LAST: &[u8] = b"AQgw";
    (0..22)
        .map(|place| {
            let letters = if place < 21 { LETTERS } else { LAST };
            let random = RandomState::new().hash_one(place) % letters.len() as u64;
            char::from(letters[usize::try_from(random).unwrap_or(0)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_replicate_and_one_does_not() {
        let ports: Vec<Port> = (0..3).map(|_| Port::free().unwrap()).collect();
        let address: SocketAddr = ports[0].address();
        let member = Member { id: 1, broker: address, controller: address };
        let three = Quorum::new(&ports).properties(&member, &[("num.io.threads", "4"), ("x.y", "z")]);
        for line in ["default.replication.factor=3", "min.insync.replicas=2", "num.io.threads=4", "x.y=z"] {
            assert!(three.lines().any(|found| found == line), "{line} is not in\n{three}");
        }
        assert!(!three.contains("num.io.threads=2"));
        let one = Quorum::new(&ports[..1]).properties(&member, &[]);
        assert!(one.contains("\nmin.insync.replicas=1\n") && one.contains("\noffsets.topic.replication.factor=1\n"), "{one}");
    }

    #[test]
    fn ids_differ() {
        let (one, other) = (random_id(), random_id());
        assert_eq!(one.len(), 22);
        assert_ne!(one, other);
    }
}
