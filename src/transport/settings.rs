//! Where and for whom a node listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stomp_frames::Limits;

use super::session_cookie::SessionCookieSettings;
use crate::message::HumanDuration;

/// Less would not hold a CONNECT.
const LEAST_FRAME: usize = 1024;

/// A message goes into one record of Kafka, with its destination once more, its sender and its headers' new names. Such
/// a record has at most 1,000,000 bytes; this leaves 16,960 for what is added, far more than heads of 16 KiB can need.
const MOST_FRAME: usize = 960 * 1024;

/// What a node serves itself.
const OWN: [&str; 7] = ["/", "/page.js", "/page.css", "/page/config.json", "/health/live", "/health/ready", "/dev/token"];

/// Longer is a slip of the pen.
const LONGEST: HumanDuration = HumanDuration::from_secs(3600);

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on; `0.0.0.0` for all.
    pub host: IpAddr,
    /// The TCP port to listen on; 0 takes a free one.
    pub port: u16,
    /// Where the WebSocket is; begins with `/`.
    pub path: String,
    /// Pages of these origins may connect, as `https://chat.example.com`; besides those that this node serves itself.
    /// `*` lets every page in; then no cookie is accepted as a token.
    pub allowed_origins: Vec<String>,
    /// How many connections may be open at the same time, at least 1; further ones wait to be accepted.
    pub max_connections: usize,
    /// The most bytes of a frame after CONNECT; at least 1024, and at most 983040 (960 KiB), so that every message fits
    /// into a record of Kafka.
    pub max_frame: usize,
    /// The most bytes of a frame before CONNECT was accepted; at least 1024.
    pub max_frame_before_connect: usize,
    /// How many bytes may wait for a client before it counts as slow; at least twice `max_frame`.
    pub max_outbox: usize,
    /// How long the HTTP head of a handshake may take; at most 1h.
    pub handshake_timeout: HumanDuration,
    /// The time over which the closes of a stopping node are spread; at most 1h.
    pub drain: HumanDuration,
    /// The cookie by which a browser's connections belong together, over reloads and nodes.
    pub session_cookie: SessionCookieSettings,
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
            handshake_timeout: HumanDuration::from_secs(10),
            drain: HumanDuration::from_secs(5),
            session_cookie: SessionCookieSettings::default(),
        }
    }
}

impl ServerSettings {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Keys with which a node can't listen, and why.
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        let mut problems = Vec::new();
        if !self.path.starts_with('/') || self.path.contains(['{', '}', '*', '?', '#', ':']) {
            problems.push(("path".to_owned(), "It begins with / and has none of { } * ? # and :."));
        } else if OWN.contains(&self.path.as_str()) || self.path == "/api" || self.path.starts_with("/api/") {
            let sentence = "The page, the health checks, the development tokens or the HTTP API are there; take another, such as /ws.";
            problems.push(("path".to_owned(), sentence));
        }
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            if !is_origin(origin) {
                problems.push((
                    format!("allowed_origins[{index}]"),
                    "An origin is as browsers send it: a scheme and a host in small letters, perhaps a port, and no / at its end, such as \
                     https://chat.example.com; or it is *.",
                ));
            }
        }
        for (key, value) in [("max_frame", self.max_frame), ("max_frame_before_connect", self.max_frame_before_connect)] {
            if value < LEAST_FRAME {
                problems.push((key.to_owned(), "It is at least 1024 bytes; a CONNECT with a token needs more."));
            }
        }
        if self.max_frame > MOST_FRAME {
            problems
                .push(("max_frame".to_owned(), "It is at most 983040 bytes (960 KiB), or a message would not fit into a record of Kafka."));
        }
        if self.max_outbox < self.max_frame.saturating_mul(2) {
            problems
                .push(("max_outbox".to_owned(), "An outbox holds two of the largest frames: it is at least twice max_frame, in bytes."));
        }
        if self.max_connections == 0 {
            problems.push(("max_connections".to_owned(), "It is at least 1."));
        }
        for (key, time) in [("handshake_timeout", self.handshake_timeout), ("drain", self.drain)] {
            if time > LONGEST {
                problems.push((key.to_owned(), "It is at most 1h."));
            }
        }
        if self.handshake_timeout == HumanDuration::ZERO {
            problems.push(("handshake_timeout".to_owned(), "It is more than 0s, or nobody could connect."));
        }
        problems.extend(self.session_cookie.problems().into_iter().map(|(key, sentence)| (format!("session_cookie.{key}"), sentence)));
        problems
    }
}

/// As in RFC 6454 §6.2. What browsers never send would fit nothing, so it is a slip of the pen.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "*" };
    let plain = |text: &str| !text.is_empty() && !text.contains(|one: char| one.is_whitespace() || one.is_uppercase());
    plain(scheme) && plain(authority) && !authority.contains(['/', '?', '#', '@', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(settings: &ServerSettings) -> Vec<String> {
        settings.problems().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_node_can_listen_with_the_defaults() {
        assert_eq!(wrong(&ServerSettings::default()), [""; 0]);
    }

    #[test]
    fn every_key_that_is_wrong_is_named() {
        let long = HumanDuration::from_secs(3601);
        let settings =
            ServerSettings { max_frame: 1023, max_outbox: 2045, max_connections: 0, handshake_timeout: long, ..ServerSettings::default() };
        assert_eq!(wrong(&settings), ["max_frame", "max_outbox", "max_connections", "handshake_timeout"]);
        let largest = ServerSettings { max_frame: MOST_FRAME, max_outbox: 4 * MOST_FRAME, ..ServerSettings::default() };
        assert_eq!(wrong(&largest), [""; 0]);
        assert_eq!(wrong(&ServerSettings { max_frame: MOST_FRAME + 1, ..largest }), ["max_frame"]);
        for (path, good) in [
            ("/ws", true),
            ("/a/b", true),
            ("/", false),
            ("ws", false),
            ("", false),
            ("/{x}", false),
            ("/a?b", false),
            ("/health/live", false),
            ("/api", false),
            ("/api/ws", false),
            ("/apis", true),
        ] {
            let settings = ServerSettings { path: path.into(), ..ServerSettings::default() };
            assert_eq!(wrong(&settings).is_empty(), good, "{path}");
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_a_mistake() {
        let origins = [
            ("https://chat.example.com", true),
            ("http://localhost:3000", true),
            ("capacitor://localhost", true),
            ("*", true),
            ("https://chat.example.com/", false),
            ("https://Chat.example.com", false),
            ("https://*.example.com", false),
            ("chat.example.com", false),
            ("https://", false),
            ("null", false),
        ];
        for (origin, good) in origins {
            assert_eq!(is_origin(origin), good, "{origin}");
        }
    }
}
