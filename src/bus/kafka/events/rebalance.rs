//! What a member does when its group gives it partitions or takes them: a new one is paused until somebody says from
//! where it is to be read, and a lost one is committed as far as it was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, error, info, warn};

use super::Shared;
use super::membership::{Change, Membership};
use super::partitions::Commit;
use crate::bus::kafka::error::{KafkaError, sentence};
use crate::bus::kafka::log::raw;

/// What librdkafka calls the states of a member that has its coordinator, and whose group is not about to be divided anew.
const MEMBER: (&str, &str) = ("up", "steady");

pub(super) type Client = BaseConsumer<Member>;

pub(super) struct Member {
    shared: Arc<Shared>,
    /// A change in the group could not be followed, so what this member reads is not what its group thinks.
    broken: AtomicBool,
    /// All was committed for the last time.
    leaving: AtomicBool,
    membership: Mutex<Membership>,
}

pub(super) fn client(config: &ClientConfig, shared: &Arc<Shared>) -> Result<Client, KafkaError> {
    let member = Member {
        shared: Arc::clone(shared),
        broken: AtomicBool::new(false),
        leaving: AtomicBool::new(false),
        membership: Mutex::new(Membership::new(Instant::now())),
    };
    let client: Client = config.create_with_context(member)?;
    client.subscribe(&[&shared.log.events])?;
    Ok(client)
}

impl Member {
    /// It can only leave: a partition might be assigned to it that it ignores.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Commits what is due, and does not wait. Nor does it ever hear: librdkafka answers those that do not wait through a
    /// function that `rdkafka` does not set. So everything is committed once more now and then, and after each rebalance, in
    /// which what is on its way is refused.
    pub(super) fn commit(&self, client: &Client) {
        self.send(client, CommitMode::Async);
    }

    /// Commits all that may not have arrived before it is another's, and waits for the answer, which in a rebalance is near.
    fn commit_last(&self, client: &Client) {
        self.shared.partitions.lock().commit_again();
        self.send(client, CommitMode::Sync);
    }

    fn send(&self, client: &Client, mode: CommitMode) {
        let due = self.shared.partitions.lock().take_commits();
        let Some(list) = self.list(&due) else { return };
        if let Err(failure) = client.commit(&list, mode) {
            debug!(error = sentence(&failure), "offsets could not be committed, they are tried again");
        }
    }

    /// The last commit of all. It is over when the coordinator has answered the question behind it, since it takes one after
    /// another; a commit that waits for its own answer could not be given up.
    pub(super) fn commit_and_leave(&self, client: &Client, at_most: Duration) {
        self.leaving.store(true, Ordering::Relaxed);
        self.shared.partitions.lock().commit_again();
        self.commit(client);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.shared.log.events, 0);
        if let Err(failure) = client.committed_offsets(list, at_most) {
            debug!(error = sentence(&failure), "the last commit may not have arrived; what it has is read again");
        }
    }

    fn list(&self, commits: &[Commit]) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for commit in commits {
            let next = i64::try_from(commit.next).ok()?;
            list.add_partition_offset(&self.shared.log.events, raw(commit.number), Offset::Offset(next)).ok()?;
        }
        (!commits.is_empty()).then_some(list)
    }

    /// The numbers of a list; those beyond what the topic began with are not read (the monitor speaks of them).
    fn numbers(&self, list: &TopicPartitionList) -> Vec<u32> {
        let numbers = list.elements().into_iter().filter_map(|element| u32::try_from(element.partition()).ok());
        numbers.filter(|number| *number < self.shared.log.partitions).collect()
    }

    fn assign(&self, client: &Client, list: &mut TopicPartitionList) -> KafkaResult<()> {
        // An explicit offset, so that librdkafka does not look one up by itself; nothing is read before `start` anyway.
        list.set_all_offsets(Offset::Offset(0))?;
        client.incremental_assign(list)?;
        client.pause(list)?;
        let numbers = self.numbers(list);
        if !numbers.is_empty() {
            info!(partitions = ?numbers, "assigned");
        }
        let mut partitions = self.shared.partitions.lock();
        // Also if nothing came: the group has been divided anew.
        partitions.commit_again();
        partitions.assigned(numbers);
        Ok(())
    }

    fn revoke(&self, client: &Client, list: &TopicPartitionList) -> KafkaResult<()> {
        // The group may have gone on without this member; then its commits would be refused.
        if !client.assignment_lost() && !self.leaving.load(Ordering::Relaxed) {
            self.commit_last(client);
        }
        let numbers = self.numbers(list);
        if !numbers.is_empty() {
            info!(partitions = ?numbers, lost = client.assignment_lost(), "revoked");
        }
        self.shared.partitions.lock().revoked(numbers);
        self.shared.waker.wake();
        client.incremental_unassign(list)
    }
}

impl ClientContext for Member {
    fn error(&self, failure: ClientError, reason: &str) {
        if failure.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.shared.log.health.failure();
        }
        debug!(error = sentence(&failure), reason, "the reader of events reports");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(group) = statistics.cgrp else { return };
        match self.membership.lock().look((&*group.state, &*group.join_state) == MEMBER, Instant::now()) {
            Some(Change::Out(time)) => {
                let seconds = time.as_secs();
                warn!(
                    seconds,
                    state = group.state,
                    join_state = group.join_state,
                    "this node is no member of the group that stores events"
                );
            }
            Some(Change::Back) => info!("this node is a member of the group that stores events again"),
            None => {}
        }
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, client: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(client, list),
            _ => self.revoke(client, list),
        };
        if let Err(failure) = done {
            error!(error = sentence(&failure), "a change in the group could not be followed; the reader of events ends");
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}
