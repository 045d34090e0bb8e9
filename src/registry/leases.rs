//! Which nodes live: each holds a lease that it renews, and that lapses with it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::RegistryError;

/// One start of a node. The next start may have the same name, and what belonged to the one before is none of its.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRun {
    pub name: Arc<str>,
    /// Milliseconds since 1970, by the node's own clock.
    pub started_ms: u64,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub node: NodeRun,
    /// Where clients or the director reach it, as `host:port` or a URL; no line ends.
    pub address: Arc<str>,
    pub connections: u64,
    /// Footfall's version.
    pub version: Arc<str>,
}

/// What a renewed lease finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It had not lapsed: everything this node put there is there.
    Kept,
    /// There was none: the first, or it lapsed, or the registry forgot. The node's sessions may be gone, so it puts them
    /// back ([`super::Sessions::keep`]).
    Anew,
    /// Another start of this name, younger than this one, holds a lease: two nodes have the same name, or this one should be
    /// gone. Nothing was written.
    Replaced,
}

/// A node as the registry remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    pub lease: Lease,
    /// For how long its lease still holds; none if it lapsed or was given back.
    pub holds_for: Option<Duration>,
    /// Since when it has had none; zero while it has one.
    pub gone_for: Duration,
}

/// All nodes of the last [`Nodes::REMEMBERED`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nodes {
    /// By name.
    pub seen: Vec<NodeSeen>,
    /// How far back the registry remembers, at most [`Nodes::REMEMBERED`]: one that came back empty knows nothing of those
    /// who were there before.
    pub remembers: Duration,
}

impl Nodes {
    /// How long a node is listed after its lease ended.
    pub const REMEMBERED: Duration = Duration::from_hours(1);

    /// Those that hold a lease.
    pub fn live(&self) -> impl Iterator<Item = &Lease> {
        self.seen.iter().filter(|node| node.holds_for.is_some()).map(|node| &node.lease)
    }

    /// For how long at least this node has had no lease; none if it has one. One that is not listed may have had one until
    /// just before the registry began to remember.
    pub fn gone_for(&self, name: &str) -> Option<Duration> {
        match self.seen.iter().find(|node| &*node.lease.node.name == name) {
            Some(node) => node.holds_for.is_none().then_some(node.gone_for),
            None => Some(self.remembers),
        }
    }
}

/// Which nodes live.
pub trait Leases {
    /// Holds the lease from now for `ttl` (which is several times the interval of renewals), with what the node says of
    /// itself now.
    fn renew(&self, lease: Lease, ttl: Duration) -> BoxFuture<'_, Result<Renewal, RegistryError>>;

    /// Ends the lease now, if this start holds it; its sessions vanish with it.
    fn give_back(&self, node: NodeRun) -> BoxFuture<'_, Result<(), RegistryError>>;

    fn nodes(&self) -> BoxFuture<'_, Result<Nodes, RegistryError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_not_listed_is_gone_for_no_longer_than_anyone_remembers() {
        let node = |name: &str, holds_for, gone_for| NodeSeen {
            lease: Lease {
                node: NodeRun { name: name.into(), started_ms: 1 },
                address: "a:1".into(),
                connections: 0,
                version: "0.1.0".into(),
            },
            holds_for,
            gone_for: Duration::from_secs(gone_for),
        };
        let nodes = Nodes {
            seen: vec![node("live", Some(Duration::from_secs(5)), 0), node("lapsed", None, 700)],
            remembers: Duration::from_mins(1),
        };
        assert_eq!(nodes.gone_for("live"), None);
        assert_eq!(nodes.gone_for("lapsed"), Some(Duration::from_secs(700)));
        assert_eq!(nodes.gone_for("never seen"), Some(Duration::from_mins(1)));
        assert_eq!(nodes.live().map(|lease| &*lease.node.name).collect::<Vec<_>>(), ["live"]);
    }
}
