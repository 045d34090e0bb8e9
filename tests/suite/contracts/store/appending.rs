//! Numbering, and storing once whatever is read or sent again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use footfall::message::{Destination, Message, new_id};
use footfall::store::{Append, Appended, Kept, StoreError};
use uuid::Uuid;

use super::{Home, Writer, many, message, message_with, sequences, topic};

pub(crate) async fn sequences_of_each_destination_run_without_holes(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let (a, b) = (topic("a"), topic("b"));
    let answers = log.append(&[message(&a), message(&b), message(&a), message(&a)]).await;
    assert_eq!(answers, [log.stored(1), log.stored(1), log.stored(2), log.stored(3)]);
    // More than any one statement inserts, and not a round number.
    let rest = many(&a, 299);
    let answers = log.append(&rest).await;
    assert_eq!(answers, (4..=302).map(|sequence| log.stored(sequence)).collect::<Vec<_>>());
    assert_eq!(log.append(&[message(&b)]).await, [log.stored(2)]);

    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 302, first: 1 });
    assert_eq!(log.kept(&b).await, Kept { epoch: log.epoch, head: 2, first: 1 });
    assert_eq!(log.kept(&topic("c")).await, Kept { epoch: log.epoch, head: 0, first: 1 });
    assert_eq!(sequences(&log.all(&a).await), (1..=302).collect::<Vec<_>>());
    let ids = |messages: &[Arc<Message>]| messages.iter().map(|message| message.id).collect::<Vec<_>>();
    assert_eq!(ids(&log.all(&a).await[3..]), ids(&rest));
}

pub(crate) async fn a_batch_read_again_has_the_same_sequences(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let first = log.batch(&many(&a, 3));
    let answers = log.store.append(first.clone()).await.unwrap();
    // A crash between commit and broadcast: another owner reads the same records, and some that came since.
    let mut log = Writer::claim(&log.store, 0).await;
    assert_eq!(log.next, first.end);
    assert_eq!(log.store.append(Append { owner: log.owner, ..first.clone() }).await.unwrap(), answers);
    let mut longer = Append { owner: log.owner, ..first };
    longer.messages.push((longer.end, message(&a)));
    longer.end += 1;
    log.next = longer.end;
    assert_eq!(log.store.append(longer).await.unwrap(), [answers, vec![log.stored(4)]].concat());
    assert_eq!(log.append(&[message(&a)]).await, [log.stored(5)]);
    assert_eq!(sequences(&log.all(&a).await), [1, 2, 3, 4, 5]);
}

pub(crate) async fn a_retry_from_another_offset_is_known(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let sent = message(&a);
    assert_eq!(log.append(&[message(&a), Arc::clone(&sent)]).await, [log.stored(1), log.stored(2)]);
    let retry = log.batch(&[Arc::clone(&sent), message(&a)]);
    assert_eq!(log.append(&[Arc::clone(&sent), Arc::clone(&retry.messages[1].1)]).await, [log.known(2), log.stored(3)]);
    assert_eq!(log.store.append(retry).await.unwrap(), [log.known(2), log.stored(3)], "also when it is read again");
    assert_eq!(log.kept(&a).await.head, 3);
}

pub(crate) async fn an_id_twice_in_a_batch_is_stored_once(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let sent = message(&a);
    let batch = log.batch(&[Arc::clone(&sent), message(&a), Arc::clone(&sent)]);
    let expected = [log.stored(1), log.stored(2), log.known(1)];
    assert_eq!(log.store.append(batch.clone()).await.unwrap(), expected);
    assert_eq!(log.store.append(batch).await.unwrap(), expected, "read again");
    log.next = 3;
    let sent = message(&a);
    assert_eq!(log.append(&vec![sent; 100]).await, [vec![log.stored(3)], vec![log.known(3); 99]].concat());
    assert_eq!(log.all(&a).await.len(), 3);
}

pub(crate) async fn what_lies_below_the_position_is_only_looked_up(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let stored = message(&a);
    // Three records, of which one holds something to store.
    let batch = Append { messages: vec![(1, Arc::clone(&stored))], end: 3, ..log.batch(&[]) };
    assert_eq!(log.store.append(batch).await.unwrap(), [log.stored(1)]);
    let batch = Append { messages: vec![(0, message(&a)), (1, stored), (2, message(&a)), (3, message(&a))], end: 4, ..log.batch(&[]) };
    let expected = [Appended::PassedOver, log.stored(1), Appended::PassedOver, log.stored(2)];
    assert_eq!(log.store.append(batch).await.unwrap(), expected);
    assert_eq!(Writer::claim(&log.store, 0).await.next, 4);
}

