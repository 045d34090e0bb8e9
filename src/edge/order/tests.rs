//! What the bus may do to records, and what must come of it.

use proptest::prelude::*;

use super::*;
use crate::message::{Destination, RenderedOnce};

const EPOCH: Epoch = Epoch(7);

fn message(epoch: Epoch, sequence: u64) -> Arc<Message> {
    Arc::new(Message {
        id: uuid::Uuid::nil(),
        destination: Destination::parse("/topic/a").unwrap(),
        sender: None,
        session: None,
        timestamp_ms: 0,
        content_type: None,
        headers: Arc::new([]),
        body: bytes::Bytes::new(),
        position: Some(Position { epoch, sequence }),
        rendered: RenderedOnce::default(),
    })
}

fn page(sequences: impl IntoIterator<Item = u64>) -> Vec<Arc<Message>> {
    sequences.into_iter().map(|sequence| message(EPOCH, sequence)).collect()
}

/// An order with what came out.
struct Scene {
    order: Order,
    got: Vec<u64>,
    late: Vec<u64>,
    /// With how many messages had come out by then.
    ended: Vec<(Code, usize)>,
}

impl Scene {
    fn opening() -> Self {
        Self { order: Order::opening(), got: Vec::new(), late: Vec::new(), ended: Vec::new() }
    }

    fn live_at(sequence: u64) -> Self {
        let mut scene = Self::opening();
        assert_eq!(scene.open(Some(sequence)), None);
        scene
    }

