//! What every adapter of the `Store` port must do. An adapter brings a [`Home`] and calls `store_contract!`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appending;
mod identity;
mod keeping;
mod owning;
mod revoking;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use footfall::message::{Destination, Epoch, Message, RenderedOnce, UserName, new_id};
use footfall::store::{Append, Appended, Claim, Kept, Owner, PageLimit, PartitionKey, Store};
use uuid::Uuid;

pub(crate) use appending::*;
pub(crate) use identity::*;
pub(crate) use keeping::*;
pub(crate) use owning::*;
pub(crate) use revoking::*;

/// Where a store lives; opening it again finds what was there.
pub(crate) trait Home: Send + Sync {
    fn open(&self) -> impl Future<Output = Arc<dyn Store>> + Send;
}

/// The whole suite as tests, each in a home of its own.
macro_rules! store_contract {
    ($home:expr) => {
        crate::contracts::store::store_contract!(@ $home;
            sequences_of_each_destination_run_without_holes
            a_batch_read_again_has_the_same_sequences
            a_retry_from_another_offset_is_known
            an_id_twice_in_a_batch_is_stored_once
            what_lies_below_the_position_is_only_looked_up
            a_batch_without_messages_moves_the_position
            a_fenced_writer_writes_nothing
            a_partition_that_was_never_claimed_has_no_writer
            two_owners_racing_leave_one
            a_batch_is_stored_as_a_whole_or_not_at_all
            halves_find_the_message_that_can_not_be_stored
            the_head_outlives_the_messages
            a_page_ends_by_messages_and_by_bytes
            a_page_has_what_was_asked_for
            trimming_by_count_keeps_the_newest
            trimming_by_age_leaves_no_hole
            trimming_many_removes_them_all
            ids_are_known_however_short_messages_are_kept
            retention_is_told_the_time
            eight_partitions_write_at_once
            everything_is_there_when_opened_again
            an_epoch_is_there_before_the_first_claim
            partitions_do_not_share_positions
            a_log_that_nobody_accepted_is_refused
            an_adopted_log_goes_on_with_the_numbering
            a_partition_can_be_adopted_before_it_was_claimed
            a_mark_goes_with_the_position
            a_store_that_was_put_back_writes_nothing
            a_new_numbering_goes_on_from_the_heads
            destinations_are_listed_in_order
            messages_come_back_as_they_were
            a_text_with_a_nul_comes_back_or_is_rejected
            of_two_revocations_the_later_times_win
            a_token_and_a_user_of_one_name_are_apart
            whoever_is_revoked_comes_back_as_he_was
            revocations_are_read_page_by_page
            what_was_revoked_since_is_told
            what_has_lapsed_is_not_listed_and_then_forgotten
            retention_forgets_revocations
            revocations_are_there_when_opened_again
            revocations_at_once_leave_the_latest_times
            revoking_and_appending_go_on_beside_each_other
            a_closed_store_says_so
        );
    };
    (@ $home:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::contracts::store::$case(&$home).await;
            }
        )*
    };
}
pub(crate) use store_contract;

pub(crate) fn partition(number: u32) -> PartitionKey {
    PartitionKey { log: "log-1".into(), topic: "events".into(), number }
}

pub(crate) fn owner() -> Owner {
    Owner(Uuid::new_v4())
}

pub(crate) fn topic(name: &str) -> Destination {
    Destination::parse(&format!("/topic/{name}")).unwrap()
}

pub(crate) fn message(destination: &Destination) -> Arc<Message> {
    message_with(destination, new_id(), 1_000, Bytes::from_static(b"hello"))
}

pub(crate) fn message_with(destination: &Destination, id: Uuid, timestamp_ms: u64, body: Bytes) -> Arc<Message> {
    Arc::new(Message {
        id,
        destination: destination.clone(),
        sender: Some(UserName::new("alice").unwrap()),
        session: Some("s1".into()),
        timestamp_ms,
        content_type: Some("text/plain".into()),
        headers: [("k".into(), "v".into())].into(),
        body,
        position: None,
        rendered: RenderedOnce::default(),
    })
}

/// A claimed partition, and where its log goes on.
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) partition: PartitionKey,
    pub(crate) owner: Owner,
    pub(crate) next: u64,
    pub(crate) epoch: Epoch,
}

impl Writer {
    pub(crate) async fn claim(store: &Arc<dyn Store>, number: u32) -> Self {
        let (partition, owner) = (partition(number), owner());
        let Claim { next, epoch, .. } = store.claim(partition.clone(), owner).await.unwrap();
        Self { store: Arc::clone(store), partition, owner, next, epoch }
    }

    /// The batch that these messages would be, read from the log now.
    pub(crate) fn batch(&self, messages: &[Arc<Message>]) -> Append {
        let messages: Vec<_> = (self.next..).zip(messages.iter().cloned()).collect();
        let end = self.next + messages.len() as u64;
        Append { partition: self.partition.clone(), owner: self.owner, messages, end, mark: None, at_least: 0 }
    }

    pub(crate) async fn append(&mut self, messages: &[Arc<Message>]) -> Vec<Appended> {
        let batch = self.batch(messages);
        self.next = batch.end;
        self.store.append(batch).await.unwrap()
    }

    async fn kept(&self, destination: &Destination) -> Kept {
        self.store.kept(self.partition.clone(), destination.clone()).await.unwrap()
    }

    /// Everything that is kept of a destination, page by page.
    pub(crate) async fn all(&self, destination: &Destination) -> Vec<Arc<Message>> {
        let mut all: Vec<Arc<Message>> = Vec::new();
        loop {
            let after = all.last().map_or(0, |message| message.position.unwrap().sequence);
            let page = self.store.page(self.partition.clone(), destination.clone(), after, u64::MAX, PageLimit::REPLAY).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    fn stored(&self, sequence: u64) -> Appended {
        Appended::Stored { epoch: self.epoch, sequence }
    }

    fn known(&self, sequence: u64) -> Appended {
        Appended::Known { epoch: self.epoch, sequence }
    }
}

pub(crate) fn sequences(messages: &[Arc<Message>]) -> Vec<u64> {
    messages.iter().map(|message| message.position.unwrap().sequence).collect()
}

pub(crate) fn many(destination: &Destination, count: usize) -> Vec<Arc<Message>> {
    (0..count).map(|_| message(destination)).collect()
}
