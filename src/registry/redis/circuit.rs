//! When to ask at all: a server that does not answer is asked by one caller now and then, and the others hear so at once.
//! Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How long nobody asks after a failure.
pub(super) const REST: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) enum Circuit {
    #[default]
    Closed,
    Open {
        rests_until: Instant,
        /// Somebody is asking; it says when that began, since a caller may go away without telling.
        probing_since: Option<Instant>,
    },
}

impl Circuit {
    /// Whether this caller may ask. `within` is how long it will take at most.
    pub(super) fn may_ask(&mut self, now: Instant, within: Duration) -> bool {
        match self {
            Self::Closed => true,
            Self::Open { rests_until, .. } if now < *rests_until => false,
            Self::Open { probing_since: Some(since), .. } if now < *since + within => false,
            Self::Open { probing_since, .. } => {
                *probing_since = Some(now);
                true
            }
        }
    }

    /// True if it was open.
    pub(super) fn answered(&mut self) -> bool {
        matches!(std::mem::take(self), Self::Open { .. })
    }

    /// True if it was closed.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let before = std::mem::replace(self, Self::Open { rests_until: now + REST, probing_since: None });
        matches!(before, Self::Closed)
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(1);

    #[test]
    fn one_at_a_time_asks_a_server_that_failed() {
        let (mut circuit, start) = (Circuit::default(), Instant::now());
        assert!(circuit.may_ask(start, WITHIN) && circuit.may_ask(start, WITHIN));
        assert!(circuit.failed(start));
        assert!(!circuit.failed(start), "it is news only once");
        assert!(!circuit.may_ask(start + REST / 2, WITHIN));
        assert!(circuit.may_ask(start + REST, WITHIN));
        assert!(!circuit.may_ask(start + REST, WITHIN), "another one is asking");
        assert!(circuit.failed(start + REST * 2) || !circuit.may_ask(start + REST * 2, WITHIN));
        assert!(circuit.may_ask(start + REST * 3, WITHIN));
        assert!(circuit.answered() && circuit.is_closed());
        assert!(!circuit.answered());
    }

    #[test]
    fn a_caller_that_went_away_while_asking_holds_up_nobody_for_long() {
        let (mut circuit, start) = (Circuit::default(), Instant::now());
        circuit.failed(start);
        assert!(circuit.may_ask(start + REST, WITHIN));
        assert!(!circuit.may_ask(start + REST + WITHIN / 2, WITHIN));
        assert!(circuit.may_ask(start + REST + WITHIN, WITHIN));
    }
}
