//! Who may write, and what outlives a writer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use footfall::store::{Append, Keep, Kept, PageLimit, PartitionKey, StoreError};

use super::{Home, Writer, many, message, of_token, owner, partition, sequences, topic};

pub(crate) async fn a_fenced_writer_writes_nothing(home: &impl Home) {
    let mut zombie = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    zombie.append(&[message(&a)]).await;
    let mut log = Writer::claim(&zombie.store, 0).await;
    assert_eq!((log.next, log.epoch), (1, zombie.epoch));
    let late = zombie.batch(&many(&a, 5));
    assert!(matches!(zombie.store.append(late.clone()).await, Err(StoreError::Fenced)));
    assert!(matches!(zombie.store.append(Append { end: 99, ..zombie.batch(&[]) }).await, Err(StoreError::Fenced)));
    let owns = |owner| log.store.owns(log.partition.clone(), owner);
    assert!(owns(log.owner).await.unwrap() && !owns(zombie.owner).await.unwrap());
    // Neither a row, nor a counter, nor an id, nor the position.
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 1, first: 1 });
    assert_eq!(log.store.append(Append { owner: log.owner, ..late }).await.unwrap(), (2..=6).map(|n| log.stored(n)).collect::<Vec<_>>());
    log.next = 6;
    assert_eq!(log.append(&[message(&a)]).await, [log.stored(7)]);
}

pub(crate) async fn a_partition_that_was_never_claimed_has_no_writer(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let other = Append { partition: partition(1), ..log.batch(&[message(&topic("a"))]) };
    assert!(matches!(log.store.append(other).await, Err(StoreError::Fenced)));
    assert!(!log.store.owns(partition(1), log.owner).await.unwrap());
}

pub(crate) async fn two_owners_racing_leave_one(home: &impl Home) {
    let store = home.open().await;
    let a = topic("a");
    for round in 0..20 {
        let race = async || {
            let mut log = Writer::claim(&store, 0).await;
            let batch = log.batch(&[message(&a)]);
            log.next = batch.end;
            (log.owner, store.append(batch).await)
        };
        let (one, two) = tokio::join!(race(), race());
        let mut owners = 0;
        for (owner, _) in [&one, &two] {
            owners += u32::from(store.owns(partition(0), *owner).await.unwrap());
        }
        assert_eq!(owners, 1, "round {round}");
        for (owner, answer) in [one, two] {
            let stored = answer.is_ok();
            assert!(stored || matches!(answer, Err(StoreError::Fenced)), "round {round}");
            assert!(stored || !store.owns(partition(0), owner).await.unwrap(), "round {round}: the owner was fenced");
        }
    }
    let log = Writer::claim(&store, 0).await;
    let all = log.all(&a).await;
    assert_eq!(sequences(&all), (1..=log.next).collect::<Vec<_>>(), "one message an offset, whoever wrote it");
}

pub(crate) async fn everything_is_there_when_opened_again(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 3).await;
    let a = topic("a");
    let sent = many(&a, 5);
    log.append(&sent).await;
    log.store.trim(a.clone(), Keep { count: Some(2), not_before_ms: None }).await.unwrap();
    let before = log.kept(&a).await;
    log.store.close().await;

    let store = home.open().await;
    assert!(store.owns(log.partition.clone(), log.owner).await.unwrap(), "an owner outlives a restart of the store");
    let mut again = Writer::claim(&store, 3).await;
    assert_eq!((again.next, again.epoch), (5, log.epoch));
    assert_eq!(again.kept(&a).await, before);
    assert_eq!(sequences(&again.all(&a).await), [4, 5]);
    assert_eq!(again.append(&[Arc::clone(&sent[4]), message(&a)]).await, [again.known(5), again.stored(6)]);
}

pub(crate) async fn an_epoch_is_there_before_the_first_claim(home: &impl Home) {
    let store = home.open().await;
    let kept = store.kept(partition(0), topic("a")).await.unwrap();
    assert_eq!((kept.head, kept.first), (0, 1));
    let log = Writer::claim(&store, 0).await;
    assert_eq!((log.epoch, log.next), (kept.epoch, 0), "a receipt may already have named it");
    assert_eq!(store.kept(partition(0), topic("a")).await.unwrap(), kept);
    assert!(store.owns(partition(0), log.owner).await.unwrap(), "asking takes no ownership");
    assert_ne!(store.kept(partition(1), topic("a")).await.unwrap().epoch, kept.epoch);
}

pub(crate) async fn partitions_do_not_share_positions(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&many(&topic("a"), 4)).await;
    for other in [PartitionKey { topic: "other".into(), ..partition(0) }, PartitionKey { number: 1, ..partition(0) }] {
        let claim = log.store.claim(other, owner()).await.unwrap();
        assert_eq!(claim.next, 0);
        assert_ne!(claim.epoch, log.epoch);
    }
    assert!(log.store.owns(log.partition.clone(), log.owner).await.unwrap());
}

pub(crate) async fn a_closed_store_says_so(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    log.append(&[message(&a)]).await;
    // What was begun before is finished.
    let (batch, store) = (log.batch(&many(&a, 100)), Arc::clone(&log.store));
    let (answers, ()) = tokio::join!(store.append(batch.clone()), store.close());
    store.close().await;
    assert!(matches!(store.append(batch).await, Err(StoreError::Closed)));
    assert!(matches!(store.claim(partition(0), owner()).await, Err(StoreError::Closed)));
    assert!(matches!(store.kept(partition(0), a.clone()).await, Err(StoreError::Closed)));
    assert!(matches!(store.page(partition(0), a.clone(), 0, 9, PageLimit::REPLAY).await, Err(StoreError::Closed)));
    assert!(matches!(store.trim(a.clone(), Keep { count: Some(0), not_before_ms: None }).await, Err(StoreError::Closed)));
    assert!(matches!(store.forget_ids(Duration::ZERO).await, Err(StoreError::Closed)));
    assert!(matches!(store.revoke(of_token("j", 1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.revocations(0, None, 9).await, Err(StoreError::Closed)));
    assert!(matches!(store.forget_revocations().await, Err(StoreError::Closed)));
    assert!(matches!(store.check().await, Err(StoreError::Closed)));
    let again = Writer::claim(&home.open().await, 0).await;
    let heads = HashMap::from([(true, 101), (false, 1)]);
    assert_eq!(again.kept(&a).await.head, heads[&answers.is_ok()], "it was told the truth");
}
