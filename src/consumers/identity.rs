//! Whether a log is the one that the store was filled from: a topic that was made anew, or another cluster, would
//! otherwise be read from a position that means nothing in it.

use std::time::Duration;

use super::partition::wait;
use crate::bus::{Assignment, Bus};
use crate::store::Claim;

/// Between attempts while the log can't be looked into.
const RETRY: Duration = Duration::from_millis(50);

/// What is wrong, as a sentence, if the log of this partition is another one than the store knows. Asks until the bus
/// answers.
pub async fn other_log(bus: &dyn Bus, assignment: &Assignment, claim: &Claim) -> Option<String> {
    let last = claim.next.checked_sub(1)?;
    if claim.mark.is_none() && claim.next <= assignment.log_end {
        return None;
    }
    let mut pause = RETRY;
    // Asked for now: since the assignment another owner may have gone on, or retention.
    let (found, (_, log_end)) = loop {
        match (bus.mark(&assignment.partition, last).await, bus.ends(&assignment.partition).await) {
            (Ok(found), Ok(ends)) => break (found, ends),
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "the last stored record can't be looked up, trying again"),
        }
        wait(&mut pause).await;
    };
    match (found, &claim.mark) {
        (Some(found), Some(mark)) if found != *mark => Some(format!("Record {last} is not the one that was stored last.")),
        (None, _) if claim.next > log_end => Some(format!("The log ends at {log_end}, before record {last}, which was stored last.")),
        _ => None,
    }
}
