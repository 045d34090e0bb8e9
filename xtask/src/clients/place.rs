//! What a suite runs against, a node or a whole cluster, and what the suite is told of it.

use std::path::Path;

use crate::cluster::{Cluster, Options};
use crate::node::Node;

/// Known to everyone who reads this, as is all that it opens.
const SERVICE_TOKEN: &str = "the-service-token-of-the-scenarios";

pub(super) enum Place {
    Node(Box<Node>),
    Cluster(Box<Cluster>),
}

impl Place {
    pub(super) fn node(binary: &Path, settings: &Path) -> anyhow::Result<Self> {
        Node::start(binary, settings).map(Box::new).map(Self::Node)
    }

    /// As `deploy/` has it, settings included, and with an HTTP API.
    pub(super) fn cluster(binary: &Path) -> anyhow::Result<Self> {
        let mut options = Options::new(binary);
        let api = ("node".to_owned(), "FOOTFALL_AUTH__SERVICE_TOKENS__0".to_owned(), SERVICE_TOKEN.to_owned());
        options.environment.push(api);
        Ok(Self::Cluster(Box::new(Cluster::start(&options)?)))
    }

    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Node(node) => {
                vec![("FOOTFALL_URL", node.url()), ("FOOTFALL_DATA", node.folder().to_string_lossy().into_owned())]
            }
            Self::Cluster(cluster) => vec![
                ("FOOTFALL_URL", format!("http://{}", cluster.nginx().address())),
                ("FOOTFALL_SECRET", cluster.secret().to_owned()),
                ("FOOTFALL_SERVICE_TOKEN", SERVICE_TOKEN.to_owned()),
                ("KAFKA_BROKERS", cluster.kafka().bootstrap_servers()),
                ("DATABASE_URL", cluster.database_url()),
            ],
        }
    }

    pub(super) fn show_logs(&self) {
        match self {
            Self::Node(node) => node.show_log(),
            Self::Cluster(cluster) => cluster.show_logs(),
        }
    }

    /// Asks it to stop, and judges how it did.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Node(node) => node.stop(),
            Self::Cluster(cluster) => {
                let result = cluster.stop();
                if result.is_err() {
                    cluster.show_logs();
                }
                result
            }
        }
    }
}
