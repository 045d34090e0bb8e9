//! Judges the checker: whatever is planted in the journals of a good run over several nodes must be found, and a good
//! run is good.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use footfall::message::{Epoch, Position};
use uuid::Uuid;

use super::{Row, Run, Verdict, check};
use crate::driver::{Entry, Log, Name, What};
use crate::support::random::Random;

const PLANTS: u64 = 1_000;
const NODES: usize = 3;

/// Writes a log with a clock of its own.
#[derive(Default)]
struct Writer {
    log: Log,
    at: Duration,
    /// What waits for its receipt.
    open: Vec<Uuid>,
}

impl Writer {
    fn new(client: String) -> Self {
        Self { log: Log { client, entries: Vec::new() }, at: Duration::ZERO, open: Vec::new() }
    }

    fn write(&mut self, what: What) {
        self.at += Duration::from_millis(1);
        self.log.entries.push(Entry { at: self.at, what });
    }

    fn receipts(&mut self) {
        for id in std::mem::take(&mut self.open) {
            self.write(What::Receipted { id });
        }
    }

    fn moves(&mut self, random: &mut Random) {
        self.write(What::Disconnected { why: String::new() });
        self.write(What::NotConnected { node: random.index(NODES) });
        self.write(What::Connected { node: random.index(NODES) });
    }
}

/// A run in which nothing went wrong: clients move between nodes, some messages go out twice or are given up, of which
/// some are stored, and now and then a numbering is lost in the middle, of which everyone is told.
fn good_run(random: &mut Random) -> Run {
    let mut run = Run::default();
    let mut heads = BTreeMap::new();
    let mut senders: Vec<_> = (0..2 + random.index(4)).map(|number| Writer::new(format!("sender-{number}"))).collect();
    for sender in &mut senders {
        sender.write(What::Connected { node: random.index(NODES) });
    }
    for number in 0..=random.below(3) {
        let destination: Name = format!("/topic/rooms.{number}").into();
        let (old, epoch) = (Epoch(random.next()), Epoch(random.next()));
        let rows = messages(random, &mut senders, &destination);
        let head = rows.len() as u64;
        // Up to here subscribers may know the sequences by their old numbering.
        let renumbered = if random.once_in(3) { random.below(head) } else { 0 };
        for start in [0, random.below(head / 2), random.below(head / 2)] {
            let client = format!("subscriber-{}", run.logs.len());
            let numbering = Numbering { old, renumbered, epoch };
            run.logs.push(subscriber(random, client, &destination, &rows, start, &numbering));
        }
        run.database.kept.insert(destination.to_string(), renumbered);
        heads.insert(destination.to_string(), Position { epoch, sequence: head });
        run.database.rows.insert(destination.to_string(), rows);
    }
    run.database.heads.clone_from(&heads);
    run.due = Arc::new(heads);
    for mut sender in senders {
        sender.receipts();
        run.logs.push(sender.log);
    }
    run
}

fn messages(random: &mut Random, senders: &mut [Writer], destination: &Name) -> Vec<Row> {
    let mut rows = Vec::new();
    for _ in 0..40 + random.below(60) {
        let id = Uuid::from_u128(u128::from(random.next()));
        let sender = random.index(senders.len());
        let sender = &mut senders[sender];
        let (receipted, stored) = (!random.once_in(8), !random.once_in(16));
        sender.write(What::Sent { destination: destination.clone(), id });
        if stored || receipted {
            rows.push(Row { sequence: rows.len() as u64 + 1, id });
        }
        if random.once_in(20) {
            sender.receipts();
            sender.write(What::Error { code: "unknown".to_owned(), id: Some(id) });
            sender.moves(random);
            sender.write(What::Sent { destination: destination.clone(), id });
        }
        if receipted {
            sender.open.push(id);
        }
        if random.once_in(3) {
            sender.receipts();
        }
    }
    rows
}

struct Numbering {
    old: Epoch,
    renumbered: u64,
    epoch: Epoch,
}

impl Numbering {
    fn position(&self, sequence: u64) -> Position {
        let epoch = if sequence < self.renumbered { self.old } else { self.epoch };
        Position { epoch, sequence }
    }
}

