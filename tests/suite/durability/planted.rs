//! Judges the checker: whatever is planted in the logs of a good run must be found, and a good run is good.

use uuid::Uuid;

use super::checker::{Logs, Row, Sent, Subscriber, check};
use super::random::Random;

const PLANTS: u64 = 1_000;

/// A run in which nothing went wrong: some messages of unknown fate, of which some are stored.
fn good_run(random: &mut Random) -> Logs {
    let mut logs = Logs::default();
    let destinations = 1 + random.below(3);
    let connections = 2 + random.index(4);
    logs.receipts = vec![Vec::new(); connections];
    for number in 0..destinations {
        let destination = format!("/topic/rooms.{number}");
        let mut rows = Vec::new();
        for _ in 0..40 + random.below(60) {
            let id = Uuid::from_u128(u128::from(random.next()));
            let (receipted, stored) = (!random.once_in(8), !random.once_in(16));
            let stored = stored || receipted;
            logs.sent.insert(id, Sent { destination: destination.clone(), receipted });
            if stored {
                rows.push(Row { sequence: rows.len() as u64 + 1, id });
            }
            if receipted {
                logs.receipts[random.index(connections)].push(id);
            }
        }
        let head = rows.len() as u64;
        for start in [0, random.below(head / 2), random.below(head / 2)] {
            let got = rows.iter().filter(|row| row.sequence > start).copied().collect();
            logs.subscribers.push(Subscriber { destination: destination.clone(), start, got });
        }
        logs.heads.insert(destination.clone(), head);
        logs.stored.insert(destination, rows);
    }
    logs
}

/// One thing that must never happen; what it is called.
fn plant(logs: &mut Logs, random: &mut Random) -> &'static str {
    let destination = format!("/topic/rooms.{}", random.index(logs.stored.len()));
    let reader = random.index(logs.subscribers.len());
    let rows = logs.stored.get_mut(&destination).unwrap();
    let row = random.index(rows.len() - 1);
    let got = &mut logs.subscribers[reader].got;
    let delivery = random.index(got.len() - 1);
    match random.below(11) {
        0 => {
            rows.remove(row);
            "a row dropped"
        }
        1 => {
            // With its number closed up, as if it had never been.
            rows.pop();
            *logs.heads.get_mut(&destination).unwrap() -= 1;
            "the last row dropped, and its number"
        }
        2 => {
            got.remove(delivery);
            "a delivery dropped"
        }
        3 => {
            got.pop();
            "the last delivery dropped"
        }
        4 => {
            got.swap(delivery, delivery + 1);
            "two deliveries swapped"
        }
        5 => {
            let ids = (rows[row].id, rows[row + 1].id);
            (rows[row + 1].id, rows[row].id) = ids;
            "two rows swapped"
        }
        6 => {
            let again = got[delivery];
            got.insert(delivery + 1 + random.index(got.len() - delivery), again);
            "a delivery doubled"
        }
        7 => {
            let (sequence, id) = (rows.len() as u64 + 1, rows[row].id);
            rows.push(Row { sequence, id });
            *logs.heads.get_mut(&destination).unwrap() += 1;
            for subscriber in logs.subscribers.iter_mut().filter(|subscriber| subscriber.destination == destination) {
                subscriber.got.push(Row { sequence, id });
            }
            "an id stored twice and delivered twice"
        }
        8 => {
            let (sequence, id) = (rows.len() as u64 + 1, Uuid::from_u128(u128::from(random.next())));
            rows.push(Row { sequence, id });
            *logs.heads.get_mut(&destination).unwrap() += 1;
            for subscriber in logs.subscribers.iter_mut().filter(|subscriber| subscriber.destination == destination) {
                subscriber.got.push(Row { sequence, id });
            }
            "a message that nobody sent"
        }
        9 => {
            got[delivery].id = Uuid::from_u128(u128::from(random.next()));
            "a delivery with another id"
        }
        _ => {
            let sent = &logs.sent;
            let same_room = |receipts: &Vec<Uuid>| {
                (1..receipts.len()).find(|at| sent[&receipts[at - 1]].destination == sent[&receipts[*at]].destination)
            };
            let places: Vec<_> = logs.receipts.iter().enumerate().filter_map(|(at, receipts)| Some((at, same_room(receipts)?))).collect();
            let (connection, at) = places[random.index(places.len())];
            logs.receipts[connection].swap(at - 1, at);
            "two receipts swapped"
        }
    }
}

#[test]
fn a_good_run_is_found_good() {
    for seed in 0..200 {
        let (violations, totals) = check(&good_run(&mut Random::new(seed)));
        assert_eq!(violations, [], "seed {seed}");
        assert!(totals.receipted > 0 && totals.stored > totals.receipted / 2 && totals.lost + totals.holes + totals.doubles == 0);
    }
}

#[test]
fn every_drop_swap_and_double_is_found() {
    for seed in 0..PLANTS {
        let mut random = Random::new(seed);
        let mut logs = good_run(&mut random);
        let planted = plant(&mut logs, &mut random);
        let (violations, _) = check(&logs);
        assert!(!violations.is_empty(), "seed {seed}: {planted} was not found");
    }
}
