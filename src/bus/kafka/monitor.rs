//! Looks at Kafka while the node runs: does a broker answer, has the log the shape it had, and does this node keep up
//! with broadcast?

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error, warn};

use super::broadcast::Progress;
use super::error::{KafkaError, sentence};
use super::events::Standing;
use super::lag::behind;
use super::log::{Log, raw, unsigned};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An answer that takes longer is none: with it, a SEND is refused 2 s after the last broker fell silent.
const ANSWER: Duration = Duration::from_millis(1500);

const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// A record that was in the log so long ago should have been read.
const BEHIND_AFTER: Duration = Duration::from_secs(5);

/// For so long a partition's leader may be silent: a leader moves in less.
const SILENT_AFTER: Duration = Duration::from_secs(9);

/// Asks about topics; reads nothing.
pub(super) struct Asking {
    client: BaseConsumer<Quiet>,
    log: Arc<Log>,
}

pub(super) struct Quiet(Arc<Log>);

impl ClientContext for Quiet {
    fn error(&self, failure: ClientError, reason: &str) {
        if failure.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.health.failure();
        }
        debug!(error = sentence(&failure), reason, "the monitor's client reports");
    }
}

impl ConsumerContext for Quiet {}

impl Asking {
    pub(super) fn new(config: &ClientConfig, log: Arc<Log>) -> Result<Self, KafkaError> {
        Ok(Self { client: config.create_with_context(Quiet(Arc::clone(&log)))?, log })
    }

    /// Errors and log lines lie in the client's queue until somebody takes them.
    fn hear(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }

    /// Asks for one topic's shape.
    fn look(&self, topic: &str) {
        let answer = self.client.fetch_metadata(Some(topic), ANSWER);
        self.hear();
        let health = &self.log.health;
        let metadata = match answer {
            Ok(metadata) => metadata,
            Err(failure) => {
                debug!(error = sentence(&failure), "no broker answered the monitor");
                return health.failure();
            }
        };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none()) else {
            // Deleted, or a broker that has just begun does not know it yet.
            warn!(topic, "Kafka has no such topic now");
            return health.failure();
        };
        health.contact();
        let partitions = found.partitions().len();
        if partitions != self.log.partitions as usize && !health.is_changed() {
            error!(
                topic,
                partitions,
                expected = self.log.partitions,
                "the topic was divided anew: destinations belong to other partitions now, so nothing is published or given out until this is put right"
            );
            health.changed();
        }
        // What the last answer said; it does not ask.
        let cluster = self.client.client().fetch_cluster_id(Duration::ZERO);
        if cluster.as_deref().is_some_and(|cluster| *cluster != *self.log.id) && !health.is_changed() {
            error!(cluster, expected = %self.log.id, "these brokers are another cluster: nothing is published or given out until this is put right");
            health.changed();
        }
    }

    /// The end of each of these partitions, none of one whose leader did not answer. The first silence ends the
    /// question, since it costs the others their turn.
    fn ends(&self, topic: &str, numbers: impl ExactSizeIterator<Item = u32>) -> Vec<Option<u64>> {
        let mut ends = vec![None; numbers.len()];
        for (number, end) in numbers.zip(&mut ends) {
            match self.client.fetch_watermarks(topic, raw(number), ANSWER) {
                Ok((_, high)) => *end = Some(unsigned(high)),
                Err(failure) => {
                    debug!(error = sentence(&failure), partition = number, "a leader did not say where its log ends");
                    break;
                }
            }
        }
        self.hear();
        ends
    }

    fn broadcast_ends(&self) -> Vec<Option<u64>> {
        self.ends(&self.log.broadcast, 0..self.log.partitions)
    }

    /// How many records of the partitions that are stored here are not committed; none if that is not known now.
    fn events_lag(&self, standing: &Standing) -> Option<u64> {
        let done = standing.done()?;
        let ends = self.ends(&self.log.events, done.iter().map(|(number, _)| *number));
        behind(done.iter().map(|(_, next)| *next).zip(ends))
    }
}

/// Readers of broadcast that somebody relies on.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<Vec<Weak<Progress>>>);

impl Watched {
    pub(super) fn add(&self, progress: &Arc<Progress>) {
        let mut all = self.0.lock();
        all.retain(|progress| progress.strong_count() > 0);
        all.push(Arc::downgrade(progress));
    }

