//! The partitions of one member of the group, as both sides see them: what the reading thread was given and has read,
//! and what the consumer was told and asked for. Pure: no Kafka, no threads.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::bus::{Assignment, Batch, Event, MAX_BATCH, Mark, Partition, Record, Unreadable};

/// What a partition may hold ready; beyond it, it is paused. A few batches, so that reading goes on while one is stored.
const MOST_RECORDS: usize = 4 * MAX_BATCH;
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// One record of the log, or what stands there instead.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) size: usize,
    pub(super) timestamp_ms: i64,
    pub(super) content: Result<Record, Unreadable>,
}

impl Entry {
    fn mark(&self) -> Mark {
        let key = match &self.content {
            Ok(record) => bytes::Bytes::copy_from_slice(record.message.destination.as_str().as_bytes()),
            Err(unreadable) => unreadable.raw.key.clone().unwrap_or_default(),
        };
        Mark { key, timestamp_ms: self.timestamp_ms }
    }
}

/// Names one `start` of one partition; what was read for an earlier one is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Run(u64);

/// Where the reading thread is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) run: Run,
}

/// About an assignment: where does its partition stand?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) number: u32,
    assignment: u64,
}

/// What of a partition is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) number: u32,
    pub(super) next: u64,
}

/// So many questions are asked at a time; half as many about partitions whose leader was silent before, so that one
/// silent leader never keeps the others' partitions.
const MOST_QUESTIONS: usize = 8;

/// What is assigned together is told together, unless a part of it takes so long that the others would wait for it.
const TOGETHER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// Questions without an answer.
    asked: usize,
    slots: BTreeMap<u32, Slot>,
    /// Counts assignments and starts.
    count: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// The assignment that the consumer knows of.
    told: Option<u64>,
    /// The one that is in force.
    owned: Option<Owned>,
}

#[derive(Debug)]
struct Owned {
    /// Its own number: a partition that went and came back is another assignment.
    id: u64,
    since: Instant,
    /// None until its offsets were looked up.
    found: Option<Assignment>,
    search: Search,
    run: Option<Reading>,
    /// All before this is done, as the consumer says.
    done: Option<u64>,
    /// It was not sent to Kafka since.
    commit_due: bool,
}

/// How often its offsets were asked for in vain, and when the next time is; none while somebody is asking.
#[derive(Debug)]
struct Search {
    failures: u32,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Reading {
    run: Run,
    /// Where it is to begin, until the thread has gone there.
    start: Option<u64>,
    ready: VecDeque<Entry>,
    bytes: usize,
    /// A batch is out.
    out: bool,
}

// The thread's side.
impl Partitions {
    pub(super) fn assigned(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.count += 1;
            let since = Instant::now();
            let search = Search { failures: 0, due: Some(since) };
            let owned = Owned { id: self.count, since, found: None, search, run: None, done: None, commit_due: false };
            self.slots.entry(number).or_default().owned = Some(owned);
        }
    }