fn subscriber(random: &mut Random, client: String, name: &Name, rows: &[Row], start: u64, numbering: &Numbering) -> Log {
    let mut writer = Writer::new(client);
    let subscribed = |after, recovered, position| What::Subscribed { destination: name.clone(), after, recovered, position };
    writer.write(What::Connected { node: random.index(NODES) });
    let mut last = numbering.position(start);
    writer.write(subscribed(None, None, last));
    for row in rows.iter().filter(|row| row.sequence > start) {
        let position = numbering.position(row.sequence);
        if position.epoch != last.epoch {
            writer.moves(random);
            let now = Position { epoch: position.epoch, sequence: last.sequence };
            writer.write(subscribed(Some(last), Some(false), now));
        } else if random.once_in(12) {
            writer.moves(random);
            writer.write(subscribed(Some(last), Some(true), last));
        }
        writer.write(What::Received { destination: name.clone(), position, id: row.id });
        last = position;
    }
    writer.log
}

/// The places of the deliveries to one subscriber, and whose log it is.
fn deliveries(run: &Run, random: &mut Random) -> (usize, Vec<usize>) {
    let places = |log: &Log| -> Vec<usize> {
        let places = log.entries.iter().enumerate().filter(|(_, entry)| matches!(entry.what, What::Received { .. }));
        places.map(|(place, _)| place).collect()
    };
    let readers: Vec<_> = run.logs.iter().map(places).enumerate().filter(|(_, places)| !places.is_empty()).collect();
    readers[random.index(readers.len())].clone()
}

