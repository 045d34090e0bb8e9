//! When each message of an open-loop load is due, and a thread that says so on time.

use std::thread;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock::Clock;

/// Due messages that a lane may be behind. A node that is further behind than that can't carry the load, and the
/// report says how many messages were never sent.
pub(crate) const BEHIND: usize = 1024;

/// `total` messages, evenly spread from `start` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) start: u64,
    pub(crate) per_second: u32,
    pub(crate) total: u64,
}

impl Schedule {
    /// Multiplied before it is divided, so that no error adds up over a run.
    fn due(self, message: u64) -> u64 {
        let offset = u128::from(message) * 1_000_000_000 / u128::from(self.per_second);
        self.start + u64::try_from(offset).unwrap_or(u64::MAX / 2)
    }
}

/// Hands the due times to the lanes in turn and returns how many found their lane full.
///
/// Blocks, so it needs a thread of its own: tokio's timers tick in milliseconds, which would be most of the latency
/// to be measured. It never skips a message that it is late for, and what it hands on is when the message was due and
/// not when it was handed on. So a node that stalls is charged for every message it kept waiting.
pub(crate) fn keep(clock: Clock, schedule: Schedule, lanes: &[mpsc::Sender<u64>]) -> u64 {
    let mut unsent = 0;
    for (message, lane) in (0..schedule.total).zip(lanes.iter().cycle()) {
        let due = schedule.due(message);
        while let Some(early) = clock.instant(due).checked_duration_since(clock.instant(clock.now())).filter(|early| !early.is_zero()) {
            thread::park_timeout(early);
        }
        match lane.try_send(due) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => unsent += 1,
            // The run has failed and says why elsewhere.
            Err(TrySendError::Closed(_)) => break,
        }
    }
    unsent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_evenly_spread_without_drift() {
        let schedule = Schedule { start: 5, per_second: 3, total: 9 };
        assert_eq!(schedule.due(0), 5);
        assert_eq!(schedule.due(1), 333_333_338);
        assert_eq!(schedule.due(3_000_000), 5 + 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn lanes_take_turns_and_none_is_early() {
        let clock = Clock::start();
        let (first, mut one) = mpsc::channel(BEHIND);
        let (second, mut two) = mpsc::channel(BEHIND);
        let schedule = Schedule { start: 0, per_second: 1000, total: 10 };
        assert_eq!(keep(clock, schedule, &[first, second]), 0);
        assert!(clock.now() >= 9_000_000);
        assert_eq!((one.blocking_recv(), two.blocking_recv(), one.blocking_recv()), (Some(0), Some(1_000_000), Some(2_000_000)));
    }

    #[test]
    fn a_full_lane_is_counted_and_does_not_hold_the_others() {
        let (lane, _kept) = mpsc::channel(4);
        let schedule = Schedule { start: 0, per_second: 1_000_000, total: 10 };
        assert_eq!(keep(Clock::start(), schedule, &[lane]), 6);
    }
}
