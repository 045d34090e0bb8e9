//! The thread that reads broadcast: fixes positions, polls, drops what nobody here wants, and says how far it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use super::Shared;
use super::queue::Entry;
use crate::bus::kafka::cloud_event::{Place, View, decode, peek};
use crate::bus::kafka::error::sentence;
use crate::bus::kafka::log::{Log, raw, unsigned};
use crate::bus::{Topic, Unreadable};

const POLL: Duration = Duration::from_millis(100);

/// So many records are taken from librdkafka before the consumer gets them.
const MOST_AT_ONCE: usize = 256;

/// For each question to Kafka that the thread waits for.
const ANSWER: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(200);

/// Whoever subscribes waits so long for positions.
const FIXED_WITHIN: Duration = Duration::from_secs(20);

/// For Kafka's tools, and for nothing else.
const SHOW_EVERY: Duration = Duration::from_secs(5);

type Client = BaseConsumer<Listening>;

struct Listening(Arc<Log>);

impl ClientContext for Listening {
    fn error(&self, failure: ClientError, reason: &str) {
        if failure.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.health.failure();
        }
        debug!(error = sentence(&failure), reason, "the reader of broadcast reports");
    }
}

impl ConsumerContext for Listening {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(failure) = result {
            debug!(error = sentence(&failure), "how far this node has read could not be shown in Kafka");
        }
    }
}

