//! What has to be looked at now and then: whether Redis throws keys away, and revocations that lapsed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use super::keys::Keys;
use super::link::Link;
use super::{millis, scripts};
use crate::registry::RegistryError;

const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A round of sweeping takes so many steps at most; a step looks at about 200 entries.
const STEPS: usize = 20;

/// A filling that was begun so long ago was given up.
const FILLING: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    evicting: AtomicBool,
}

impl Upkeep {
    pub(super) fn is_evicting(&self) -> bool {
        self.evicting.load(Ordering::Relaxed)
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self: Arc<Self>, link: Arc<Link>, keys: Arc<Keys>) {
        let mut rounds = interval(LOOK_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut cursor) = (None, "0".to_owned());
        loop {
            rounds.tick().await;
            if let Err(error) = self.look(&link, &mut before).await {
                // A user without the right to ask is no reason for noise, and one that is away is told of elsewhere.
                debug!(%error, "Redis can't be asked about itself");
            }
            match sweep(&link, &keys, &cursor).await {
                Ok(next) => cursor = next,
                Err(error) => debug!(%error, "revocations that lapsed can't be removed now"),
            }
        }
    }

    async fn look(&self, link: &Link, before: &mut Option<Seen>) -> Result<(), RegistryError> {
        // One section at a time: Redis 6 takes no more.
        let memory: String = link.call(redis::cmd("INFO").arg("memory")).await?;
        let stats: String = link.call(redis::cmd("INFO").arg("stats")).await?;
        let now = Seen::read(&memory, &stats);
        let is_evicting = now.throws_away(before.as_ref());
        match (self.evicting.swap(is_evicting, Ordering::Relaxed), is_evicting) {
            (false, true) => warn!(
                policy = now.policy,
                evicted = now.evicted,
                "Redis throws keys away, and with them sessions and tokens; give it memory, or maxmemory-policy noeviction"
            ),
            (true, false) => info!("Redis does not throw keys away any more"),
            _ => {}
        }
        *before = Some(now);
        Ok(())
    }
}

/// What Redis says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    policy: String,
    evicted: u64,
}

impl Seen {
    fn read(memory: &str, stats: &str) -> Self {
        let value = |info: &str, name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        Self {
            policy: value(memory, "maxmemory_policy").unwrap_or_default(),
            evicted: value(stats, "evicted_keys").and_then(|keys| keys.parse().ok()).unwrap_or(0),
        }
    }

    /// It may throw away what has no TTL, or it just threw something away.
    fn throws_away(&self, before: Option<&Self>) -> bool {
        self.evicted > before.map_or(0, |before| before.evicted.min(self.evicted))
    }
}

async fn sweep(link: &Link, keys: &Keys, from: &str) -> Result<String, RegistryError> {
    let mut cursor = from.to_owned();
    for _ in 0..STEPS {
        let mut script = scripts::SWEEP.prepare_invoke();
        script.key(keys.revoked()).arg(&cursor).arg(millis(FILLING));
        cursor = link.call(&script).await?;
        if cursor == "0" {
            break;
        }
    }
    Ok(cursor)
}
