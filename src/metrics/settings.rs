//! Where the page of metrics is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the node counts of itself, for Prometheus: `GET /metrics`, at a port of its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// The address to listen on, which clients should not reach; `0.0.0.0` for all.
    pub host: IpAddr,
    /// The TCP port to listen on; 0 takes a free one, without one there is no such page.
    pub port: Option<u16>,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None }
    }
}

impl MetricsSettings {
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host, self.port?))
    }
}
