//! The partitions of one member of the group, as both sides see them: what the reading thread was given and has read,
//! and what the consumer was told and asked for. Pure: no Kafka, no threads.

use std::collections::{BTreeMap, VecDeque};

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

#[derive(Debug, Default)]
pub(super) struct Partitions {
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
    /// None until its offsets were looked up.
    found: Option<Assignment>,
    run: Option<Reading>,
    /// To be committed, and what Kafka is known to have.
    commit: Option<u64>,
    committed: u64,
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
            let owned = Owned { id: self.count, found: None, run: None, commit: None, committed: 0 };
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

    /// Those whose offsets are to be looked up.
    pub(super) fn unknown(&self) -> Vec<u32> {
        let unknown = self.slots.iter().filter(|(_, slot)| slot.owned.as_ref().is_some_and(|owned| owned.found.is_none()));
        unknown.map(|(number, _)| *number).collect()
    }

    pub(super) fn found(&mut self, assignment: Assignment) {
        if let Some(owned) = self.owned(assignment.partition.number) {
            owned.committed = assignment.committed.unwrap_or_default();
            owned.found = Some(assignment);
        }
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

    /// What is to be committed now. It counts as committed until [`Self::commit_failed`].
    pub(super) fn take_commits(&mut self) -> Vec<(u32, u64)> {
        let take = |(number, slot): (&u32, &mut Slot)| Some((*number, slot.owned.as_mut()?.commit.take()?));
        self.slots.iter_mut().filter_map(take).collect()
    }

    pub(super) fn commit_succeeded(&mut self, number: u32, next: u64) {
        if let Some(owned) = self.owned(number) {
            owned.committed = owned.committed.max(next);
        }
    }

    /// It is tried again with the next one.
    pub(super) fn commit_failed(&mut self, number: u32, next: u64) {
        if let Some(owned) = self.owned(number)
            && next > owned.committed
        {
            owned.commit = owned.commit.max(Some(next));
        }
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
    pub(super) fn next(&mut self, partition: impl Fn(u32) -> Partition, with_records: bool) -> Option<Event> {
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
        for slot in self.slots.values_mut() {
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
        if let Some(owned) = self.known(number) {
            owned.commit = owned.commit.max(Some(next));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::RawRecord;

    fn named(number: u32) -> Partition {
        Partition { log: "cluster".into(), topic: "events".into(), number }
    }

    fn entry(offset: u64) -> Entry {
        let unreadable = Unreadable { offset, reason: "for a test".into(), raw: RawRecord::default() };
        Entry { offset, size: 100, timestamp_ms: 5, content: Err(unreadable) }
    }

    fn assignment(number: u32) -> Assignment {
        Assignment { partition: named(number), committed: Some(3), log_start: 0, log_end: 10 }
    }

    /// One partition that is read from 3 on.
    fn reading() -> (Partitions, Run) {
        let mut partitions = Partitions::default();
        partitions.assigned([0]);
        partitions.found(assignment(0));
        assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
        partitions.start(0, 3);
        let start = partitions.starts()[0];
        assert_eq!((start.number, start.offset), (0, 3));
        partitions.is_there(start);
        assert_eq!(partitions.starts(), []);
        (partitions, start.run)
    }

    fn next(partitions: &mut Partitions) -> Option<Event> {
        partitions.next(named, true)
    }

    fn offsets(event: Option<Event>) -> Vec<u64> {
        let Some(Event::Records(batches)) = event else { panic!("no records: {event:?}") };
        batches[0].unreadable.iter().map(|unreadable| unreadable.offset).collect()
    }

    #[test]
    fn an_assignment_is_told_once_it_was_looked_up() {
        let mut partitions = Partitions::default();
        partitions.assigned([0, 1]);
        assert!(next(&mut partitions).is_none());
        assert_eq!(partitions.unknown(), [0, 1]);
        partitions.found(assignment(1));
        assert!(matches!(next(&mut partitions), Some(Event::Assigned(told)) if told == [assignment(1)]));
        assert_eq!(partitions.unknown(), [0]);
        assert!(next(&mut partitions).is_none());
    }

    #[test]
    fn one_batch_is_out_at_a_time() {
        let (mut partitions, run) = reading();
        for offset in 3..1000 {
            partitions.push(0, run, entry(offset));
        }
        assert_eq!(offsets(next(&mut partitions)), (3..503).collect::<Vec<_>>());
        assert!(next(&mut partitions).is_none());
        partitions.more(0);
        let Some(Event::Records(batches)) = next(&mut partitions) else { panic!("the rest") };
        assert_eq!((batches[0].end, batches[0].mark.as_ref().map(|mark| mark.timestamp_ms)), (1000, Some(5)));
    }

    #[test]
    fn what_was_read_for_an_earlier_start_is_nobodys() {
        let (mut partitions, before) = reading();
        partitions.push(0, before, entry(3));
        partitions.start(0, 1);
        assert!(next(&mut partitions).is_none(), "what lay ready is gone");
        assert!(!partitions.is_current(0, before));
        partitions.push(0, before, entry(4));
        assert!(next(&mut partitions).is_none());
        let start = partitions.starts()[0];
        assert!(!partitions.is_current(0, start.run), "the thread is not there yet");
        partitions.is_there(start);
        partitions.push(0, start.run, entry(1));
        assert_eq!(offsets(next(&mut partitions)), [1]);
    }

    #[test]
    fn a_partition_that_went_and_came_back_is_revoked_first_and_not_started() {
        let (mut partitions, run) = reading();
        partitions.push(0, run, entry(3));
        partitions.revoked([0]);
        partitions.assigned([0]);
        partitions.found(assignment(0));
        // Neither is for the new assignment, of which the consumer does not know.
        partitions.start(0, 7);
        partitions.commit(0, 9);
        assert_eq!((partitions.starts(), partitions.take_commits()), (vec![], vec![]));
        assert!(matches!(next(&mut partitions), Some(Event::Revoked(told)) if told == [named(0)]));
        assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
        assert!(next(&mut partitions).is_none());
    }

    #[test]
    fn a_partition_whose_position_is_lost_is_assigned_anew() {
        let (mut partitions, run) = reading();
        partitions.lost(0);
        assert!(!partitions.is_current(0, run));
        assert_eq!(partitions.unknown(), [0]);
        assert!(matches!(next(&mut partitions), Some(Event::Revoked(_))));
        partitions.lost(1);
        assert_eq!(partitions.unknown(), [0], "what is not owned can't be lost");
    }

    #[test]
    fn a_full_partition_has_room_again_when_it_is_half_empty() {
        let (mut partitions, run) = reading();
        for offset in 0..2000 {
            assert!(!partitions.is_full(0), "{offset}");
            partitions.push(0, run, entry(offset));
        }
        assert!(partitions.is_full(0));
        drop(next(&mut partitions));
        assert!(!partitions.has_room(0));
        partitions.more(0);
        drop(next(&mut partitions));
        assert!(partitions.has_room(0));
        let large = Entry { size: MOST_BYTES, ..entry(2000) };
        partitions.push(0, run, large);
        assert!(partitions.is_full(0));
    }

    #[test]
    fn a_commit_that_failed_is_tried_again_unless_a_later_one_succeeded() {
        let (mut partitions, _) = reading();
        partitions.commit(0, 5);
        partitions.commit(0, 4);
        assert_eq!(partitions.take_commits(), [(0, 5)]);
        assert_eq!(partitions.take_commits(), []);
        partitions.commit_failed(0, 5);
        partitions.commit(0, 6);
        assert_eq!(partitions.take_commits(), [(0, 6)]);
        partitions.commit_succeeded(0, 6);
        partitions.commit_failed(0, 5);
        assert_eq!(partitions.take_commits(), []);
    }

    #[test]
    fn records_can_be_held_back_and_news_not() {
        let (mut partitions, run) = reading();
        partitions.push(0, run, entry(3));
        assert!(partitions.next(named, false).is_none());
        partitions.revoked([0]);
        assert!(matches!(partitions.next(named, false), Some(Event::Revoked(_))));
    }
}
