//! Who owns what when, without a broker.

use super::*;
use crate::bus::RawRecord;

fn named(number: u32) -> Partition {
    Partition { log: "cluster".into(), topic: "events".into(), number }
}

fn entry(offset: u64) -> Entry {
    let unreadable = Unreadable { offset, reason: "for a test".into(), raw: RawRecord::default() };
    Entry { offset, size: 100, timestamp_ms: 5, content: Err(unreadable) }
}

fn assignment(number: u32) -> Assignment {
    Assignment { partition: named(number), committed: Some(3), log_start: 0, log_end: 10 }
}

/// One partition that is read from 3 on.
fn reading() -> (Partitions, Run) {
    let mut partitions = Partitions::default();
    partitions.assigned([0]);
    find(&mut partitions, 0);
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
    partitions.start(0, 3);
    let start = partitions.starts()[0];
    assert_eq!((start.number, start.offset), (0, 3));
    partitions.is_there(start);
    assert_eq!(partitions.starts(), []);
    (partitions, start.run)
}

fn numbers(questions: &[Question]) -> Vec<u32> {
    questions.iter().map(|question| question.number).collect()
}

/// Asks, and finds this one only.
fn find(partitions: &mut Partitions, number: u32) {
    for question in partitions.questions(Instant::now()) {
        if question.number == number {
            partitions.found(question, assignment(number));
        } else {
            partitions.not_found(question, Instant::now());
        }
    }
}

/// What is committed now, without whose it is.
fn commits(partitions: &mut Partitions) -> Vec<(u32, u64)> {
    partitions.take_commits().iter().map(|commit| (commit.number, commit.next)).collect()
}

fn next(partitions: &mut Partitions) -> Option<Event> {
    partitions.next(Instant::now(), named, true)
}

fn offsets(event: Option<Event>) -> Vec<u64> {
    let Some(Event::Records(batches)) = event else { panic!("no records: {event:?}") };
    batches[0].unreadable.iter().map(|unreadable| unreadable.offset).collect()
}

#[test]
fn an_assignment_is_told_once_it_was_looked_up() {
    let mut partitions = Partitions::default();
    partitions.assigned([0, 1]);
    assert!(next(&mut partitions).is_none());
    let questions = partitions.questions(Instant::now());
    assert_eq!(numbers(&questions), [0, 1]);
    assert_eq!(partitions.questions(Instant::now()), [], "they are being asked");
    partitions.found(questions[1], assignment(1));
    assert!(next(&mut partitions).is_none() && partitions.has_news(), "the other one may be found in a moment");
    let later = Instant::now() + TOGETHER;
    assert!(matches!(partitions.next(later, named, true), Some(Event::Assigned(told)) if told == [assignment(1)]));
    assert!(!partitions.has_news());
    partitions.not_found(questions[0], later);
    assert_eq!(partitions.questions(Instant::now()), []);
    assert_eq!(numbers(&partitions.questions(later)), [0]);
    assert!(next(&mut partitions).is_none());
}

#[test]
fn what_is_assigned_together_is_told_together() {
    let mut partitions = Partitions::default();
    partitions.assigned([0, 1]);
    for question in partitions.questions(Instant::now()) {
        assert!(next(&mut partitions).is_none());
        partitions.found(question, assignment(question.number));
    }
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(told)) if told == [assignment(0), assignment(1)]));
    // One that was asked for in vain is not waited for.
    partitions.assigned([2, 3]);
    let questions = partitions.questions(Instant::now());
    partitions.found(questions[0], assignment(2));
    partitions.not_found(questions[1], Instant::now());
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(told)) if told == [assignment(2)]));
}

#[test]
fn silent_leaders_never_keep_new_partitions() {
    let mut partitions = Partitions::default();
    partitions.assigned(0..20);
    let now = Instant::now();
    let first = partitions.questions(now);
    assert_eq!(numbers(&first), (0..8).collect::<Vec<_>>());
    for question in first {
        partitions.not_found(question, now);
    }
    let second = partitions.questions(now);
    assert_eq!(numbers(&second), (8..16).collect::<Vec<_>>(), "those that nobody has asked about yet");
    for question in second {
        partitions.found(question, assignment(question.number));
    }
    let third = partitions.questions(now);
    assert_eq!(numbers(&third), [16, 17, 18, 19]);
    for question in third {
        partitions.not_found(question, now);
    }
    assert_eq!(partitions.questions(now).len(), 4);
    partitions.assigned([20]);
    assert_eq!(numbers(&partitions.questions(Instant::now())), [20], "half of them is left for it");
}

#[test]
fn an_answer_is_of_the_assignment_that_was_asked_about() {
    let mut partitions = Partitions::default();
    partitions.assigned([0]);
    let before = partitions.questions(Instant::now());
    partitions.revoked([0]);
    partitions.assigned([0]);
    partitions.found(before[0], assignment(0));
    assert!(next(&mut partitions).is_none(), "it may have been another log");
    find(&mut partitions, 0);
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
}

#[test]
fn one_batch_is_out_at_a_time() {
    let (mut partitions, run) = reading();
    for offset in 3..1000 {
        partitions.push(0, run, entry(offset));
    }
    assert_eq!(offsets(next(&mut partitions)), (3..503).collect::<Vec<_>>());
    assert!(next(&mut partitions).is_none());
    partitions.more(0);
    let Some(Event::Records(batches)) = next(&mut partitions) else { panic!("the rest") };
    assert_eq!((batches[0].end, batches[0].mark.as_ref().map(|mark| mark.timestamp_ms)), (1000, Some(5)));
}