    fn all(&self) -> Vec<Arc<Progress>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

/// Looks at the topics until the task is stopped.
pub(super) async fn look(asking: Arc<Asking>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for topic in [Arc::clone(&asking.log.events), Arc::clone(&asking.log.broadcast)].iter().cycle() {
        ticks.tick().await;
        let (asking, topic) = (Arc::clone(&asking), Arc::clone(topic));
        if spawn_blocking(move || asking.look(&topic)).await.is_err() {
            return;
        }
    }
}

/// Compares what was read with what there is, until the task is stopped.
pub(super) async fn compare(asking: Arc<Asking>, watched: Arc<Watched>, standing: Arc<Standing>) {
    let mut ticks = interval(COMPARE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    loop {
        ticks.tick().await;
        let asked = Arc::clone(&asking);
        let Ok(ends) = spawn_blocking(move || asked.broadcast_ends()).await else { return };
        let readers = watched.all();
        asking.log.health.set_behind(seen.is_behind(&ends, &readers, Instant::now()));
        let lags = &asking.log.lags;
        lags.set_broadcast(readers.iter().map(|reader| reader.behind(&ends)).max().flatten());
        // A silent leader has cost its time already.
        let events = if ends.iter().all(Option::is_some) {
            let (asked, standing) = (Arc::clone(&asking), Arc::clone(&standing));
            let Ok(events) = spawn_blocking(move || asked.events_lag(&standing)).await else { return };
            events
        } else {
            None
        };
        lags.set_events(events);
    }
}

/// What earlier comparisons found.
#[derive(Debug, Default)]
struct Seen {
    /// Ends that were not reached yet, and since when, by partition.
    unreached: Vec<Option<(u64, Instant)>>,
    /// When every leader last answered.
    answered: Option<Instant>,
}

impl Seen {
    fn is_behind(&mut self, ends: &[Option<u64>], readers: &[Arc<Progress>], now: Instant) -> bool {
        if ends.iter().all(Option::is_some) {
            self.answered = Some(now);
        }
        let silent = now.duration_since(*self.answered.get_or_insert(now)) >= SILENT_AFTER;
        self.unreached.resize(ends.len(), None);
        let mut behind = readers.iter().any(|reader| reader.lost.load(Ordering::Relaxed));
        for (number, (unreached, end)) in self.unreached.iter_mut().zip(ends).enumerate() {
            let read = readers.iter().map(|reader| reader.next[number].load(Ordering::Relaxed)).min();
            let Some(read) = read else { continue };
            if unreached.is_some_and(|(end, _)| read >= end) {
                *unreached = None;
            }
            if let (None, Some(end)) = (*unreached, *end)
                && read < end
            {
                *unreached = Some((end, now));
            }
            behind |= unreached.is_some_and(|(_, since)| now.duration_since(since) >= BEHIND_AFTER);
        }
        behind || (silent && !readers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use super::*;

    fn reader(next: u64) -> Arc<Progress> {
        Arc::new(Progress { next: vec![AtomicU64::new(next)], lost: AtomicBool::new(false) })
    }

    #[test]
    fn who_does_not_reach_an_end_in_time_is_behind() {
        let (mut seen, begun, reader) = (Seen::default(), Instant::now(), reader(5));
        let readers = [Arc::clone(&reader)];
        let mut at = |seconds: u64, end: u64| seen.is_behind(&[Some(end)], &readers, begun + Duration::from_secs(seconds));
        assert!(!at(0, 5));
        assert!(!at(2, 9));
        assert!(!at(6, 20), "four seconds are not five");
        assert!(at(7, 20));
        reader.next[0].store(9, Ordering::Relaxed);
        assert!(!at(8, 20), "it goes on, and the new end has its own time");
        assert!(at(13, 20));
        reader.next[0].store(20, Ordering::Relaxed);
        assert!(!at(14, 20));
    }

    #[test]
    fn who_lost_its_position_is_behind_at_once() {
        let reader = reader(5);
        reader.lost.store(true, Ordering::Relaxed);
        assert!(Seen::default().is_behind(&[Some(5)], &[reader], Instant::now()));
    }

    #[test]
    fn a_silent_leader_counts_when_it_had_time_to_move() {
        let (mut seen, begun, readers) = (Seen::default(), Instant::now(), [reader(5)]);
        assert!(!seen.is_behind(&[Some(5)], &readers, begun));
        assert!(!seen.is_behind(&[None], &readers, begun + Duration::from_secs(8)));
        assert!(seen.is_behind(&[None], &readers, begun + Duration::from_secs(9)));
        assert!(!seen.is_behind(&[None], &[], begun + Duration::from_secs(10)), "nobody reads here");
        assert!(!seen.is_behind(&[Some(5)], &readers, begun + Duration::from_secs(11)));
    }
}
