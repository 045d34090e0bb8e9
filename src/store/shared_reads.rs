//! A store whose readers share: when many ask for the same at once, as after a node died, one read answers all of them.
//!
//! Knows nothing of what is read. It belongs here and not in the edge, which is about gates, and not in an adapter, since
//! a store that is a file needs none.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::error::repeated;
use super::{Append, Appended, Claim, Keep, Kept, Owner, PageLimit, PartitionKey, RevocationPage, Store, StoreError};
use crate::message::{Destination, Epoch, Message, Revocation, Revoked};

/// The same is read once in this time on average, and at most twice at once: a lone subscriber who asks again after its
/// gate did is not held up, and of ten thousand all but the first wait for the second or a later one.
const APART: Duration = Duration::from_millis(100);

/// How many reads are remembered before those that are over are looked for.
const REMEMBERED: usize = 64;

/// Decorates a store that is far away. Who alone asks for something, once or twice in a while, is not held up.
#[derive(Debug)]
pub struct SharedReads {
    store: Arc<dyn Store>,
    heads: Reads<(PartitionKey, Destination), Kept>,
    pages: Reads<Page, Vec<Arc<Message>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Page {
    partition: PartitionKey,
    destination: Destination,
    after: u64,
    through: u64,
    messages: usize,
    bytes: usize,
}

impl SharedReads {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, heads: Reads::default(), pages: Reads::default() }
    }
}

type Answer<A> = Shared<BoxFuture<'static, Result<A, Arc<StoreError>>>>;

/// One kind of reads, by what is asked.
struct Reads<K, A: Clone>(Mutex<Latest<K, A>>);

struct Latest<K, A: Clone> {
    reads: HashMap<K, Read<A>>,
    tidy_at: usize,
}

/// The latest read of its kind, under way, to come or over. Those who wait for it keep the answer alive, nobody else.
struct Read<A: Clone> {
    /// Set when it began: from when on the next may begin.
    next: Arc<OnceLock<Instant>>,
    answer: WeakShared<BoxFuture<'static, Result<A, Arc<StoreError>>>>,
}

impl<K, A: Clone> Default for Reads<K, A> {
    fn default() -> Self {
        Self(Mutex::new(Latest { reads: HashMap::new(), tidy_at: REMEMBERED }))
    }
}

impl<K, A: Clone> Debug for Reads<K, A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} remembered", self.0.lock().reads.len())
    }
}

impl<K: Eq + Hash, A: Clone + Send + Sync + 'static> Reads<K, A> {
    /// What a read that begins after this call finds.
    ///
    /// Nobody is given what a read found that had begun before. A gate is made first and its head read then, so that
    /// nothing falls between; a head from before would miss what was stored since, and that was broadcast before there
    /// was a gate to hold it. The same goes for a page: it may end below messages which its reader knows to exist. So a
    /// read that is under way is joined by nobody; one that is still to come is joined by all.
    async fn ask(
        &self,
        key: K,
        read: impl FnOnce() -> BoxFuture<'static, Result<A, StoreError>> + Send + 'static,
    ) -> Result<A, StoreError> {
        let answer = self.join(key, read);
        answer.await.map_err(|error| repeated(&error))
    }

    fn join(&self, key: K, read: impl FnOnce() -> BoxFuture<'static, Result<A, StoreError>> + Send + 'static) -> Answer<A> {
        let mut latest = self.0.lock();
        let (not_before, under_way) = match latest.reads.get(&key) {
            Some(Read { next, answer }) => match (next.get(), answer.upgrade()) {
                (None, Some(to_come)) => return to_come,
                (not_before, under_way) => (not_before.copied(), under_way),
            },
            None => (None, None),
        };
        let next = Arc::new(OnceLock::new());
        let begins = Arc::clone(&next);
        let answer = async move {
            // A store that failed while we waited has failed us too: otherwise two time limits would add up.
            if let Some(under_way) = under_way
                && let Err(error) = under_way.await
            {
                return Err(error);
            }
            if let Some(not_before) = not_before {
                sleep_until(not_before).await;
            }
            // After a rest the next may follow at once; in a row each is due that much after the one before was.
            begins.get_or_init(|| not_before.map_or_else(Instant::now, |due| (due + APART).max(Instant::now())));
            read().await.map_err(Arc::new)
        };
        let answer = answer.boxed().shared();
        if let Some(weak) = answer.downgrade() {
            latest.remember(key, Read { next, answer: weak });
        }
        answer
    }
}

impl<K: Eq + Hash, A: Clone> Latest<K, A> {
    /// Bounded by who waits and what was read just now: what is over is forgotten, seldom enough to cost nothing.
    fn remember(&mut self, key: K, read: Read<A>) {
        if self.reads.len() >= self.tidy_at {
            self.reads.retain(|_, read| read.answer.upgrade().is_some() || read.next.get().is_some_and(|next| next.elapsed() < APART));
            self.tidy_at = (self.reads.len() * 2).max(REMEMBERED);
        }
        self.reads.insert(key, read);
    }
}

impl Store for SharedReads {
    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>> {
        let store = Arc::clone(&self.store);
        let key = (partition.clone(), destination.clone());
        self.heads.ask(key, move || async move { store.kept(partition, destination).await }.boxed()).boxed()
    }

