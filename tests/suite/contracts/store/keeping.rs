//! What is kept, for how long, and how it is read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use footfall::message::{Destination, Message, Position, UserName, new_id};
use footfall::store::{Append, Appended, Keep, Kept, PageLimit, StoreError};
use uuid::Uuid;

use super::{Home, Writer, many, message, message_with, sequences, topic};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn the_head_outlives_the_messages(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    log.append(&many(&a, 3)).await;
    let none = Keep { count: Some(0), not_before_ms: None };
    assert_eq!(log.store.trim(a.clone(), none).await.unwrap(), 3);
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 3, first: 4 });
    assert_eq!(log.all(&a).await.len(), 0);
    assert_eq!(log.append(&[message(&a)]).await, [log.stored(4)]);
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 4, first: 4 });
}

pub(crate) async fn a_page_ends_by_messages_and_by_bytes(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let big: Vec<_> = (0..20).map(|_| message_with(&a, new_id(), 0, vec![7; 10_000].into())).collect();
    log.append(&big).await;
    let page = |messages, bytes| log.store.page(log.partition.clone(), a.clone(), 2, u64::MAX, PageLimit { messages, bytes });
    assert_eq!(sequences(&page(5, usize::MAX).await.unwrap()), [3, 4, 5, 6, 7]);
    let size = big[0].size();
    assert_eq!(sequences(&page(100, 3 * size).await.unwrap()), [3, 4, 5]);
    assert_eq!(sequences(&page(100, 3 * size - 1).await.unwrap()), [3, 4]);
    assert_eq!(sequences(&page(100, 1).await.unwrap()), [3], "at least one");
    assert_eq!(sequences(&page(0, 0).await.unwrap()), [3], "at least one");
    assert_eq!(page(100, usize::MAX).await.unwrap().len(), 18);
}

pub(crate) async fn a_page_has_what_was_asked_for(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let (a, b) = (topic("a"), topic("b"));
    log.append(&many(&a, 10)).await;
    log.append(&many(&b, 10)).await;
    let page = async |after, through| {
        let page = log.store.page(log.partition.clone(), a.clone(), after, through, PageLimit::REPLAY).await.unwrap();
        assert!(page.iter().all(|message| message.destination == a && message.position.unwrap().epoch == log.epoch));
        sequences(&page)
    };
    assert_eq!(page(0, 10).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(page(3, 5).await, [4, 5]);
    assert_eq!(page(5, 5).await, [0; 0]);
    assert_eq!(page(10, u64::MAX).await, [0; 0]);
    assert_eq!(page(u64::MAX, u64::MAX).await, [0; 0]);
    log.store.trim(a.clone(), Keep { count: Some(4), not_before_ms: None }).await.unwrap();
    assert_eq!(page(3, 8).await, [7, 8], "what retention took shows as a hole");
    let unknown = log.store.page(log.partition.clone(), topic("c"), 0, u64::MAX, PageLimit::REPLAY).await.unwrap();
    assert_eq!(unknown.len(), 0);
}

pub(crate) async fn trimming_by_count_keeps_the_newest(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let (a, b) = (topic("a"), topic("b"));
    log.append(&many(&a, 10)).await;
    log.append(&many(&b, 10)).await;
    let keep = |count| Keep { count: Some(count), not_before_ms: None };
    assert_eq!(log.store.trim(a.clone(), keep(10)).await.unwrap(), 0);
    assert_eq!(log.store.trim(a.clone(), keep(4)).await.unwrap(), 6);
    assert_eq!(log.store.trim(a.clone(), Keep { count: None, not_before_ms: None }).await.unwrap(), 0);
    assert_eq!(log.store.trim(topic("c"), keep(0)).await.unwrap(), 0);
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 10, first: 7 });
    assert_eq!(sequences(&log.all(&a).await), [7, 8, 9, 10]);
    assert_eq!(log.kept(&b).await.first, 1, "others are not touched");
}

pub(crate) async fn trimming_by_age_leaves_no_hole(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    // The clock of the third's node was ahead.
    let at = |timestamp_ms| message_with(&a, new_id(), timestamp_ms, Bytes::new());
    log.append(&[at(100), at(200), at(900), at(300), at(800)]).await;
    let keep = |not_before_ms| Keep { count: None, not_before_ms: Some(not_before_ms) };
    assert_eq!(log.store.trim(a.clone(), keep(100)).await.unwrap(), 0, "as old as allowed");
    assert_eq!(log.store.trim(a.clone(), keep(500)).await.unwrap(), 2);
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 5, first: 3 });
    assert_eq!(sequences(&log.all(&a).await), [3, 4, 5]);
    assert_eq!(log.store.trim(a.clone(), Keep { count: Some(2), not_before_ms: Some(500) }).await.unwrap(), 2, "either reason is enough");
    assert_eq!(sequences(&log.all(&a).await), [5]);
}

pub(crate) async fn trimming_many_removes_them_all(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    for _ in 0..5 {
        log.append(&many(&a, 500)).await;
    }
    assert_eq!(log.store.trim(a.clone(), Keep { count: Some(7), not_before_ms: None }).await.unwrap(), 2_493);
    assert_eq!(log.kept(&a).await, Kept { epoch: log.epoch, head: 2_500, first: 2_494 });
    assert_eq!(log.store.trim(a.clone(), Keep { count: None, not_before_ms: Some(u64::MAX) }).await.unwrap(), 7);
}