/// One thing that must never happen: what it is called, and the rules of which it breaks one.
fn plant(run: &mut Run, random: &mut Random) -> (&'static str, &'static [&'static str]) {
    let (reader, places) = deliveries(run, random);
    let which = random.index(places.len() - 1);
    let (delivery, following) = (places[which], places[which + 1]);
    let destination = format!("/topic/rooms.{}", random.index(run.database.rows.len()));
    let rows = run.database.rows.get_mut(&destination).unwrap();
    let row = random.index(rows.len() - 1);
    let entries = &mut run.logs[reader].entries;
    match random.below(16) {
        0 => {
            rows.remove(row);
            ("a row dropped", &["C2"])
        }
        1 => {
            // With its number closed up, as if it had never been.
            rows.pop();
            run.database.heads.get_mut(&destination).unwrap().sequence -= 1;
            // Somebody read it before.
            ("the last row dropped, and its number", &["C4"])
        }
        2 => {
            // Who is told that its position is lost can't know what it did not get before.
            let told = |entry: &Entry| matches!(entry.what, What::Subscribed { recovered: Some(false), .. });
            let is_last = entries[delivery..following].iter().any(told);
            entries.remove(if is_last { following } else { delivery });
            ("a delivery dropped", &["C3"])
        }
        3 => {
            entries.remove(*places.last().unwrap());
            ("the last delivery dropped", &["C3"])
        }
        4 => {
            let (one, other) = (entries[delivery].what.clone(), entries[following].what.clone());
            (entries[delivery].what, entries[following].what) = (other, one);
            ("two deliveries swapped", &["C3"])
        }
        5 => {
            let ids = (rows[row].id, rows[row + 1].id);
            (rows[row + 1].id, rows[row].id) = ids;
            ("two rows swapped", &["C4"])
        }
        6 => {
            let again = entries[delivery].clone();
            let later = delivery + 1 + random.index(entries.len() - delivery);
            entries.insert(later, again);
            ("a delivery doubled", &["C3"])
        }
        7 => {
            let id = rows[row].id;
            append(run, &destination, id);
            ("an id stored twice and delivered twice", &["C1", "C7"])
        }
        8 => {
            append(run, &destination, Uuid::from_u128(u128::from(random.next())));
            ("a message that nobody sent", &["C6"])
        }
        9 => {
            let What::Received { id, .. } = &mut entries[delivery].what else { unreachable!() };
            *id = Uuid::from_u128(u128::from(random.next()));
            ("a delivery with another id", &["C4"])
        }
        10 => {
            let What::Received { destination, .. } = &mut entries[delivery].what else { unreachable!() };
            *destination = "/topic/elsewhere".into();
            ("a delivery of another destination", &["C6"])
        }
        11 => {
            let What::Received { position, .. } = &mut entries[delivery].what else { unreachable!() };
            position.epoch = Epoch(!position.epoch.0);
            ("another numbering that nobody was told of", &["C3"])
        }
        12 => {
            // A node that says "all of it" and leaves out what was missed while the client moved.
            let What::Received { destination, position, .. } = entries[delivery].what.clone() else { unreachable!() };
            let after = Some(Position { sequence: position.sequence - 1, ..position });
            entries[delivery].what = What::Subscribed { destination, after, recovered: Some(true), position };
            ("a resume that lost a message", &["C3"])
        }
        13 => {
            run.database.rows.remove(&destination);
            ("all rows of a destination dropped", &["C2"])
        }
        14 => {
            swap_receipts(run, random);
            ("two receipts swapped", &["C5"])
        }
        _ => {
            // As if the earlier of the two had been for somewhere else, where nothing is numbered.
            let id = swap_receipts(run, random);
            for rows in run.database.rows.values_mut() {
                rows.retain(|row| row.id != id);
            }
            ("two receipts swapped, of which one has no row to compare", &["C5"])
        }
    }
}

/// Answers whose receipt came too late.
fn swap_receipts(run: &mut Run, random: &mut Random) -> Uuid {
    let (log, one, other) = swappable(run, random);
    let entries = &mut run.logs[log].entries;
    let (earlier, later) = (entries[one].what.clone(), entries[other].what.clone());
    let What::Receipted { id } = earlier else { unreachable!() };
    (entries[one].what, entries[other].what) = (later, earlier);
    id
}

/// Stores and delivers this id once more, as the newest message.
fn append(run: &mut Run, destination: &str, id: Uuid) {
    let head = run.database.heads.get_mut(destination).unwrap();
    head.sequence += 1;
    let position = *head;
    run.database.rows.get_mut(destination).unwrap().push(Row { sequence: position.sequence, id });
    for log in &mut run.logs {
        let Some(Entry { at, what: What::Received { destination: to, .. } }) = log.entries.last().cloned() else { continue };
        if *to == *destination {
            log.entries.push(Entry { at, what: What::Received { destination: to, position, id } });
        }
    }
}

/// Two receipts of one connection, one right after the other.
fn swappable(run: &Run, random: &mut Random) -> (usize, usize, usize) {
    let is_receipt = |entry: &Entry| matches!(entry.what, What::Receipted { .. });
    let pairs = run.logs.iter().enumerate().flat_map(|(number, log)| {
        let pairs = log.entries.windows(2).enumerate().filter(|(_, pair)| pair.iter().all(is_receipt));
        pairs.map(move |(place, _)| (number, place, place + 1))
    });
    let pairs: Vec<_> = pairs.collect();
    pairs[random.index(pairs.len())]
}

#[test]
fn a_good_run_is_found_good() {
    let (mut resumed, mut reset) = (0, 0);
    for seed in 0..200 {
        let Verdict { violations, totals } = check(&good_run(&mut Random::new(seed)));
        assert_eq!(violations, [], "seed {seed}");
        assert!(totals.receipted > 0 && totals.stored > totals.receipted / 2 && totals.lost + totals.holes + totals.doubles == 0);
        resumed += totals.resumed;
        reset += totals.reset;
    }
    assert!(resumed > 1_000 && reset > 50, "{resumed} resumed, {reset} reset");
}

#[test]
fn every_drop_swap_and_double_is_found() {
    for seed in 0..PLANTS {
        let mut random = Random::new(seed);
        let mut run = good_run(&mut random);
        let (planted, rules) = plant(&mut run, &mut random);
        let Verdict { violations, .. } = check(&run);
        let found: BTreeSet<_> = violations.iter().map(|violation| violation.rule).collect();
        assert!(rules.iter().any(|rule| found.contains(rule)), "seed {seed}: {planted} breaks one of {rules:?}, and {found:?} was found");
    }
}

#[test]
fn a_refusal_that_no_fault_explains_is_found() {
    for (code, violations) in [("send-denied", 1), ("no such code", 1), ("unknown", 0), ("bus-unavailable", 0), ("draining", 0)] {
        let mut run = good_run(&mut Random::new(1));
        run.logs[0].entries.push(Entry { at: Duration::ZERO, what: What::Error { code: code.to_owned(), id: None } });
        assert_eq!(check(&run).violations.len(), violations, "{code}");
    }
}