    fn page(
        &self,
        partition: PartitionKey,
        destination: Destination,
        after: u64,
        through: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Arc<Message>>, StoreError>> {
        let store = Arc::clone(&self.store);
        let (key_partition, key_destination) = (partition.clone(), destination.clone());
        let PageLimit { messages, bytes } = limit;
        let key = Page { partition: key_partition, destination: key_destination, after, through, messages, bytes };
        self.pages.ask(key, move || async move { store.page(partition, destination, after, through, limit).await }.boxed()).boxed()
    }

    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>> {
        self.store.claim(partition, owner)
    }

    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        self.store.append(batch)
    }

    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>> {
        self.store.renumber(partition, owner)
    }

    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.adopt(partition, next)
    }

    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.store.owns(partition, owner)
    }

    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>> {
        self.store.destinations(after, limit)
    }

    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.trim(destination, keep)
    }

    fn retention_turn(&self, every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        self.store.retention_turn(every)
    }

    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.forget_ids(age)
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.revoke(revocation)
    }

    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>> {
        self.store.revocations(since_ms, after, limit)
    }

    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.forget_revocations()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.check()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.store.close()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::{join_all, poll_immediate};
    use tokio::time::{advance, sleep, timeout};

    use super::*;

    const SLOW: Duration = Duration::from_millis(30);

    /// Answers which read it was, after a while.
    #[derive(Default)]
    struct Counted {
        reads: Reads<&'static str, u64>,
        begun: Arc<AtomicU64>,
        takes: Duration,
        fails: bool,
    }

    impl Counted {
        async fn ask(&self, key: &'static str) -> Result<u64, StoreError> {
            let (begun, takes, fails) = (Arc::clone(&self.begun), self.takes, self.fails);
            let read = move || {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    sleep(takes).await;
                    if fails { Err(StoreError::Unavailable("away".into())) } else { Ok(number) }
                }
                .boxed()
            };
            self.reads.ask(key, read).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_who_ask_during_a_read_share_the_next_one() {
        let counted = Counted { takes: SLOW, ..Counted::default() };
        let mut first = counted.ask("a").boxed();
        assert!(poll_immediate(&mut first).await.is_none());
        let begun = Instant::now();
        let others = join_all((0..10_000).map(|_| counted.ask("a")));
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first.unwrap(), 1);
        assert!(others.into_iter().all(|answer| answer.unwrap() == 2), "the first had begun before they asked");
        assert_eq!(begun.elapsed(), 2 * SLOW);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_read_once_in_a_while_however_often_it_is_asked_for() {
        let counted = Counted::default();
        let begun = Instant::now();
        for _ in 0..11 {
            counted.ask("a").await.unwrap();
        }
        assert_eq!((begun.elapsed(), counted.begun.load(Ordering::Relaxed)), (9 * APART, 11), "one more than at even steps");
        advance(2 * APART).await;
        let begun = Instant::now();
        counted.ask("a").await.unwrap();
        counted.ask("b").await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for others' reads");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_reader_is_not_held_up() {
        let counted = Counted { takes: SLOW / 10, ..Counted::default() };
        for _ in 0..5 {
            // A gate that opens reads the head, and so does who then wants history.
            let begun = Instant::now();
            assert!(counted.ask("a").await.is_ok() && counted.ask("a").await.is_ok());
            assert_eq!(begun.elapsed(), 2 * counted.takes);
            advance(2 * APART).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_herd_reads_at_even_steps() {
        let counted = Counted { takes: SLOW / 10, ..Counted::default() };
        let asks = (0..1_000_u32).map(|n| async move {
            sleep(n * Duration::from_millis(1)).await;
        });
        let answers = join_all(asks.map(|turn| async {
            turn.await;
            counted.ask("a").await
        }))
        .await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        // Ten in a second, the one that may follow at once, and the one for those who asked last.
        assert!((10..=12).contains(&counted.begun.load(Ordering::Relaxed)), "{:?}", counted.begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_goes_on_for_those_who_still_wait() {
        let counted = Counted { takes: SLOW, ..Counted::default() };
        let mut leaves = counted.ask("a").boxed();
        assert!(poll_immediate(&mut leaves).await.is_none());
        let mut stays = counted.ask("a").boxed();
        assert!(poll_immediate(&mut stays).await.is_none());
        drop(leaves);
        assert_eq!(timeout(Duration::from_secs(1), stays).await.unwrap().unwrap(), 2);
        // All of them leave, the one which had begun and the one which had not.
        for _ in 0..3 {
            drop(timeout(SLOW / 2, counted.ask("a")).await);
        }
        assert!(timeout(Duration::from_secs(1), counted.ask("a")).await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_not_waited_for_twice() {
        let counted = Counted { takes: Duration::from_secs(5), fails: true, ..Counted::default() };
        let begun = Instant::now();
        let mut first = counted.ask("a").boxed();
        assert!(poll_immediate(&mut first).await.is_none());
        let (first, second) = tokio::join!(first, counted.ask("a"));
        assert!(first.unwrap_err().is_retryable() && second.unwrap_err().is_retryable());
        assert_eq!((begun.elapsed(), counted.begun.load(Ordering::Relaxed)), (Duration::from_secs(5), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_forgotten() {
        let reads = Reads::<u64, Arc<()>>::default();
        let answer = Arc::new(());
        for key in 0..10_000 {
            let answer = Arc::clone(&answer);
            drop(reads.ask(key, move || async { Ok(answer) }.boxed()).await);
            if key % 10 == 0 {
                advance(APART).await;
            }
            assert!(reads.0.lock().reads.len() <= 2 * REMEMBERED);
        }
        assert_eq!(Arc::strong_count(&answer), 1, "no answer is kept");
    }
}
