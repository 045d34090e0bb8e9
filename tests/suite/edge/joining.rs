//! Joining at any place while messages flow: everything from there on, once and in order.

use std::sync::Arc;
use std::time::Duration;

use footfall::edge::Start;
use footfall::message::{Code, Destination, Epoch, Position, new_id};
use footfall::store::Keep;
use tokio::task::JoinSet;

use super::tap::{Seen, Story, Tap};
use super::world::{Plan, World, message, room};
use crate::support::random::{Random, seed};

const ROOMS: usize = 3;
const MESSAGES: usize = 600;
const JOINERS: usize = 120;

/// What one joiner wanted and got.
struct Joined {
    room: usize,
    /// How many there were before it joined.
    stored: u64,
    start: Start,
    story: Story,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiners_get_everything_from_their_place_on() {
    let seed = seed();
    let mut random = Random::new(seed);
    let world = Arc::new(World::new(Plan::default()).await);
    let mut joiners = JoinSet::new();
    let mut senders = JoinSet::new();
    for number in 0..ROOMS {
        // So that there is something to come back to from the beginning.
        world.send(&room(number), 20).await;
        let (world, mut random) = (Arc::clone(&world), random.split());
        senders.spawn(async move {
            let mut durables = Vec::new();
            for _ in 0..MESSAGES {
                if random.once_in(8) {
                    tokio::time::sleep(Duration::from_millis(random.below(12))).await;
                }
                let size = 20 + random.index(2_000);
                durables.push(world.publish(&message(&room(number), new_id(), size)).await);
            }
            for durable in durables {
                durable.await.unwrap();
            }
        });
    }
    let head = (20 + MESSAGES) as u64;
    for _ in 0..JOINERS {
        let (world, mut random) = (Arc::clone(&world), random.split());
        joiners.spawn(async move {
            tokio::time::sleep(Duration::from_millis(random.below(700))).await;
            let number = random.index(ROOMS);
            let kept = world.store.kept(world.key(&room(number)), room(number)).await.unwrap();
            let start = match random.below(6) {
                0 => Start::Now,
                1 => Start::History(u32::try_from(random.below(200)).unwrap()),
                2 => Start::After(Position { epoch: kept.epoch, sequence: kept.head }),
                3 => Start::After(Position { epoch: Epoch(kept.epoch.0 ^ 1), sequence: 1 }),
                _ => Start::After(Position { epoch: kept.epoch, sequence: random.below(kept.head + 1) }),
            };
            let mut tap = Tap::join(&world.edge, &room(number), start).await;
            let story = tap.read_to(head).await;
            Joined { room: number, stored: kept.head, start, story }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    let mut truths = Vec::new();
    for number in 0..ROOMS {
        truths.push(world.truth(&room(number)).await);
        assert_eq!(truths[number].len() as u64, head);
    }
    let mut good = 0;
    while let Some(joined) = joiners.join_next().await {
        let Joined { room, stored, start, story } = joined.unwrap_or_else(|error| panic!("{error}, seed {seed}"));
        let (before, recovered) = story.receipt.unwrap();
        let from = match start {
            Start::After(position) if recovered == Some(true) => position.sequence,
            // Live: the RECEIPT comes first and says from where.
            Start::Now | Start::After(_) => {
                assert_eq!((before, recovered.unwrap_or_default()), (0, false), "{start:?}, seed {seed}");
                story.start.unwrap()
            }
            Start::History(newest) => {
                assert_eq!(recovered, Some(true), "{start:?}, seed {seed}");
                let from = story.start.unwrap() - before as u64;
                // So many before the head, which was somewhere between these when it was read. Some of them may come
                // behind the RECEIPT, if the gate had not seen them yet.
                let newest = u64::from(newest);
                let (earliest, latest) = (stored.saturating_sub(newest), head.saturating_sub(newest));
                assert!((earliest..=latest).contains(&from), "{start:?} of {stored} began after {from}, seed {seed}");
                from
            }
        };
        good += usize::from(recovered == Some(true));
        story.check(from, &truths[room]);
    }
    assert!(good > JOINERS / 3, "too few were recovered to prove anything, seed {seed}");
    Arc::into_inner(world).unwrap().stop().await;
}

#[tokio::test]
async fn a_place_that_can_not_be_had_is_said_or_refused() {
    let world = World::new(Plan::default()).await;
    let (here, never_written) = (room(1), room(2));
    world.send(&here, 50).await;
    world.store.trim(here.clone(), Keep { count: Some(10), not_before_ms: None }).await.unwrap();
    let epoch = world.store.kept(world.key(&here), here.clone()).await.unwrap().epoch;
    let after = |sequence| Start::After(Position { epoch, sequence });
    for (start, expected) in [
        (after(39), false),
        (after(0), false),
        (after(51), false),
        (Start::After(Position { epoch: Epoch(epoch.0 ^ 1), sequence: 45 }), false),
        (after(40), true),
        (after(50), true),
        (Start::History(1_000), true),
    ] {
        let story = Tap::join(&world.edge, &here, start).await.read_to(50).await;
        assert_eq!(story.receipt.unwrap().1, Some(expected), "{start:?}");
        assert_eq!(story.messages.is_empty(), !expected || start == after(50), "{start:?}");
        let refusal = Tap::new().try_join(&world.edge, &here, start, false).await.err();
        assert_eq!(refusal.map(|refusal| refusal.code), (!expected).then_some(Code::PositionLost), "{start:?}");
    }
    let mut tap = Tap::join(&world.edge, &never_written, Start::History(5)).await;
    assert!(matches!(tap.next().await, Seen::Receipt { position: Some(Position { sequence: 0, .. }), recovered: Some(true) }));
    world.stop().await;
}

#[tokio::test]
async fn what_is_trimmed_during_a_replay_is_history_lost() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    world.send(&here, 1_000).await;
    let epoch = world.store.kept(world.key(&here), here.clone()).await.unwrap().epoch;
    let mut tap = Tap::join(&world.edge, &here, Start::After(Position { epoch, sequence: 0 })).await;
    // The first page is in the outbox once its first message is; the next comes when there is room.
    let Seen::Message { position, .. } = tap.next().await else { panic!("no message") };
    assert_eq!(position.sequence, 1);
    world.store.trim(here.clone(), Keep { count: Some(5), not_before_ms: None }).await.unwrap();
    let mut last = 1;
    loop {
        match tap.next().await {
            Seen::Message { position, .. } => last = follows(last, position),
            Seen::Ended(code) => break assert_eq!(code, Code::HistoryLost),
            Seen::Receipt { .. } => panic!("joined with a hole"),
        }
    }
    assert!(last < 995);
    world.send(&here, 3).await;
    assert_eq!(tap.now(), []);
    world.stop().await;
}

/// The sequence, which is the next.
pub(super) fn follows(last: u64, position: Position) -> u64 {
    assert_eq!(position.sequence, last + 1);
    position.sequence
}

/// Small outboxes have small pages.
#[tokio::test]
async fn a_replay_fits_into_any_outbox() {
    use footfall::broker::OutboxSettings;
    let world = World::new(Plan::default()).await;
    let here: Destination = room(1);
    for _ in 0..40 {
        world.publish(&message(&here, new_id(), 10_000)).await.await.unwrap();
    }
    let mut tap = Tap::with(OutboxSettings { limit: 128 * 1024, ..OutboxSettings::default() });
    tap.try_join(&world.edge, &here, Start::History(40), true).await.unwrap();
    let story = tap.read_to(40).await;
    assert!(!tap.outbox.is_overflowed());
    story.check(0, &world.truth(&here).await);
    world.stop().await;
}