#[test]
fn what_was_read_for_an_earlier_start_is_nobodys() {
    let (mut partitions, before) = reading();
    partitions.push(0, before, entry(3));
    partitions.start(0, 1);
    assert!(next(&mut partitions).is_none(), "what lay ready is gone");
    assert!(!partitions.is_current(0, before));
    partitions.push(0, before, entry(4));
    assert!(next(&mut partitions).is_none());
    let start = partitions.starts()[0];
    assert!(!partitions.is_current(0, start.run), "the thread is not there yet");
    partitions.is_there(start);
    partitions.push(0, start.run, entry(1));
    assert_eq!(offsets(next(&mut partitions)), [1]);
}

#[test]
fn a_partition_that_went_and_came_back_is_revoked_first_and_not_started() {
    let (mut partitions, run) = reading();
    partitions.push(0, run, entry(3));
    partitions.revoked([0]);
    partitions.assigned([0]);
    find(&mut partitions, 0);
    // Neither is for the new assignment, of which the consumer does not know.
    partitions.start(0, 7);
    partitions.commit(0, 9);
    assert_eq!((partitions.starts(), commits(&mut partitions)), (vec![], vec![]));
    assert!(matches!(next(&mut partitions), Some(Event::Revoked(told)) if told == [named(0)]));
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
    assert!(next(&mut partitions).is_none());
}

#[test]
fn a_partition_whose_position_is_lost_is_assigned_anew() {
    let (mut partitions, run) = reading();
    partitions.lost(0);
    assert!(!partitions.is_current(0, run));
    assert!(matches!(next(&mut partitions), Some(Event::Revoked(_))));
    partitions.lost(1);
    assert_eq!(numbers(&partitions.questions(Instant::now())), [0], "what is not owned can't be lost");
}

#[test]
fn a_full_partition_has_room_again_when_it_is_half_empty() {
    let (mut partitions, run) = reading();
    for offset in 0..2000 {
        assert!(!partitions.is_full(0), "{offset}");
        partitions.push(0, run, entry(offset));
    }
    assert!(partitions.is_full(0));
    drop(next(&mut partitions));
    assert!(!partitions.has_room(0));
    partitions.more(0);
    drop(next(&mut partitions));
    assert!(partitions.has_room(0));
    let large = Entry { size: MOST_BYTES, ..entry(2000) };
    partitions.push(0, run, large);
    assert!(partitions.is_full(0));
}

#[test]
fn a_commit_is_taken_once_and_again_when_it_is_due_again() {
    let (mut partitions, _) = reading();
    partitions.commit_again();
    assert_eq!(commits(&mut partitions), [], "nothing was ever done");
    partitions.commit(0, 5);
    partitions.commit(0, 4);
    assert_eq!(commits(&mut partitions), [(0, 5)]);
    partitions.commit(0, 5);
    assert_eq!(commits(&mut partitions), []);
    partitions.commit_again();
    assert_eq!(commits(&mut partitions), [(0, 5)]);
    assert_eq!(commits(&mut partitions), []);
    partitions.commit_again();
    partitions.commit(0, 6);
    assert_eq!(commits(&mut partitions), [(0, 6)]);
    partitions.revoked([0]);
    partitions.commit_again();
    assert_eq!(commits(&mut partitions), []);
}

#[test]
fn what_is_done_is_known_before_kafka_knows_it() {
    let mut partitions = Partitions::default();
    assert_eq!(partitions.done(), Some(vec![]));
    partitions.assigned([0]);
    assert_eq!(partitions.done(), None, "nobody has looked where it stands");
    let (mut partitions, _) = reading();
    assert_eq!(partitions.done(), Some(vec![(0, 3)]));
    partitions.commit(0, 5);
    assert_eq!(partitions.done(), Some(vec![(0, 5)]));
    assert_eq!(commits(&mut partitions), [(0, 5)]);
    assert_eq!(partitions.done(), Some(vec![(0, 5)]));
    partitions.revoked([0]);
    assert_eq!(partitions.done(), Some(vec![]));
}

/// The topic may have been made anew, and an offset of the one before means something else in it.
#[test]
fn a_commit_belongs_to_its_assignment() {
    let (mut partitions, _) = reading();
    partitions.commit(0, 50);
    partitions.lost(0);
    assert!(matches!(next(&mut partitions), Some(Event::Revoked(_))));
    find(&mut partitions, 0);
    assert!(matches!(next(&mut partitions), Some(Event::Assigned(_))));
    partitions.commit_again();
    assert_eq!(commits(&mut partitions), []);
    // Its own, also below what the other one had.
    partitions.commit(0, 4);
    assert_eq!(commits(&mut partitions), [(0, 4)]);
}

#[test]
fn records_can_be_held_back_and_news_not() {
    let (mut partitions, run) = reading();
    partitions.push(0, run, entry(3));
    assert!(partitions.next(Instant::now(), named, false).is_none());
    partitions.revoked([0]);
    assert!(matches!(partitions.next(Instant::now(), named, false), Some(Event::Revoked(_))));
}
