//! How long things took, as the clients saw it: C8, and what the failure matrix names besides.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use super::sent;
use crate::driver::{Log, What};

/// C8: how long after `since` the last delivery came that was late, which is more than `tolerance` after its message's
/// RECEIPT. From then on the lag was 0. Zero if none was late.
pub(crate) fn caught_up(logs: &[Log], since: Duration, tolerance: Duration) -> Duration {
    let receipts = receipts(logs);
    let late = deliveries(logs).filter(|(id, at)| receipts.get(id).is_some_and(|receipt| *at > *receipt + tolerance));
    late.map(|(_, at)| at).max().unwrap_or_default().saturating_sub(since)
}

/// The longest that a message with a RECEIPT waited until the first of its subscribers had it: how long the way from the
/// bus to the nodes stood still, whatever the subscribers' own connections did meanwhile.
pub(crate) fn stall(logs: &[Log]) -> Duration {
    let mut first: HashMap<Uuid, Duration> = HashMap::new();
    for (id, at) in deliveries(logs) {
        let first = first.entry(id).or_insert(at);
        *first = at.min(*first);
    }
    let waited = receipts(logs).into_iter().filter_map(|(id, receipt)| Some(first.get(&id)?.saturating_sub(receipt)));
    waited.max().unwrap_or_default()
}

/// How long after their SEND went out the slowest hundredth of what was sent in this time had come to a subscriber; none
/// if nothing was.
pub(crate) fn slowest_hundredth(logs: &[Log], time: &Range<Duration>) -> Option<Duration> {
    let mut first_sent: HashMap<Uuid, Duration> = HashMap::new();
    for entry in logs.iter().flat_map(|log| &log.entries) {
        if let What::Sent { id, .. } = &entry.what {
            first_sent.entry(*id).or_insert(entry.at);
        }
    }
    let took = deliveries(logs).filter_map(|(id, at)| {
        let sent = first_sent.get(&id).filter(|sent| time.contains(*sent))?;
        Some(at.saturating_sub(*sent))
    });
    let mut took: Vec<_> = took.collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied()
}

fn receipts(logs: &[Log]) -> HashMap<Uuid, Duration> {
    sent(logs).into_iter().filter_map(|(id, sent)| Some((id, sent.receipted?))).collect()
}

fn deliveries(logs: &[Log]) -> impl Iterator<Item = (Uuid, Duration)> {
    logs.iter().flat_map(|log| &log.entries).filter_map(|entry| match &entry.what {
        What::Received { id, .. } => Some((*id, entry.at)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use footfall::message::{Epoch, Position};

    use super::*;
    use crate::driver::Entry;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One message, sent at 1 s, receipted at 2 s, and delivered at these.
    fn run(delivered: &[u64]) -> Vec<Log> {
        let (destination, id) = ("/topic/a", Uuid::from_u128(1));
        let position = Position { epoch: Epoch(1), sequence: 1 };
        let connected = What::Connected { node: 0 };
        let mut whats = vec![(0, connected.clone()), (1, What::Sent { destination: destination.into(), id }), (2, What::Receipted { id })];
        whats.extend(delivered.iter().map(|at| (*at, What::Received { destination: destination.into(), position, id })));
        whats.push((20, connected));
        vec![Log { client: "all".to_owned(), entries: whats.into_iter().map(|(at, what)| Entry { at: seconds(at), what }).collect() }]
    }

    #[test]
    fn a_lag_ends_with_the_last_late_delivery() {
        let logs = run(&[3, 9, 5]);
        assert_eq!(caught_up(&logs, seconds(4), seconds(1)), seconds(5));
        assert_eq!(caught_up(&logs, seconds(4), seconds(7)), seconds(0));
    }

    #[test]
    fn a_stall_ends_with_the_first_delivery() {
        assert_eq!(stall(&run(&[9, 5])), seconds(3));
        assert_eq!(stall(&run(&[1])), seconds(0));
        assert_eq!(stall(&run(&[])), seconds(0));
    }

    #[test]
    fn the_slowest_hundredth_is_of_what_was_sent_in_that_time() {
        let logs = run(&[5, 9]);
        let slowest = |from, to| slowest_hundredth(&logs, &(seconds(from)..seconds(to)));
        assert!(slowest(0, 100).is_some());
        assert_eq!(slowest(50, 100), None, "nothing was sent then");
    }
}
