//! The thread of one member of the group: polls, and between two polls does what is due (goes where it is told to start,
//! commits, pauses and resumes). It waits for no broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{error, info, warn};

use super::Shared;
use super::lookup::LookUp;
use super::partitions::{Entry, Run, Start};
use super::rebalance::Client;
use crate::bus::kafka::cloud_event::{Place, View, decode};
use crate::bus::kafka::error::sentence;
use crate::bus::kafka::log::raw;
use crate::bus::{Topic, Unreadable};

/// How long one poll waits; also how soon the thread sees what the consumer asks for.
const POLL: Duration = Duration::from_millis(10);

/// So many records are taken from librdkafka before the consumer gets them.
const MOST_AT_ONCE: usize = 256;

/// librdkafka's own thread answers at once; a seek whose answer is late is done again, to the same place.
const SEEK: Duration = Duration::from_millis(100);

/// Between attempts at what failed, and between two looks for the same reason.
const RETRY: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Offsets are committed at most so often. What is not committed is read again after a crash, and known to the store.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// So often they are committed once more, also if nothing is new.
const COMMIT_AGAIN_EVERY: Duration = Duration::from_secs(5);

/// For the last commit before the member leaves.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// Reads until the consumer is gone. The client leaves its group when the caller drops it.
pub(super) fn run(shared: &Arc<Shared>, client: &Client, lookup: &LookUp) {
    let now = Instant::now();
    let mut thread = Thread {
        shared,
        client,
        lookup,
        flows: HashMap::new(),
        retry_at: now,
        commit_at: now,
        commit_again_at: now + COMMIT_AGAIN_EVERY,
        look_at: now,
    };
    while !shared.closing.load(Ordering::Acquire) {
        if thread.turn().is_err() {
            return;
        }
    }
    thread.leave();
}

/// A client that can't go on.
struct Fatal;

struct Thread<'a> {
    shared: &'a Arc<Shared>,
    client: &'a Client,
    lookup: &'a LookUp,
    flows: HashMap<u32, Flow>,
    retry_at: Instant,
    commit_at: Instant,
    commit_again_at: Instant,
    look_at: Instant,
}

/// A partition that is being read.
struct Flow {
    run: Run,
    /// The offset that is due.
    next: u64,
    paused: bool,
}

