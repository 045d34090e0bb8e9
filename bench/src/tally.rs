//! What all connections of a run count together: answers, and how long each took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::report::histogram;

#[derive(Debug)]
pub(crate) struct Tally {
    clock: Clock,
    /// Times before this one are warm-up: counted, but not in the histogram.
    from: AtomicU64,
    answers: AtomicU64,
    awaited: AtomicU64,
    reached: Notify,
    /// One for all, since a histogram of this precision has the size of a thousand idle connections. With one thread
    /// nobody ever waits for the lock.
    times: Mutex<Histogram<u64>>,
}

impl Tally {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            from: AtomicU64::new(u64::MAX),
            answers: AtomicU64::new(0),
            awaited: AtomicU64::new(u64::MAX),
            reached: Notify::new(),
            times: Mutex::new(histogram()),
        }
    }

    /// Takes the times of what begins from this moment on.
    pub(crate) fn count_from(&self, time: u64) {
        self.from.store(time, Ordering::SeqCst);
    }

    /// An answer came, to what was begun (or was due) at this time.
    pub(crate) fn answered(&self, begun: u64) {
        if begun >= self.from.load(Ordering::SeqCst) {
            self.record(self.clock.now().saturating_sub(begun));
        }
        let answers = self.answers.fetch_add(1, Ordering::SeqCst) + 1;
        if answers >= self.awaited.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }

    pub(crate) fn record(&self, nanos: u64) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(nanos);
    }

    /// How many answers came since the run began, warm-up included.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// Waits until that many answers came. Only one task may wait.
    pub(crate) async fn reach(&self, total: u64) {
        self.awaited.store(total, Ordering::SeqCst);
        while self.answers() < total {
            self.reached.notified().await;
        }
        self.awaited.store(u64::MAX, Ordering::SeqCst);
    }

    pub(crate) fn times(&self) -> Histogram<u64> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_began_during_the_warm_up_is_counted_but_not_timed() {
        let clock = Clock::start();
        let tally = Tally::new(clock);
        tally.answered(0);
        tally.count_from(100);
        tally.answered(99);
        tally.answered(100);
        assert_eq!(tally.answers(), 3);
        assert_eq!(tally.times().len(), 1);
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
    async fn waiting_ends_with_the_last_answer() {
        let tally = Arc::new(Tally::new(Clock::start()));
        let answers = tokio::spawn({
            let tally = Arc::clone(&tally);
            async move {
                for _ in 0..1000 {
                    tally.answered(0);
                    tokio::task::yield_now().await;
                }
            }
        });
        tally.reach(1000).await;
        assert_eq!(tally.answers(), 1000);
        answers.await.unwrap();
    }
}
