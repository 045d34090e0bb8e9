//! F12, PostgreSQL comes back as an older copy of itself: what it lost is read again from the log and numbered anew, and
//! every subscriber is told that its position is none any more, also where nobody sends anything any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::Destination;
use tokio::time::{interval, timeout};

use super::broker::EVENTS;
use super::poison::{id, message};
use super::row::{Load, Row};
use super::world::{World, hurt};
use crate::driver::{Journal, Log, Name, What};

/// None of these channels is in the partition of the first silent one, which is silent as a whole.
const LOAD: Load = Load { channels: 28, ..Load::STANDARD };
const SILENT: [&str; 2] = ["quiet", "silent"];
const SUBSCRIBERS: usize = 6;
/// Before the copy, and again after it.
const MESSAGES: u64 = 5;
/// For subscribers of a silent channel: a node looks at the store at least so often, and a gate too.
const TOLD: (Duration, Duration) = (Duration::from_secs(40), Duration::from_mins(1));

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F12", LOAD).await;
    let silent = SILENT.map(|name| Destination::parse(&format!("{}{name}", row.prefix())).unwrap());
    let answered = row.crowd.answered();
    for channel in &silent {
        row.crowd.subscribe_to(channel, &world.nodes(), SUBSCRIBERS);
    }
    row.crowd.until_answered(answered + SILENT.len() * SUBSCRIBERS, super::PATIENCE).await;
    let journal = row.crowd.journal("a service");
    journal.write(What::Connected { node: 0 });
    speak(&row, &journal, &silent, 0).await;
    row.until_fault().await;
    let copy = world.cluster.folder().join("copy-of-the-database");
    // The copy has at least this.
    let kept = world.rows.read(&row.prefix()).await.heads;
    row.kept = kept.into_iter().map(|(destination, head)| (destination, head.sequence)).collect();
    hurt(|| world.cluster.postgres().back_up(&copy));
    let partitions = speak(&row, &journal, &silent, MESSAGES).await;
    row.until_heal().await;
    let end = |world: &World| world.broker.ends(EVENTS).unwrap()[&partitions[0]];
    let before = end(&world);
    hurt(|| world.cluster.postgres().restore(&copy));
    let ready = row.clock();

    let mut finished = row.finish().await;
    assert_eq!(end(&world), before, "the partition of {} was to be silent", silent[0]);
    finished.caught_up(Duration::from_secs(20), ready);
    // Who stays on an old position breaks C3, since the numbering under it is another.
    let told = finished.verdict.totals.reset;
    finished.figures.count("subscribers were told", true, told > 0);
    finished.figures.note("positions lost", told);
    for channel in &silent {
        let times: Vec<_> = finished.run.logs.iter().filter_map(|log| told_after(log, channel.as_str(), ready)).collect();
        finished.figures.count("subscribers of a silent channel were told", SUBSCRIBERS, times.len());
        let last = times.into_iter().max().unwrap_or_default();
        finished.figures.within("the last subscriber of a silent channel was told", TOLD.0, TOLD.1, last);
    }
    finished.judged();
}

/// Some messages to each of the channels, from this one on, which are stored when this returns; the partitions of the
/// channels.
async fn speak(row: &Row, journal: &Journal, channels: &[Destination], first: u64) -> Vec<i32> {
    let mut partitions = Vec::new();
    for channel in channels {
        let (name, mut places): (Name, _) = (channel.as_str().into(), BTreeSet::new());
        for number in first..first + MESSAGES {
            let number = number.to_string();
            let id = id(&name, &number);
            journal.write(What::Sent { destination: name.clone(), id });
            places.insert(row.world.broker.write(EVENTS, &message(&name, &number)).await);
            journal.write(What::Receipted { id });
        }
        assert_eq!(places.len(), 1, "one channel is in one partition");
        partitions.extend(places);
    }
    let stored = async || {
        let heads = row.world.rows.read(&row.prefix()).await.heads;
        channels.iter().all(|channel| heads.get(channel.as_str()).is_some_and(|head| head.sequence == first + MESSAGES))
    };
    let all_stored = async {
        let mut looks = interval(Duration::from_millis(100));
        while !stored().await {
            looks.tick().await;
        }
    };
    timeout(super::PATIENCE, all_stored).await.expect("all of it is stored");
    partitions
}

/// When a subscriber of this channel was told where it stands now, after it had lost its position.
fn told_after(log: &Log, channel: &str, ready: Duration) -> Option<Duration> {
    let is_told = |what: &What| matches!(what, What::Subscribed { destination, recovered: Some(false), .. } if **destination == *channel);
    let told = log.entries.iter().find(|entry| entry.at >= ready && is_told(&entry.what))?;
    Some(told.at.saturating_sub(ready))
}