    /// Gives them up.
    pub(super) fn revoked(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.owned = None;
            }
        }
    }

    /// Its position in the log is lost: to the consumer it is revoked and assigned anew.
    pub(super) fn lost(&mut self, number: u32) {
        if self.slots.get(&number).is_some_and(|slot| slot.owned.is_some()) {
            self.assigned([number]);
        }
    }

    /// What is to be asked now, new partitions first. Each is asked until it is [`Self::found`] or [`Self::not_found`].
    pub(super) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let owned = self.slots.iter_mut().filter_map(|(number, slot)| Some((*number, slot.owned.as_mut()?)));
        let mut due: Vec<_> = owned.filter(|(_, owned)| owned.found.is_none() && owned.search.due.is_some_and(|due| due <= now)).collect();
        due.sort_by_key(|(number, owned)| (owned.search.failures, *number));
        let mut questions = Vec::new();
        for (number, owned) in due {
            let most = if owned.search.failures == 0 { MOST_QUESTIONS } else { MOST_QUESTIONS / 2 };
            if self.asked < most {
                self.asked += 1;
                owned.search.due = None;
                questions.push(Question { number, assignment: owned.id });
            }
        }
        questions
    }

    pub(super) fn found(&mut self, question: Question, assignment: Assignment) {
        self.asked -= 1;
        if let Some(owned) = self.assignment(question.number, question.assignment) {
            owned.found = Some(assignment);
        }
    }

    pub(super) fn not_found(&mut self, question: Question, again_at: Instant) {
        self.asked -= 1;
        if let Some(owned) = self.assignment(question.number, question.assignment) {
            owned.search = Search { failures: owned.search.failures.saturating_add(1), due: Some(again_at) };
        }
    }

    /// Whether some were found of which the consumer does not know yet.
    pub(super) fn has_news(&self) -> bool {
        self.slots.values().any(|slot| slot.told.is_none() && slot.owned.as_ref().is_some_and(|owned| owned.found.is_some()))
    }

    /// Where to go, until [`Self::is_there`] says that it was done.
    pub(super) fn starts(&self) -> Vec<Start> {
        let start = |(number, slot): (&u32, &Slot)| {
            let reading = slot.owned.as_ref()?.run.as_ref()?;
            Some(Start { number: *number, offset: reading.start?, run: reading.run })
        };
        self.slots.iter().filter_map(start).collect()
    }

    pub(super) fn is_there(&mut self, start: Start) {
        if let Some(reading) = self.reading(start.number, start.run) {
            reading.start = None;
        }
    }

    /// Whether this run still is the one. The entry is dropped if not.
    pub(super) fn push(&mut self, number: u32, run: Run, entry: Entry) {
        if let Some(reading) = self.reading(number, run) {
            reading.bytes += entry.size;
            reading.ready.push_back(entry);
        }
    }

    pub(super) fn is_current(&self, number: u32, run: Run) -> bool {
        let reading = self.slots.get(&number).and_then(|slot| slot.owned.as_ref()?.run.as_ref());
        reading.is_some_and(|reading| reading.run == run && reading.start.is_none())
    }

    pub(super) fn is_full(&self, number: u32) -> bool {
        self.fill(number).is_some_and(|(records, bytes)| records >= MOST_RECORDS || bytes >= MOST_BYTES)
    }

    /// Half empty: going on earlier would throw away more of what was fetched ahead than it would read.
    pub(super) fn has_room(&self, number: u32) -> bool {
        self.fill(number).is_none_or(|(records, bytes)| records <= MOST_RECORDS / 2 && bytes <= MOST_BYTES / 2)
    }

    fn fill(&self, number: u32) -> Option<(usize, usize)> {
        let reading = self.slots.get(&number)?.owned.as_ref()?.run.as_ref()?;
        Some((reading.ready.len(), reading.bytes))
    }

    /// Each partition with the offset before which all is done, whether or not Kafka knows of it; none if where one stands
    /// was not found yet.
    pub(super) fn done(&self) -> Option<Vec<(u32, u64)>> {
        let owned = self.slots.iter().filter_map(|(number, slot)| Some((*number, slot.owned.as_ref()?)));
        let done = |(number, owned): (u32, &Owned)| {
            let found = owned.found.as_ref()?;
            Some((number, found.log_start.max(found.committed.max(owned.done).unwrap_or_default())))
        };
        owned.map(done).collect()
    }

    /// What is to be committed now.
    pub(super) fn take_commits(&mut self) -> Vec<Commit> {
        let take = |(number, slot): (&u32, &mut Slot)| {
            let owned = slot.owned.as_mut().filter(|owned| owned.commit_due)?;
            owned.commit_due = false;
            Some(Commit { number: *number, next: owned.done? })
        };
        self.slots.iter_mut().filter_map(take).collect()
    }

    /// All that was committed is to be committed once more: nobody is told whether Kafka took it.
    pub(super) fn commit_again(&mut self) {
        for owned in self.slots.values_mut().filter_map(|slot| slot.owned.as_mut()) {
            owned.commit_due = owned.done.is_some();
        }
    }

    fn assignment(&mut self, number: u32, id: u64) -> Option<&mut Owned> {
        self.owned(number).filter(|owned| owned.id == id)
    }

    fn owned(&mut self, number: u32) -> Option<&mut Owned> {
        self.slots.get_mut(&number)?.owned.as_mut()
    }

    fn reading(&mut self, number: u32, run: Run) -> Option<&mut Reading> {
        self.owned(number)?.run.as_mut().filter(|reading| reading.run == run)
    }
}

