//! Storing a batch that may hold what can't be stored: it is found by halving, put away in the dead-letter topic with
//! its reason, and passed over. Only what the store itself calls impossible is: a store that is away refuses nothing. A batch
//! that is too much for the store at once is halved too.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::partition::{Fate, Unfinished, Worker, wait};
use crate::bus::{Batch, BusError, Dead, DeadLetter};
use crate::message::Message;
use crate::store::Append;

/// Between attempts while a dead letter can't be put away.
const RETRY: Duration = Duration::from_millis(50);

/// Stores the batch and says what became of each message. Afterwards the partition stands at its end.
pub(super) async fn append(worker: &mut Worker, batch: &Batch) -> Result<Vec<(Arc<Message>, Fate)>, Unfinished> {
    // Before the position moves: after a crash in between they are put away twice, and never not at all.
    for unreadable in &batch.unreadable {
        put_away(worker, unreadable.offset, unreadable.reason.clone(), Dead::Raw(unreadable.raw.clone())).await;
    }
    let mut fates = Vec::with_capacity(batch.records.len());
    // The last of them is next.
    let mut ranges: Vec<_> = std::iter::once(0..batch.records.len()).collect();
    while let Some(range) = ranges.pop() {
        let piece = piece(worker, batch, range.clone());
        match worker.append(&piece).await {
            Ok(appended) => {
                worker.at_least = worker.at_least.max(piece.end);
                fates.extend(piece.messages.into_iter().map(|(_, message)| message).zip(appended.into_iter().map(Fate::Appended)));
            }
            Err(Unfinished::Rejected(reason)) if range.len() == 1 => {
                let (offset, record) = &batch.records[range.start];
                put_away(worker, *offset, reason, Dead::Record(record.clone())).await;
                fates.push((Arc::clone(&record.message), Fate::Refused));
                if range.end == batch.records.len() {
                    // Nothing else would move the position behind it.
                    ranges.push(range.end..range.end);
                }
            }
            Err(Unfinished::Rejected(reason)) if range.is_empty() => {
                tracing::error!(partition = worker.partition.number, reason, "the store takes nothing of this batch, not even its end");
                wait(&mut RETRY.clone()).await;
                ranges.push(range);
            }
            Err(Unfinished::Rejected(_) | Unfinished::Late) => {
                let middle = range.start + range.len() / 2;
                ranges.extend([middle..range.end, range.start..middle]);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(fates)
}

fn piece(worker: &Worker, batch: &Batch, range: Range<usize>) -> Append {
    let is_last = range.end == batch.records.len();
    let end = if is_last { batch.end } else { batch.records[range.end].0 };
    Append {
        partition: worker.key(),
        owner: worker.owner,
        messages: batch.records[range].iter().map(|(offset, record)| (*offset, Arc::clone(&record.message))).collect(),
        end,
        mark: batch.mark.clone().filter(|_| is_last),
        at_least: worker.at_least,
    }
}

async fn put_away(worker: &Worker, offset: u64, reason: String, record: Dead) {
    let letter = DeadLetter { partition: worker.partition.clone(), offset, reason, record };
    tracing::error!(
        partition = letter.partition.number,
        offset,
        reason = letter.reason,
        "a record can't be taken and goes to the dead-letter topic"
    );
    let mut pause = RETRY;
    while let Err(error) = worker.bus.dead_letter(letter.clone()).await {
        if error == BusError::TooLarge {
            // No repetition makes it smaller; where it stands in the log was said above.
            return tracing::error!(%error, "a record is too large for the dead-letter topic");
        }
        tracing::warn!(%error, "a dead letter can't be put away, trying again");
        wait(&mut pause).await;
    }
}
