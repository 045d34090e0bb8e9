//! *Broadcast* in memory: a bounded queue a reader.

use std::fmt::{self, Debug};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::batch;
use crate::bus::{BusError, Consumer, Event, MAX_BATCH, Partition, Record, Wanted};

pub(super) struct BroadcastConsumer {
    pub(super) records: mpsc::Receiver<Record>,
    pub(super) partition: Partition,
    pub(super) next: u64,
    pub(super) wanted: Wanted,
}

impl Debug for BroadcastConsumer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BroadcastConsumer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Consumer for BroadcastConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        async {
            let mut records = Vec::new();
            if self.records.recv_many(&mut records, MAX_BATCH).await == 0 {
                return Err(BusError::Closed);
            }
            let first = self.next;
            self.next += records.len() as u64;
            let mut batch = batch(&self.partition, first, (first..).zip(records).collect());
            batch.records.retain(|(_, record)| (self.wanted)(record.message.destination.as_str(), record.message.id));
            Ok(Event::Records(vec![batch]))
        }
        .boxed()
    }

    // Positions of a live queue: there is nothing to go back to.
    fn start(&mut self, _partition: &Partition, _offset: u64) {}

    fn more(&mut self, _partition: &Partition) {}

    fn only(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    fn commit(&mut self, _partition: &Partition, _next: u64) {}
}
