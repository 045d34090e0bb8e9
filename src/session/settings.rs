//! How much a session may ask for, and how often it wants a sign of life.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings of every session of a node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How often, in milliseconds, the broker can send a heart-beat; 0 sends none. With the next one what CONNECTED announces.
    pub heart_beat_send_ms: u32,
    /// How often, in milliseconds, the broker would like to hear from a client; 0 expects nothing.
    pub heart_beat_expect_ms: u32,
    /// The shortest heart-beat, in milliseconds, that may be announced: shorter ones cost more than they tell.
    pub heart_beat_least_ms: u32,
    /// The longest heart-beat, in milliseconds, that may be announced: proxies drop what is silent for longer.
    pub heart_beat_most_ms: u32,
    /// How long, in milliseconds, a socket may stay without CONNECT.
    pub connect_timeout_ms: u32,
    /// How long, in milliseconds, a frame may take from its first byte to its last.
    pub frame_timeout_ms: u32,
    /// How long, in milliseconds, a write may wait for a client that does not read.
    pub write_timeout_ms: u32,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Deliveries of one subscription that wait for their ACK; more are held back until one comes.
    pub ack_window: usize,
    /// SENDs of one session that wait for the bus; beyond that its socket is not read. Just as many of its SUBSCRIBEs
    /// and UNSUBSCRIBEs may be open.
    pub max_sends_in_flight: usize,
    /// Bytes of those SENDs.
    pub max_bytes_in_flight: usize,
    /// Bytes of a subscription id, a receipt or an idempotency key.
    pub max_id_bytes: usize,
    /// What a larger `history` in a SUBSCRIBE is taken for.
    pub max_history: u32,
    /// The `server` header of CONNECTED.
    pub server: String,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            heart_beat_send_ms: 10_000,
            heart_beat_expect_ms: 10_000,
            heart_beat_least_ms: 5_000,
            heart_beat_most_ms: 60_000,
            connect_timeout_ms: 10_000,
            frame_timeout_ms: 30_000,
            write_timeout_ms: 10_000,
            max_subscriptions: 128,
            ack_window: 1_024,
            max_sends_in_flight: 64,
            max_bytes_in_flight: 256 * 1024,
            max_id_bytes: 256,
            max_history: 10_000,
            server: concat!("footfall/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Settings under which no session could live, or which no client could see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSessionSettings {
    #[error("{0} must be 0, or between heart_beat_least_ms and heart_beat_most_ms.")]
    HeartBeat(&'static str),
    #[error("{0} must not be 0.")]
    Zero(&'static str),
    #[error("server must have no control characters, since CONNECTED can't escape them.")]
    Server,
}

impl SessionSettings {
    /// Whether a node can start with them.
    pub fn check(&self) -> Result<(), BadSessionSettings> {
        let announced: RangeInclusive<u32> = self.heart_beat_least_ms..=self.heart_beat_most_ms;
        for (name, value) in [("heart_beat_send_ms", self.heart_beat_send_ms), ("heart_beat_expect_ms", self.heart_beat_expect_ms)] {
            if value != 0 && !announced.contains(&value) {
                return Err(BadSessionSettings::HeartBeat(name));
            }
        }
        for (name, is_zero) in [
            ("connect_timeout_ms", self.connect_timeout_ms == 0),
            ("frame_timeout_ms", self.frame_timeout_ms == 0),
            ("write_timeout_ms", self.write_timeout_ms == 0),
            ("max_subscriptions", self.max_subscriptions == 0),
            ("ack_window", self.ack_window == 0),
            ("max_sends_in_flight", self.max_sends_in_flight == 0),
            ("max_bytes_in_flight", self.max_bytes_in_flight == 0),
            ("max_id_bytes", self.max_id_bytes == 0),
        ] {
            if is_zero {
                return Err(BadSessionSettings::Zero(name));
            }
        }
        if self.server.chars().any(char::is_control) {
            return Err(BadSessionSettings::Server);
        }
        Ok(())
    }
}

pub(super) fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(SessionSettings::default().check(), Ok(()));
    }

    #[test]
    fn what_no_client_could_live_with_is_refused() {
        let defaults = SessionSettings::default;
        for (settings, expected) in [
            (SessionSettings { heart_beat_send_ms: 500, ..defaults() }, BadSessionSettings::HeartBeat("heart_beat_send_ms")),
            (SessionSettings { heart_beat_expect_ms: 60_001, ..defaults() }, BadSessionSettings::HeartBeat("heart_beat_expect_ms")),
            (SessionSettings { ack_window: 0, ..defaults() }, BadSessionSettings::Zero("ack_window")),
            (SessionSettings { server: "a\nb:c".into(), ..defaults() }, BadSessionSettings::Server),
        ] {
            assert_eq!(settings.check(), Err(expected));
        }
        let none = SessionSettings { heart_beat_send_ms: 0, heart_beat_expect_ms: 0, ..defaults() };
        assert_eq!(none.check(), Ok(()));
        let fast = SessionSettings { heart_beat_send_ms: 500, heart_beat_least_ms: 500, ..defaults() };
        assert_eq!(fast.check(), Ok(()));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<SessionSettings>(r#"{"ack_windw":1}"#).is_err());
        assert_eq!(serde_json::from_str::<SessionSettings>("{}").unwrap(), SessionSettings::default());
    }
}
