//! Where and for whom a node listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stomp_frames::Limits;

/// `[server]`: the way in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on; `0.0.0.0` for all.
    pub host: IpAddr,
    pub port: u16,
    /// Where the WebSocket is.
    pub path: String,
    /// Pages of these origins may connect, as `https://chat.example.com`; besides those that this node serves itself.
    /// `*` lets every page in; then no cookie is accepted as a token.
    pub allowed_origins: Vec<String>,
    /// Connections at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Bytes of a frame after CONNECT.
    pub max_frame: usize,
    /// Bytes of a frame before CONNECT was accepted.
    pub max_frame_before_connect: usize,
    /// Bytes that may wait for a client before it counts as slow.
    pub max_outbox: usize,
    /// Milliseconds for the HTTP head of a handshake.
    pub handshake_timeout_ms: u32,
    /// Milliseconds over which the closes of a stopping node are spread.
    pub drain_ms: u32,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            path: "/ws".to_owned(),
            allowed_origins: Vec::new(),
            max_connections: 50_000,
            max_frame: Limits::AFTER_CONNECT.frame,
            max_frame_before_connect: Limits::BEFORE_CONNECT.frame,
            max_outbox: 512 * 1024,
            handshake_timeout_ms: 10_000,
            drain_ms: 5_000,
        }
    }
}

impl ServerSettings {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}
