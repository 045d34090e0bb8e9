//! How much a session may ask for, and how often it wants a sign of life.

use crate::message::HumanDuration;

/// Longer times could as well be none, and no clock has to bear them.
const LONGEST: HumanDuration = HumanDuration::from_secs(24 * 3600);

/// What one session may ask for, and how often it wants a sign of life.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How often the broker can send a heart-beat; `0s` sends none. With the next one what CONNECTED announces.
    pub heart_beat_send: HumanDuration,
    /// How often the broker would like to hear from a client; `0s` expects nothing.
    pub heart_beat_expect: HumanDuration,
    /// The shortest heart-beat that may be announced: shorter ones cost more than they tell.
    pub heart_beat_least: HumanDuration,
    /// The longest heart-beat that may be announced, at most 24h: proxies drop what is silent for longer.
    pub heart_beat_most: HumanDuration,
    /// How long a socket may stay without CONNECT; at most 24h.
    pub connect_timeout: HumanDuration,
    /// How long a frame may take from its first byte to its last; at most 24h.
    pub frame_timeout: HumanDuration,
    /// How long a write may wait for a client that does not read; at most 24h.
    pub write_timeout: HumanDuration,
    /// How many subscriptions one session may have; at least 1.
    pub max_subscriptions: usize,
    /// How many deliveries of one subscription may wait for their ACK, at least 1; more are held back until one comes.
    pub ack_window: usize,
    /// How many SENDs of one session may wait for the bus, at least 1; beyond that its socket is not read. Just as many
    /// of its SUBSCRIBEs and UNSUBSCRIBEs may be open.
    pub max_sends_in_flight: usize,
    /// How many bytes those SENDs may have; at least 1.
    pub max_bytes_in_flight: usize,
    /// The most bytes of a subscription id, a receipt or an idempotency key; at least 1.
    pub max_id_bytes: usize,
    /// How many messages a larger `history` in a SUBSCRIBE is taken for.
    pub max_history: u32,
    /// The `server` header of CONNECTED.
    pub server: String,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            heart_beat_send: HumanDuration::from_secs(10),
            heart_beat_expect: HumanDuration::from_secs(10),
            heart_beat_least: HumanDuration::from_secs(5),
            heart_beat_most: HumanDuration::from_secs(60),
            connect_timeout: HumanDuration::from_secs(10),
            frame_timeout: HumanDuration::from_secs(30),
            write_timeout: HumanDuration::from_secs(10),
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

impl SessionSettings {
    /// Keys under which no session could live, or which no client could see, and why.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let announced = self.heart_beat_least..=self.heart_beat_most;
        for (key, time) in [("heart_beat_send", self.heart_beat_send), ("heart_beat_expect", self.heart_beat_expect)] {
            if time != HumanDuration::ZERO && !announced.contains(&time) {
                problems.push((key, "It is 0s, or between heart_beat_least and heart_beat_most."));
            }
        }
        for (key, time) in
            [("connect_timeout", self.connect_timeout), ("frame_timeout", self.frame_timeout), ("write_timeout", self.write_timeout)]
        {
            if time == HumanDuration::ZERO {
                problems.push((key, "It is more than 0s, or no session could live."));
            }
            if time > LONGEST {
                problems.push((key, "It is at most 24h."));
            }
        }
        if self.heart_beat_most > LONGEST {
            problems.push(("heart_beat_most", "It is at most 24h."));
        }
        for (key, is_zero) in [
            ("max_subscriptions", self.max_subscriptions == 0),
            ("ack_window", self.ack_window == 0),
            ("max_sends_in_flight", self.max_sends_in_flight == 0),
            ("max_bytes_in_flight", self.max_bytes_in_flight == 0),
            ("max_id_bytes", self.max_id_bytes == 0),
        ] {
            if is_zero {
                problems.push((key, "It is at least 1, or no session could do anything."));
            }
        }
        if self.server.chars().any(char::is_control) {
            problems.push(("server", "It has no control characters, since CONNECTED can't escape them."));
        }
        problems
    }
}

/// As in a `heart-beat` header.
pub(super) fn in_millis(time: HumanDuration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(settings: &SessionSettings) -> Vec<&'static str> {
        settings.problems().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(wrong(&SessionSettings::default()), [""; 0]);
    }

    #[test]
    fn what_no_client_could_live_with_is_refused() {
        let defaults = SessionSettings::default;
        let (half_a_second, none) = (HumanDuration::from_millis(500), HumanDuration::ZERO);
        for (settings, expected) in [
            (SessionSettings { heart_beat_send: half_a_second, ..defaults() }, "heart_beat_send"),
            (SessionSettings { heart_beat_expect: HumanDuration::from_millis(60_001), ..defaults() }, "heart_beat_expect"),
            (SessionSettings { heart_beat_most: HumanDuration::from_secs(86_401), ..defaults() }, "heart_beat_most"),
            (SessionSettings { connect_timeout: none, ..defaults() }, "connect_timeout"),
            (SessionSettings { write_timeout: HumanDuration::from_millis(u64::MAX), ..defaults() }, "write_timeout"),
            (SessionSettings { ack_window: 0, ..defaults() }, "ack_window"),
            (SessionSettings { server: "a\nb:c".into(), ..defaults() }, "server"),
        ] {
            assert_eq!(wrong(&settings), [expected]);
        }
        assert_eq!(wrong(&SessionSettings { ack_window: 0, connect_timeout: none, ..defaults() }), ["connect_timeout", "ack_window"]);
        assert_eq!(wrong(&SessionSettings { heart_beat_send: none, heart_beat_expect: none, ..defaults() }), [""; 0]);
        assert_eq!(wrong(&SessionSettings { heart_beat_send: half_a_second, heart_beat_least: half_a_second, ..defaults() }), [""; 0]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<SessionSettings>(r#"{"ack_windw":1}"#).is_err());
        assert_eq!(serde_json::from_str::<SessionSettings>("{}").unwrap(), SessionSettings::default());
    }
}
