//! Whether the log and the store still are the ones that belong together.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use footfall::message::Mark;
use footfall::store::{Append, Kept, PartitionKey, StoreError};

use super::{Home, Writer, many, message, owner, partition, sequences, topic};

fn in_another_log() -> PartitionKey {
    PartitionKey { log: "log-2".into(), ..partition(0) }
}

fn mark(key: &'static str, timestamp_ms: i64) -> Mark {
    Mark { key: Bytes::from_static(key.as_bytes()), timestamp_ms }
}

pub(crate) async fn a_log_that_nobody_accepted_is_refused(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let claim = log.store.claim(in_another_log(), owner()).await;
    assert!(matches!(&claim, Err(StoreError::OtherLog(log)) if log == "log-1"), "{claim:?}");
    let kept = log.store.kept(in_another_log(), topic("a")).await;
    assert!(matches!(&kept, Err(StoreError::OtherLog(log)) if log == "log-1"), "{kept:?}");
    let batch = Append { partition: in_another_log(), ..log.batch(&[message(&topic("a"))]) };
    assert!(matches!(log.store.append(batch).await, Err(StoreError::Fenced)));
    assert!(log.store.owns(log.partition.clone(), log.owner).await.unwrap(), "the refused took nothing");
    // The same log's other partitions are not in its way, nor are those of another topic.
    log.store.claim(PartitionKey { number: 1, ..in_another_log() }, owner()).await.unwrap();
    log.store.claim(PartitionKey { topic: "other".into(), ..in_another_log() }, owner()).await.unwrap();
}

pub(crate) async fn an_adopted_log_goes_on_with_the_numbering(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let sent = many(&a, 3);
    log.append(&sent).await;
    log.store.append(Append { end: 4, mark: Some(mark("k", 5)), ..log.batch(&[]) }).await.unwrap();
    for _ in 0..2 {
        log.store.adopt(in_another_log(), 1).await.unwrap();
    }

    assert!(matches!(log.store.append(log.batch(&[message(&a)])).await, Err(StoreError::Fenced)));
    assert!(!log.store.owns(log.partition.clone(), log.owner).await.unwrap());
    assert!(!log.store.owns(in_another_log(), log.owner).await.unwrap(), "nobody owns it yet");
    let old = log.store.claim(partition(0), owner()).await;
    assert!(matches!(&old, Err(StoreError::OtherLog(log)) if log == "log-2"), "{old:?}");

    let (partition, owner) = (in_another_log(), owner());
    let claim = log.store.claim(partition.clone(), owner).await.unwrap();
    assert_eq!((claim.next, claim.epoch, claim.mark), (1, log.epoch, None));
    let mut log = Writer { partition, owner, next: claim.next, epoch: claim.epoch, store: Arc::clone(&log.store) };
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 3, first: 1 });
    assert_eq!(log.append(&[message(&a), message(&a), Arc::clone(&sent[1])]).await, [log.stored(4), log.stored(5), log.known(2)]);
    assert_eq!(sequences(&log.all(&a).await), [1, 2, 3, 4, 5]);
}

pub(crate) async fn a_partition_can_be_adopted_before_it_was_claimed(home: &impl Home) {
    let store = home.open().await;
    store.adopt(partition(0), 7).await.unwrap();
    assert_eq!(Writer::claim(&store, 0).await.next, 7);
    // Back again, and in the log that it is in.
    store.adopt(partition(0), 2).await.unwrap();
    assert_eq!(Writer::claim(&store, 0).await.next, 2);
}

pub(crate) async fn a_mark_goes_with_the_position(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let claimed = async || {
        let claim = log.store.claim(partition(0), log.owner).await.unwrap();
        (claim.next, claim.mark)
    };
    let append = async |end, mark| drop(log.store.append(Append { end, mark, ..log.batch(&[]) }).await.unwrap());
    assert_eq!(claimed().await, (0, None));
    append(3, Some(mark("/topic/a", 17))).await;
    assert_eq!(claimed().await, (3, Some(mark("/topic/a", 17))));
    append(3, Some(mark("/topic/a", 17))).await;
    append(2, Some(mark("/topic/older", 16))).await;
    assert_eq!(claimed().await, (3, Some(mark("/topic/a", 17))), "of a batch that is read again");
    append(4, Some(mark("", -1))).await;
    assert_eq!(claimed().await, (4, Some(mark("", -1))), "whatever a key or a time may be");
    append(5, None).await;
    assert_eq!(claimed().await, (5, None), "the mark of another record is none");
    append(6, Some(mark("k", 18))).await;
    log.store.close().await;
    let claim = home.open().await.claim(partition(0), owner()).await.unwrap();
    assert_eq!((claim.next, claim.mark), (6, Some(mark("k", 18))), "it is there when the store is opened again");
}

pub(crate) async fn a_store_that_was_put_back_writes_nothing(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    log.append(&many(&a, 4)).await;
    let next = log.batch(&many(&a, 2));
    let behind = log.store.append(Append { at_least: 5, ..next.clone() }).await;
    assert!(matches!(behind, Err(StoreError::Behind)), "{behind:?}");
    assert_eq!(log.kept(&a).await.head, 4);
    let fenced = log.store.append(Append { at_least: 5, owner: owner(), ..next.clone() }).await;
    assert!(matches!(fenced, Err(StoreError::Fenced)), "what somebody else stored is not this one's to judge: {fenced:?}");
    assert_eq!(log.store.append(Append { at_least: 4, ..next }).await.unwrap(), [log.stored(5), log.stored(6)]);
}

pub(crate) async fn a_new_numbering_goes_on_from_the_heads(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let mut other = Writer::claim(&log.store, 1).await;
    let (a, b) = (topic("a"), topic("b"));
    let sent = many(&a, 3);
    log.append(&sent).await;
    other.append(&[message(&b)]).await;
    assert!(matches!(log.store.renumber(log.partition.clone(), owner()).await, Err(StoreError::Fenced)));
    assert_eq!(log.kept(&a).await.epoch, log.epoch, "who owns nothing changes nothing");

    let epoch = log.store.renumber(log.partition.clone(), log.owner).await.unwrap();
    assert_ne!(epoch, log.epoch);
    log.epoch = epoch;
    assert_eq!(log.kept(&a).await, Kept { epoch, head: 3, first: 1 });
    assert_eq!(log.append(&[Arc::clone(&sent[0]), message(&a)]).await, [log.known(1), log.stored(4)]);
    let all = log.all(&a).await;
    assert_eq!(sequences(&all), [1, 2, 3, 4]);
    assert!(all.iter().all(|message| message.position.unwrap().epoch == epoch));
    assert_eq!(other.kept(&b).await.epoch, other.epoch, "others keep theirs");
    let claim = log.store.claim(log.partition.clone(), owner()).await.unwrap();
    assert_eq!((claim.next, claim.epoch), (5, epoch));
}