/// Reads until the consumer is gone; `fixed` hears when its positions are.
pub(super) fn run(shared: &Shared, config: &ClientConfig, fixed: oneshot::Sender<()>) {
    let client = match config.create_with_context::<_, Client>(Listening(Arc::clone(&shared.log))) {
        Ok(client) => client,
        Err(failure) => {
            error!(error = sentence(&failure), "the reader of broadcast could not be made");
            return;
        }
    };
    let mut reader = Reader { shared, client: &client, unanswered: BTreeSet::new(), next: Vec::new() };
    if let Err(failure) = reader.begin() {
        error!(error = sentence(&failure), "the ends of the broadcast topic could not be read");
        return;
    }
    let begun = Instant::now();
    let mut fixed = Some(fixed);
    let mut show_at = begun;
    while !shared.closing.load(Ordering::Acquire) {
        if !reader.read() {
            return;
        }
        if reader.unanswered.is_empty() && shared.progress.lost.swap(false, Ordering::Relaxed) {
            // Whoever waited may have gone away.
            fixed.take().map(|fixed| fixed.send(()).ok());
        }
        let now = Instant::now();
        if fixed.is_some() && now > begun + FIXED_WITHIN {
            error!(partitions = ?reader.unanswered, "not every partition of the broadcast topic answered in time");
            return;
        }
        if fixed.is_none() && now >= show_at {
            reader.show();
            show_at = now + SHOW_EVERY;
        }
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    client: &'a Client,
    /// Partitions whose first fetch was not answered yet.
    unanswered: BTreeSet<u32>,
    /// The offset that is due, by partition.
    next: Vec<u64>,
}

impl Reader<'_> {
    fn topic(&self) -> &str {
        &self.shared.log.broadcast
    }

    fn numbers(&self) -> std::ops::Range<u32> {
        0..self.shared.log.partitions
    }

    /// Begins at the ends that the log has now.
    fn begin(&mut self) -> KafkaResult<()> {
        let begun = Instant::now();
        for number in self.numbers() {
            let end = loop {
                match self.client.fetch_watermarks(self.topic(), raw(number), ANSWER) {
                    Ok((_, end)) => break end,
                    Err(failure) if begun.elapsed() > FIXED_WITHIN || self.shared.closing.load(Ordering::Acquire) => return Err(failure),
                    Err(_) => drop(self.client.poll(RETRY)),
                }
            };
            self.shared.progress.next[number as usize].store(unsigned(end), Ordering::Relaxed);
            self.next.push(unsigned(end));
        }
        self.assign()
    }

    fn assign(&mut self) -> KafkaResult<()> {
        let list = self.list()?;
        self.client.assign(&list)?;
        self.unanswered = self.numbers().collect();
        Ok(())
    }

    fn list(&self) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(self.next.len());
        for (number, next) in self.numbers().zip(&self.next) {
            list.add_partition_offset(self.topic(), raw(number), Offset::Offset(i64::try_from(*next).unwrap_or(i64::MAX)))?;
        }
        Ok(list)
    }

    /// Takes what is there. False if this client can't go on.
    fn read(&mut self) -> bool {
        let mut entries = Vec::new();
        let mut patience = POLL;
        for _ in 0..MOST_AT_ONCE {
            match self.client.poll(patience) {
                None => break,
                Some(Ok(message)) => entries.extend(self.take(&message)),
                Some(Err(ClientError::PartitionEOF(number))) => {
                    self.shared.log.health.contact();
                    self.unanswered.retain(|unanswered| raw(*unanswered) != number);
                }
                Some(Err(ClientError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => self.lost(),
                Some(Err(ClientError::MessageConsumptionFatal(code))) => {
                    error!(%code, "the reader of broadcast can't go on");
                    return false;
                }
                Some(Err(failure)) => warn!(error = sentence(&failure), "reading broadcast failed, librdkafka tries again"),
            }
            patience = Duration::ZERO;
        }
        self.hand_over(entries);
        true
    }

    fn hand_over(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let mut queue = self.shared.queue.lock();
        for entry in entries {
            queue.push(entry);
        }
        self.shared.waker.wake();
        // Nothing more is polled meanwhile, and librdkafka stops fetching.
        while queue.is_full() && !self.shared.closing.load(Ordering::Acquire) {
            self.shared.room.wait_for(&mut queue, POLL);
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<Entry> {
        let number = u32::try_from(message.partition()).ok()?;
        let offset = u64::try_from(message.offset()).ok()?;
        let due = self.next.get_mut(number as usize)?;
        if offset < *due {
            return None;
        }
        *due = offset + 1;
        self.shared.progress.next[number as usize].store(offset + 1, Ordering::Relaxed);
        self.unanswered.remove(&number);
        let view = View::of(message);
        let wanted = self.shared.wanted.load();
        if let (Some(wanted), Some((key, id))) = (&*wanted, peek(&view))
            && !wanted(key, id)
        {
            return None;
        }
        let log = &self.shared.log;
        let place = Place {
            topic: Topic::Broadcast,
            partition: number,
            partitions: log.partitions,
            timestamp_ms: message.timestamp().to_millis(),
            reserved: log.reserved,
        };
        let content = decode(&view, place).map_err(|reason| Unreadable { offset, reason, raw: view.to_raw() });
        Some(Entry { number, offset, size: view.size(), content })
    }

    /// The log does not have a position any more: it was cut, or this node slept for longer than records are kept. There
    /// reading goes on at the log's end; gates find what they missed by their heads, and read it from the store.
    fn lost(&mut self) {
        self.shared.progress.lost.store(true, Ordering::Relaxed);
        self.shared.log.health.set_behind(true);
        for number in self.numbers() {
            let Ok((start, end)) = self.client.fetch_watermarks(self.topic(), raw(number), ANSWER) else { continue };
            let (start, end) = (unsigned(start), unsigned(end));
            let next = &mut self.next[number as usize];
            if !(start..=end).contains(next) {
                error!(
                    partition = number,
                    position = *next,
                    start,
                    end,
                    "the broadcast topic lost this node's position; going on at its end"
                );
                *next = end;
                self.shared.progress.next[number as usize].store(end, Ordering::Relaxed);
            }
        }
        // All are assigned again: one whose position was lost can't be moved otherwise.
        if let Err(failure) = self.assign() {
            error!(error = sentence(&failure), "the broadcast topic could not be assigned again");
        }
    }

    /// Shows how far this node has read.
    fn show(&self) {
        let shown = self.list().and_then(|list| self.client.commit(&list, CommitMode::Async));
        if let Err(failure) = shown {
            debug!(error = sentence(&failure), "how far this node has read could not be shown in Kafka");
        }
    }
}