pub(crate) async fn ids_are_known_however_short_messages_are_kept(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let sent = many(&a, 1_500);
    let batches: Vec<_> = sent.chunks(500).collect();
    for batch in &batches {
        log.append(batch).await;
    }
    assert_eq!(log.store.trim(a.clone(), Keep { count: Some(0), not_before_ms: None }).await.unwrap(), 1_500);
    assert_eq!(log.store.forget_ids(HOUR).await.unwrap(), 0, "they were stored now, whenever the messages were sent");
    assert_eq!(log.append(&sent[..2]).await, [log.known(1), log.known(2)], "the message is gone, its id is not");
    assert_eq!(log.store.forget_ids(Duration::ZERO).await.unwrap(), 1_500);
    assert_eq!(log.append(&sent[..2]).await, [log.stored(1_501), log.stored(1_502)], "the window is over");
    let first = Append { messages: vec![(2, Arc::clone(&sent[2]))], end: 3, ..log.batch(&[]) };
    assert_eq!(log.store.append(first).await.unwrap(), [Appended::PassedOver], "read again after the window");
}

pub(crate) async fn retention_is_told_the_time(home: &impl Home) {
    let store = home.open().await;
    let now_ms = store.retention_turn(HOUR).await.unwrap().unwrap();
    let here = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(here.abs_diff(now_ms.into()) < HOUR.as_millis(), "{now_ms} in the store, {here} here");
    assert!(store.retention_turn(Duration::ZERO).await.unwrap().unwrap() >= now_ms, "whoever asks for no distance has his turn");
}

pub(crate) async fn destinations_are_listed_in_order(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let user = UserName::new("b/%c ü").unwrap();
    let queue = Destination::user_queue(&user, &Destination::parse("/queue/notices").unwrap());
    // Upper case sorts before lower case, and letters beyond ASCII behind both: by bytes, not by a language.
    let expected = [topic("B"), topic("a"), topic("b"), topic("ä"), queue.clone()];
    for destination in [4, 2, 0, 3, 1].map(|n: usize| &expected[n]) {
        log.append(&[message(destination)]).await;
    }
    log.append(&[message(&topic("aa"))]).await;
    log.store.trim(topic("aa"), Keep { count: Some(0), not_before_ms: None }).await.unwrap();
    assert_eq!(log.store.destinations(None, 100).await.unwrap(), expected, "none without messages");
    assert_eq!(log.store.destinations(None, 2).await.unwrap(), expected[..2]);
    assert_eq!(log.store.destinations(Some(expected[1].clone()), 2).await.unwrap(), expected[2..4]);
    assert_eq!(log.store.destinations(Some(queue.clone()), 2).await.unwrap(), []);
    assert_eq!(log.all(&queue).await[0].destination, queue);
}

pub(crate) async fn messages_come_back_as_they_were(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let strange = ["", "\0", "a\0b", "\u{1F600}\u{10FFFF}", "\"\\\n\r\t", "'; DROP TABLE messages; --", "null", "42", "[]"];
    let headers: Vec<(Box<str>, Box<str>)> = strange.iter().map(|text| ((*text).into(), strange[1].into())).collect();
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut sent: Vec<Message> = Vec::new();
    for body in [Vec::new(), vec![0], every_byte.clone(), every_byte.repeat(256), "text ü".into()] {
        let plain = message_with(&a, Uuid::new_v4(), 9_007_199_254_740_993, body.into());
        sent.push(Message { headers: headers.clone().into(), ..Arc::into_inner(plain).unwrap() });
    }
    for text in strange.into_iter().filter(|text| !text.contains('\0')) {
        sent.push(Message {
            sender: UserName::new(text).ok(),
            session: Some(text.into()),
            content_type: Some(text.into()),
            ..Arc::into_inner(message(&a)).unwrap()
        });
    }
    let nothing = Message {
        sender: None,
        session: None,
        content_type: None,
        headers: [].into(),
        timestamp_ms: 0,
        ..Arc::into_inner(message(&a)).unwrap()
    };
    sent.push(Message { body: Bytes::new(), ..nothing });
    let sent: Vec<_> = sent.into_iter().map(Arc::new).collect();
    log.append(&sent).await;
    let back = log.all(&a).await;
    assert_eq!(back.len(), sent.len());
    for (sequence, (sent, back)) in (1..).zip(sent.iter().zip(&back)) {
        assert_eq!(back.position, Some(Position { epoch: log.epoch, sequence }));
        let facts = |m: &Message| {
            let texts = (m.sender.clone(), m.session.clone(), m.content_type.clone(), Arc::clone(&m.headers));
            (m.id, m.destination.clone(), m.timestamp_ms, texts, m.body.clone())
        };
        assert_eq!(facts(back), facts(sent));
    }
}

/// No client can send one, but a backend's record can hold it, and not every database a text with it.
pub(crate) async fn a_text_with_a_nul_comes_back_or_is_rejected(home: &impl Home) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    let nul = || Some(Arc::from("a\0b"));
    let plain = || Arc::into_inner(message(&a)).unwrap();
    let mut sent: Vec<Arc<Message>> = Vec::new();
    for message in [Message { content_type: nul(), ..plain() }, Message { session: nul(), ..plain() }, plain()].map(Arc::new) {
        match log.store.append(log.batch(&[Arc::clone(&message)])).await {
            Ok(_) => {
                log.next += 1;
                sent.push(message);
            }
            Err(StoreError::Rejected(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let texts = |messages: &[Arc<Message>]| messages.iter().map(|m| (m.content_type.clone(), m.session.clone())).collect::<Vec<_>>();
    assert_eq!(texts(&log.all(&a).await), texts(&sent));
    assert!(!sent.is_empty());
}