    fn act(&mut self, act: impl FnOnce(&mut Order, &mut Through<'_>) -> Option<Need>) -> Option<Need> {
        let Self { order, got, late, ended } = self;
        act(order, &mut |out| match out {
            Out::Message(message) => got.push(message.position.unwrap().sequence),
            Out::Late(message) => late.push(message.position.unwrap().sequence),
            Out::Ended(code) => ended.push((code, got.len())),
        })
    }

    fn open(&mut self, head: Option<u64>) -> Option<Need> {
        let head = head.map(|sequence| Position { epoch: EPOCH, sequence });
        self.act(|order, through| order.open(head, through))
    }

    fn offer(&mut self, epoch: Epoch, sequence: u64) -> Option<Need> {
        self.act(|order, through| order.offer(message(epoch, sequence), through))
    }

    fn filled(&mut self, page: &[Arc<Message>]) -> Option<Need> {
        self.act(|order, through| order.filled(page, through))
    }

    fn settle(&mut self, epoch: Epoch, sequence: u64) -> Option<Need> {
        self.act(|order, through| order.settle(Position { epoch, sequence }, through))
    }
}

#[test]
fn each_sequence_once_and_in_order() {
    let mut scene = Scene::live_at(3);
    for sequence in [2, 3, 4, 4, 5, 4, 6] {
        assert_eq!(scene.offer(EPOCH, sequence), None);
    }
    assert_eq!(scene.got, [4, 5, 6]);
}

#[test]
fn records_that_come_before_the_head_is_known_are_held() {
    let mut scene = Scene::opening();
    for sequence in 4..=6 {
        assert_eq!(scene.offer(EPOCH, sequence), None);
    }
    assert_eq!(scene.order.position(), None);
    assert_eq!(scene.open(Some(5)), None);
    assert_eq!(scene.got, [6]);
}

#[test]
fn what_was_on_its_way_when_the_head_was_read_is_for_those_who_know_no_head() {
    let mut scene = Scene::opening();
    scene.offer(EPOCH, 4);
    assert_eq!(scene.open(Some(6)), None);
    for sequence in [4, 5, 5, 4, 6, 7, 6, 5, 8] {
        scene.offer(EPOCH, sequence);
    }
    assert_eq!((scene.late, scene.got), (vec![4, 5, 6], vec![7, 8]));
}

#[test]
fn without_a_head_the_first_record_is_the_baseline() {
    let mut scene = Scene::opening();
    assert_eq!(scene.open(None), None);
    assert_eq!(scene.order.position(), None);
    scene.offer(EPOCH, 9);
    assert_eq!(scene.got, [9]);
    assert_eq!(scene.order.position().unwrap().sequence, 9);
}

#[test]
fn a_hole_is_filled_before_what_follows_it() {
    let mut scene = Scene::live_at(1);
    assert_eq!(scene.offer(EPOCH, 5), Some(Need::Messages { after: 1, through: 4 }));
    assert_eq!(scene.offer(EPOCH, 6), None);
    assert!(scene.got.is_empty());
    // A page need not hold all.
    assert_eq!(scene.filled(&page(2..=3)), Some(Need::Messages { after: 3, through: 4 }));
    assert_eq!(scene.filled(&page([4])), None);
    assert_eq!(scene.got, [2, 3, 4, 5, 6]);
    assert_eq!(scene.order.phase, Phase::Live);
}

#[test]
fn what_retention_took_is_history_lost_and_the_order_goes_on() {
    let mut scene = Scene::live_at(1);
    scene.offer(EPOCH, 9);
    assert_eq!(scene.filled(&page(6..=8)), None);
    assert_eq!(scene.got, [6, 7, 8, 9]);
    scene.offer(EPOCH, 12);
    assert_eq!(scene.filled(&[]), None);
    assert_eq!(scene.got, [6, 7, 8, 9, 12]);
    // Nobody sees what is behind a hole before being told.
    assert_eq!(scene.ended, [(Code::HistoryLost, 0), (Code::HistoryLost, 4)]);
}

#[test]
fn a_lost_last_message_is_found_by_the_heads() {
    let mut scene = Scene::live_at(4);
    assert_eq!(scene.order.compare(Position { epoch: EPOCH, sequence: 4 }), None);
    assert_eq!(scene.order.compare(Position { epoch: EPOCH, sequence: 6 }), Some(Need::Messages { after: 4, through: 6 }));
    assert_eq!(scene.filled(&page(5..=6)), None);
    assert_eq!(scene.got, [5, 6]);
}

#[test]
fn a_stray_epoch_is_dropped_if_the_store_disagrees() {
    let mut scene = Scene::live_at(4);
    assert_eq!(scene.offer(Epoch(1), 5), Some(Need::Head));
    assert_eq!(scene.offer(EPOCH, 5), None);
    assert_eq!(scene.settle(EPOCH, 5), None);
    assert_eq!(scene.ended, []);
    assert_eq!(scene.got, [5]);
}

#[test]
fn a_new_epoch_that_the_store_confirms_begins_anew() {
    let mut scene = Scene::live_at(40);
    assert_eq!(scene.offer(Epoch(8), 3), Some(Need::Head));
    assert_eq!(scene.offer(Epoch(8), 4), None);
    assert_eq!(scene.settle(Epoch(8), 3), None);
    assert_eq!(scene.ended, [(Code::PositionLost, 0)]);
    assert_eq!(scene.got, [4]);
    assert_eq!(scene.order.position(), Some(Position { epoch: Epoch(8), sequence: 4 }));
}

#[test]
fn no_more_than_so_many_records_are_held() {
    let mut scene = Scene::live_at(0);
    let many = MAX_HELD as u64 + 500;
    assert_eq!(scene.offer(EPOCH, 2), Some(Need::Messages { after: 0, through: 1 }));
    for sequence in 3..=many {
        scene.offer(EPOCH, sequence);
    }
    assert_eq!(scene.order.held.len(), MAX_HELD);
    let held_to = MAX_HELD as u64 + 1;
    assert_eq!(scene.filled(&page([1])), Some(Need::Messages { after: held_to, through: many }));
    assert_eq!(scene.filled(&page(held_to + 1..=many)), None);
    assert_eq!(scene.got, (1..=many).collect::<Vec<_>>());
}

#[test]
fn the_ring_gives_the_last_messages_only_if_it_has_all() {
    let mut scene = Scene::live_at(0);
    scene.order.keep_ring(true);
    for sequence in 1..=(RING as u64 + 10) {
        scene.offer(EPOCH, sequence);
    }
    assert!(scene.order.ring_after(9).is_none());
    assert_eq!(scene.order.ring_after(10).unwrap().count(), RING);
    assert_eq!(scene.order.ring_after(RING as u64 + 10).unwrap().count(), 0);
    assert!(scene.order.ring_after(RING as u64 + 11).is_none());
}

proptest! {
    /// At least once, in any order, with losses: what comes out is every sequence once, in order.
    #[test]
    fn whatever_the_bus_does_the_edge_makes_it_once_and_in_order(
        records in prop::collection::vec(1_u64..=60, 0..200), head in 0_u64..10, page_size in 1_usize..20
    ) {
        let mut scene = Scene::live_at(head);
        let newest = records.iter().copied().max().unwrap_or(0).max(head);
        for sequence in records {
            let mut need = scene.offer(EPOCH, sequence);
            while let Some(Need::Messages { after, through }) = need {
                need = scene.filled(&page((after + 1..=through).take(page_size)));
            }
        }
        prop_assert_eq!(scene.got, (head + 1..=newest).collect::<Vec<_>>());
    }
}