// The consumer's side.
impl Partitions {
    /// The next event, if there is one; revocations first, since what they are about is another node's already.
    pub(super) fn next(&mut self, now: Instant, partition: impl Fn(u32) -> Partition, with_records: bool) -> Option<Event> {
        let mut revoked = Vec::new();
        for (number, slot) in &mut self.slots {
            if slot.told.is_some() && slot.told != slot.owned.as_ref().map(|owned| owned.id) {
                slot.told = None;
                revoked.push(partition(*number));
            }
        }
        self.slots.retain(|_, slot| slot.told.is_some() || slot.owned.is_some());
        if !revoked.is_empty() {
            return Some(Event::Revoked(revoked));
        }
        let mut assigned = Vec::new();
        let others_come = self.others_come(now);
        for slot in self.slots.values_mut().filter(|_| !others_come) {
            if let (None, Some(Owned { id, found: Some(found), .. })) = (slot.told, &slot.owned) {
                slot.told = Some(*id);
                assigned.push(found.clone());
            }
        }
        if !assigned.is_empty() {
            return Some(Event::Assigned(assigned));
        }
        let slots = self.slots.iter_mut().filter(|_| with_records);
        let batches: Vec<_> = slots.filter_map(|(number, slot)| slot.known()?.run.as_mut()?.take_batch(partition(*number))).collect();
        (!batches.is_empty()).then_some(Event::Records(batches))
    }

    /// Whether offsets of an assignment are about to be found.
    fn others_come(&self, now: Instant) -> bool {
        self.slots
            .values()
            .filter_map(|slot| slot.owned.as_ref())
            .any(|owned| owned.found.is_none() && owned.search.failures == 0 && now.saturating_duration_since(owned.since) < TOGETHER)
    }

    pub(super) fn start(&mut self, number: u32, offset: u64) {
        self.count += 1;
        let run = Run(self.count);
        if let Some(owned) = self.known(number) {
            owned.run = Some(Reading { run, start: Some(offset), ready: VecDeque::new(), bytes: 0, out: false });
        }
    }

    pub(super) fn more(&mut self, number: u32) {
        if let Some(reading) = self.known(number).and_then(|owned| owned.run.as_mut()) {
            reading.out = false;
        }
    }

    pub(super) fn commit(&mut self, number: u32, next: u64) {
        if let Some(owned) = self.known(number).filter(|owned| owned.done < Some(next)) {
            owned.done = Some(next);
            owned.commit_due = true;
        }
    }

    fn known(&mut self, number: u32) -> Option<&mut Owned> {
        self.slots.get_mut(&number)?.known()
    }
}

impl Slot {
    /// What the consumer means when it names this partition.
    fn known(&mut self) -> Option<&mut Owned> {
        self.owned.as_mut().filter(|owned| self.told == Some(owned.id))
    }
}

impl Reading {
    fn take_batch(&mut self, partition: Partition) -> Option<Batch> {
        if self.out || self.ready.is_empty() {
            return None;
        }
        self.out = true;
        let count = self.ready.len().min(MAX_BATCH);
        let last = &self.ready[count - 1];
        let (end, mark) = (last.offset + 1, Some(last.mark()));
        let (mut records, mut unreadable) = (Vec::with_capacity(count), Vec::new());
        for entry in self.ready.drain(..count) {
            self.bytes -= entry.size;
            match entry.content {
                Ok(record) => records.push((entry.offset, record)),
                Err(bad) => unreadable.push(bad),
            }
        }
        Some(Batch { partition, records, unreadable, end, mark })
    }
}
