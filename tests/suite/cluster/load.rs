//! Who sends and who listens in a row, and whether it was as much as was meant to be.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use crate::driver::{Log, Pace, SENDER, Sending, What};

/// Over all nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) subscribers: usize,
    pub(super) channels: usize,
    pub(super) senders: usize,
    /// Messages a second, of all senders.
    pub(super) rate: u32,
    /// See [`Sending`].
    pub(super) gives_up_once_in: Option<u64>,
}

impl Load {
    /// The failure matrix's.
    pub(super) const STANDARD: Self = Self { subscribers: 300, channels: 30, senders: 20, rate: 200, gives_up_once_in: Some(40) };

    pub(super) fn sending(self) -> Sending {
        let senders = u32::try_from(self.senders).expect("a crowd");
        let pace = Pace::Every(Duration::from_secs(1) * senders / self.rate);
        Sending { senders: self.senders, pace, gives_up_once_in: self.gives_up_once_in }
    }

    /// One in so many of what senders make in this time: with less a row proves little.
    pub(super) fn one_in(self, so_many: u32, time: &Range<Duration>) -> usize {
        let all = f64::from(self.rate) * time.end.saturating_sub(time.start).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        let all = all as usize;
        all / so_many as usize
    }
}

/// How many messages senders both sent and had a RECEIPT of in one of these times. What an outage dammed up, and came
/// through at its end, is none of them.
pub(super) fn receipted(logs: &[Log], times: &[Range<Duration>]) -> usize {
    let time = |at| times.iter().position(|time| time.contains(&at));
    let mut receipted = 0;
    for log in logs.iter().filter(|log| log.client.starts_with(SENDER)) {
        let mut sent: HashMap<Uuid, Option<usize>> = HashMap::new();
        for entry in &log.entries {
            match &entry.what {
                What::Sent { id, .. } => _ = sent.entry(*id).or_insert_with(|| time(entry.at)),
                What::Receipted { id } => {
                    let sent = sent.get(id).copied().flatten();
                    receipted += usize::from(sent.is_some() && sent == time(entry.at));
                }
                _ => {}
            }
        }
    }
    receipted
}