pub(crate) async fn a_batch_without_messages_moves_the_position(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    assert_eq!(log.store.append(Append { end: 17, ..log.batch(&[]) }).await.unwrap(), []);
    assert_eq!(log.store.append(Append { end: 5, ..log.batch(&[]) }).await.unwrap(), [], "and never back");
    assert_eq!(Writer::claim(&log.store, 0).await.next, 17);
}

pub(crate) async fn a_batch_is_stored_as_a_whole_or_not_at_all(home: &impl Home) {
    let store = home.open().await;
    let (mut log, mut other) = (Writer::claim(&store, 0).await, Writer::claim(&store, 1).await);
    let (a, b) = (topic("a"), topic("b"));
    log.append(&[message(&a)]).await;
    let mut messages = many(&a, 200);
    // It comes late in the batch.
    messages[180] = never_stored(&a);
    let broken = log.batch(&messages);
    let fine = many(&b, 5);
    // Both at once, since they may share a transaction.
    let (refused, answers) = tokio::join!(store.append(broken.clone()), other.append(&fine));
    assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
    assert_eq!(answers.len(), 5);
    assert_eq!(log.kept(&a).await.head, 1);
    assert_eq!(other.kept(&b).await.head, 5);
    let whole = Append { messages: broken.messages.into_iter().filter(|(_, m)| m.timestamp_ms < u64::MAX).collect(), ..log.batch(&[]) };
    assert_eq!(store.append(whole).await.unwrap(), (2..=200).map(|n| log.stored(n)).collect::<Vec<_>>(), "as if never tried");
}

pub(crate) async fn halves_find_the_message_that_can_not_be_stored(home: &impl Home) {
    let log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let mut messages = many(&a, 50);
    messages[33] = never_stored(&a);
    let batch = log.batch(&messages);
    let (mut rest, mut poison) = (vec![batch.messages.clone()], Vec::new());
    while let Some(part) = rest.pop() {
        let end = part.last().unwrap().0 + 1;
        match log.store.append(Append { messages: part.clone(), end, ..batch.clone() }).await {
            Ok(answers) => assert_eq!(answers.len(), part.len()),
            Err(StoreError::Rejected(_)) if part.len() == 1 => {
                poison.push(part[0].0);
                // It is gone once the position has passed it.
                log.store.append(Append { messages: Vec::new(), end, ..batch.clone() }).await.unwrap();
            }
            Err(StoreError::Rejected(_)) => {
                let (first, second) = part.split_at(part.len() / 2);
                rest.extend([second.to_vec(), first.to_vec()]);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(poison, [33]);
    let all = log.all(&a).await;
    assert_eq!(sequences(&all), (1..=49).collect::<Vec<_>>());
    assert_eq!(Writer::claim(&log.store, 0).await.next, 50);
}

/// No SQL integer holds this time.
fn never_stored(destination: &Destination) -> Arc<Message> {
    message_with(destination, new_id(), u64::MAX, Bytes::new())
}

pub(crate) async fn eight_partitions_write_at_once(home: &impl Home) {
    const PARTITIONS: u32 = 8;
    const BATCHES: usize = 30;
    let store = home.open().await;
    let tasks: Vec<_> = (0..PARTITIONS)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                let destinations: Vec<_> = (0..5).map(|n| topic(&format!("p{number}.d{n}"))).collect();
                let mut expected: BTreeMap<Destination, Vec<Uuid>> = BTreeMap::new();
                for batch in 0..BATCHES {
                    let size = 1 + (batch * 7 + number as usize * 3) % 40;
                    let messages: Vec<_> = (0..size).map(|n| message(&destinations[(n * n + batch) % 5])).collect();
                    let batch_read = log.batch(&messages);
                    let answers = log.append(&messages).await;
                    for (message, answer) in messages.iter().zip(&answers) {
                        let ids = expected.entry(message.destination.clone()).or_default();
                        ids.push(message.id);
                        assert_eq!(*answer, log.stored(ids.len() as u64));
                    }
                    // Now and then a batch is read again, or a node dies and another takes over.
                    if batch % 4 == 0 {
                        assert_eq!(store.append(batch_read).await.unwrap(), answers);
                    }
                    if batch % 10 == 9 {
                        log = Writer::claim(&store, number).await;
                    }
                }
                (log, expected)
            })
        })
        .collect();
    let mut seen: HashSet<Uuid> = HashSet::new();
    for task in tasks {
        let (log, expected) = task.await.unwrap();
        for (destination, ids) in expected {
            let all = log.all(&destination).await;
            assert_eq!(sequences(&all), (1..=ids.len() as u64).collect::<Vec<_>>(), "no hole, no double");
            assert_eq!(all.iter().map(|message| message.id).collect::<Vec<_>>(), ids, "in the order of the log");
            assert!(ids.into_iter().all(|id| seen.insert(id)), "each id once");
            assert_eq!(log.kept(&destination).await.head, all.len() as u64);
        }
    }
    store.check().await.unwrap();
}
