//! What was read from broadcast and not taken yet, partition by partition. Pure: no Kafka, no threads.

use std::collections::BTreeMap;

use crate::bus::{Batch, Event, MAX_BATCH, Partition, Record, Unreadable};

/// The edge never waits, so this fills only when the node can't keep up at all; then the reader waits.
const MOST_RECORDS: usize = 8 * MAX_BATCH;
const MOST_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeMap<u32, Ready>,
    records: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Ready {
    records: Vec<(u64, Record)>,
    unreadable: Vec<Unreadable>,
    end: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) size: usize,
    pub(super) content: Result<Record, Unreadable>,
}

impl Queue {
    pub(super) fn push(&mut self, entry: Entry) {
        let ready = self.ready.entry(entry.number).or_default();
        ready.end = entry.offset + 1;
        self.records += 1;
        self.bytes += entry.size;
        match entry.content {
            Ok(record) => ready.records.push((entry.offset, record)),
            Err(unreadable) => ready.unreadable.push(unreadable),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.records >= MOST_RECORDS || self.bytes >= MOST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// All there is, in batches of at most [`MAX_BATCH`].
    pub(super) fn take(&mut self, partition: impl Fn(u32) -> Partition) -> Option<Event> {
        if self.is_empty() {
            return None;
        }
        let mut batches = Vec::new();
        let mut left = BTreeMap::new();
        let (mut left_records, mut left_bytes) = (0, 0);
        for (number, mut ready) in std::mem::take(&mut self.ready) {
            let mut end = ready.end;
            if ready.records.len() + ready.unreadable.len() > MAX_BATCH {
                let rest = ready.cut();
                end = ready.end;
                left_records += rest.records.len() + rest.unreadable.len();
                left_bytes += self.bytes / self.records * (rest.records.len() + rest.unreadable.len());
                left.insert(number, rest);
            }
            batches.push(Batch { partition: partition(number), records: ready.records, unreadable: ready.unreadable, end, mark: None });
        }
        (self.ready, self.records, self.bytes) = (left, left_records, left_bytes);
        Some(Event::Records(batches))
    }
}

impl Ready {
    /// What follows the first batch.
    fn cut(&mut self) -> Self {
        let mut offsets: Vec<_> =
            self.records.iter().map(|(offset, _)| *offset).chain(self.unreadable.iter().map(|bad| bad.offset)).collect();
        offsets.sort_unstable();
        let first_left = offsets[MAX_BATCH];
        let records = self.records.split_off(self.records.partition_point(|(offset, _)| *offset < first_left));
        let unreadable = self.unreadable.split_off(self.unreadable.partition_point(|bad| bad.offset < first_left));
        Self { records, unreadable, end: std::mem::replace(&mut self.end, first_left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::RawRecord;

    fn entry(number: u32, offset: u64) -> Entry {
        let unreadable = Unreadable { offset, reason: "for a test".into(), raw: RawRecord::default() };
        Entry { number, offset, size: 10, content: Err(unreadable) }
    }

    fn taken(queue: &mut Queue) -> Vec<(u32, Vec<u64>, u64)> {
        let Some(Event::Records(batches)) = queue.take(|number| Partition { log: "a".into(), topic: "b".into(), number }) else {
            return vec![];
        };
        batches
            .into_iter()
            .map(|batch| (batch.partition.number, batch.unreadable.iter().map(|bad| bad.offset).collect(), batch.end))
            .collect()
    }

    #[test]
    fn all_partitions_are_taken_at_once_and_large_ones_in_batches() {
        let mut queue = Queue::default();
        assert_eq!(taken(&mut queue), []);
        for offset in 0..1200 {
            queue.push(entry(1, offset));
        }
        queue.push(entry(0, 7));
        assert_eq!(taken(&mut queue), [(0, vec![7], 8), (1, (0..500).collect(), 500)]);
        assert_eq!(taken(&mut queue), [(1, (500..1000).collect(), 1000)]);
        queue.push(entry(1, 1200));
        assert_eq!(taken(&mut queue), [(1, (1000..1201).collect(), 1201)]);
        assert_eq!(taken(&mut queue), []);
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn it_is_full_by_records_or_bytes() {
        let mut queue = Queue::default();
        (0..4000).for_each(|offset| {
            assert!(!queue.is_full());
            queue.push(entry(0, offset));
        });
        assert!(queue.is_full());
        let mut queue = Queue::default();
        queue.push(Entry { size: MOST_BYTES, ..entry(0, 0) });
        assert!(queue.is_full());
        drop(taken(&mut queue));
        assert!(!queue.is_full());
    }
}