impl Thread<'_> {
    fn turn(&mut self) -> Result<(), Fatal> {
        let now = Instant::now();
        self.lookup.ask(self.shared);
        if now >= self.retry_at {
            self.go();
        }
        if now >= self.commit_again_at {
            self.shared.partitions.lock().commit_again();
            self.commit_again_at = now + COMMIT_AGAIN_EVERY;
        }
        if now >= self.commit_at {
            self.client.context().commit(self.client);
            self.lookup.hear();
            self.commit_at = now + COMMIT_EVERY;
        }
        self.resume();
        self.read()?;
        if self.client.context().is_broken() { Err(Fatal) } else { Ok(()) }
    }

    /// Goes to where partitions are to be started, all at once.
    fn go(&mut self) {
        let starts = self.shared.partitions.lock().starts();
        if starts.is_empty() {
            return;
        }
        let there = self.seek(&starts).unwrap_or_else(|failure| {
            info!(error = sentence(&failure), "partitions can't be started yet, trying again");
            Vec::new()
        });
        if there.len() < starts.len() {
            // They are still on their way into the assignment, or out of it.
            self.retry_at = Instant::now() + RETRY;
        }
        let mut partitions = self.shared.partitions.lock();
        for start in there {
            self.flows.insert(start.number, Flow { run: start.run, next: start.offset, paused: false });
            partitions.is_there(start);
        }
    }

    /// Those that are where they are to start.
    fn seek(&self, starts: &[Start]) -> KafkaResult<Vec<Start>> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for start in starts {
            let offset = i64::try_from(start.offset).unwrap_or(i64::MAX);
            list.add_partition_offset(&self.shared.log.events, raw(start.number), Offset::Offset(offset))?;
        }
        let list = self.client.seek_partitions(list, SEEK)?;
        let (mut there, mut resumed) = (Vec::with_capacity(starts.len()), TopicPartitionList::with_capacity(starts.len()));
        for start in starts {
            match list.find_partition(&self.shared.log.events, raw(start.number)).map(|element| element.error()) {
                Some(Ok(())) => {
                    there.push(*start);
                    resumed.add_partition(&self.shared.log.events, raw(start.number));
                }
                failed => info!(?failed, partition = start.number, "a partition can't be started yet, trying again"),
            }
        }
        if !there.is_empty() {
            self.client.resume(&resumed)?;
        }
        Ok(there)
    }

    /// Takes what is there, for at most one poll's time if nothing is.
    fn read(&mut self) -> Result<(), Fatal> {
        let mut read = Vec::new();
        let mut patience = POLL;
        while read.len() < MOST_AT_ONCE {
            match self.client.poll(patience) {
                None => break,
                Some(Ok(message)) => read.extend(self.take(&message)),
                Some(Err(ClientError::MessageConsumptionFatal(code))) => {
                    error!(%code, "the reader of events can't go on");
                    return Err(Fatal);
                }
                Some(Err(failure)) => warn!(error = sentence(&failure), "reading events failed, librdkafka tries again"),
            }
            patience = Duration::ZERO;
        }
        let mut partitions = self.shared.partitions.lock();
        // A poll may have brought a rebalance.
        self.flows.retain(|number, flow| partitions.is_current(*number, flow.run));
        if read.is_empty() {
            return Ok(());
        }
        for (number, run, entry) in read {
            partitions.push(number, run, entry);
        }
        let full: Vec<_> =
            self.flows.iter().filter(|(number, flow)| !flow.paused && partitions.is_full(**number)).map(|(number, _)| *number).collect();
        drop(partitions);
        self.shared.waker.wake();
        self.pause(&full);
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<(u32, Run, Entry)> {
        let number = u32::try_from(message.partition()).ok()?;
        let offset = u64::try_from(message.offset()).ok()?;
        // What was fetched before anyone said from where is not asked for.
        let flow = self.flows.get_mut(&number)?;
        let (run, due) = (flow.run, flow.next);
        if offset < due {
            self.lost(number, due, offset);
            return None;
        }
        flow.next = offset + 1;
        if offset > due {
            self.passed_over(number, due, offset);
        }
        self.shared.log.health.contact();
        let timestamp_ms = message.timestamp().to_millis();
        let view = View::of(message);
        let log = &self.shared.log;
        let place = Place { topic: Topic::Events, partition: number, partitions: log.partitions, timestamp_ms, reserved: log.reserved };
        let content = decode(&view, place).map_err(|reason| Unreadable { offset, reason, raw: view.to_raw() });
        Some((number, run, Entry { offset, size: view.size(), timestamp_ms: timestamp_ms.unwrap_or(-1), content }))
    }

    /// librdkafka went back to the log's beginning, since there was no record at the position any more nor beyond it:
    /// the log was made anew, or lost its end. Whoever owns the partition has to look at it again.
    fn lost(&mut self, number: u32, due: u64, offset: u64) {
        error!(
            partition = number,
            due, offset, "the log of events does not reach the position that was read before; it is looked up again"
        );
        self.flows.remove(&number);
        self.pause(&[number]);
        self.shared.partitions.lock().lost(number);
        self.shared.waker.wake();
    }

    /// Reading goes on at the oldest record there is; why that is not the one that was due is found out beside it.
    fn passed_over(&mut self, number: u32, due: u64, offset: u64) {
        let now = Instant::now();
        if now >= self.look_at {
            self.look_at = now + LOOK_AGAIN;
            self.lookup.explain(self.shared, number, due, offset);
        }
    }

    fn pause(&mut self, numbers: &[u32]) {
        self.change(numbers, true);
    }

    fn resume(&mut self) {
        let partitions = self.shared.partitions.lock();
        let room: Vec<_> =
            self.flows.iter().filter(|(number, flow)| flow.paused && partitions.has_room(**number)).map(|(number, _)| *number).collect();
        drop(partitions);
        self.change(&room, false);
    }

    /// What was fetched ahead of a pause is thrown away, and fetched again after it.
    fn change(&mut self, numbers: &[u32], pause: bool) {
        if numbers.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers {
            list.add_partition(&self.shared.log.events, raw(*number));
        }
        let done = if pause { self.client.pause(&list) } else { self.client.resume(&list) };
        match done {
            Ok(()) => {
                for number in numbers {
                    if let Some(flow) = self.flows.get_mut(number) {
                        flow.paused = pause;
                    }
                }
            }
            // Tried again in the next turn.
            Err(failure) => warn!(error = sentence(&failure), pause, "partitions could not be paused or resumed"),
        }
    }

    /// The last commit, for which the next owner need not wait long.
    fn leave(&self) {
        self.client.context().commit_and_leave(self.client, LAST_COMMIT);
    }
}
