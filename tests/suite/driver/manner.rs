//! How a client shows that it lives, and when it comes back.

use std::time::Duration;

use crate::support::random::Random;

/// Long enough that a busy machine's beats are in time, short enough that a stopped node is noticed in a row.
const BEAT: Duration = Duration::from_secs(2);
/// What stompjs does if nobody tells it otherwise: `reconnectDelay`, `heartbeatIncoming` and `heartbeatOutgoing`.
const STOMPJS_RECONNECT_DELAY: Duration = Duration::from_secs(5);
const STOMPJS_BEAT: Duration = Duration::from_secs(10);

const LEAST: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Back in a moment, later each time that a connection was of no use, and never all at once.
    Eager { pause_at_most: Duration },
    /// As `@stomp/stompjs`: back after a fixed time, whatever the connection did, so a herd comes back as the herd it was.
    Stompjs,
}

/// The beats that a client asks for, and those that it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beats {
    pub(crate) asked: Duration,
    pub(crate) promised: Option<Duration>,
}

impl Manner {
    pub(crate) fn beats(self) -> Beats {
        match self {
            Self::Eager { .. } => Beats { asked: BEAT, promised: None },
            Self::Stompjs => Beats { asked: STOMPJS_BEAT, promised: Some(STOMPJS_BEAT) },
        }
    }

    /// How long to wait after so many connections in a row that were of no use.
    pub(crate) fn pause(self, useless: u32, random: &mut Random) -> Duration {
        match self {
            Self::Eager { pause_at_most } => {
                let pause = (LEAST * 2_u32.saturating_pow(useless.min(16))).min(pause_at_most);
                // Half of it by chance: those whom one fault put out shall not come back as one.
                let half = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / 2;
                Duration::from_millis(half + random.below(half + 1))
            }
            Self::Stompjs => STOMPJS_RECONNECT_DELAY,
        }
    }
}

#[test]
fn eager_clients_grow_patient_and_stompjs_is_always_the_same() {
    let mut random = Random::new(1);
    let eager = Manner::Eager { pause_at_most: Duration::from_secs(1) };
    for (useless, least, most) in [(0, 5, 10), (1, 10, 20), (6, 320, 640), (7, 500, 1_000), (u32::MAX, 500, 1_000)] {
        let pause = eager.pause(useless, &mut random).as_millis();
        assert!((least..=most).contains(&pause), "{useless}: {pause} ms");
        assert_eq!(Manner::Stompjs.pause(useless, &mut random), Duration::from_secs(5));
    }
}
