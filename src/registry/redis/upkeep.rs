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
const FILLING: Duration = Duration::from_hours(1);

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
                "Redis throws keys away when it is full, and with them sessions and tokens; set maxmemory-policy noeviction"
            ),
            (true, false) => info!("Redis does not throw keys away any more"),
            _ => {}
        }
        *before = Some(now);
        Ok(())
    }
}

/// A line of what INFO answers.
pub(super) fn value(info: &str, name: &str) -> Option<String> {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

/// What Redis says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    policy: String,
    limited: bool,
    evicted: u64,
}

impl Seen {
    fn read(memory: &str, stats: &str) -> Self {
        Self {
            policy: value(memory, "maxmemory_policy").unwrap_or_default(),
            limited: value(memory, "maxmemory").is_some_and(|bytes| bytes != "0"),
            evicted: value(stats, "evicted_keys").and_then(|keys| keys.parse().ok()).unwrap_or(0),
        }
    }

    /// Every policy but one throws away keys that footfall needs, since most of them have a TTL.
    fn throws_away(&self, before: Option<&Self>) -> bool {
        let may = self.limited && !matches!(self.policy.as_str(), "" | "noeviction");
        may || before.is_some_and(|before| before.evicted < self.evicted)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(limit: u64, policy: &str, evicted: u64) -> Seen {
        let memory = format!("# Memory\r\nused_memory:900\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n");
        Seen::read(&memory, &format!("# Stats\r\nexpired_keys:4\r\nevicted_keys:{evicted}\r\n"))
    }

    #[test]
    fn a_redis_that_throws_keys_away_is_noticed_before_and_when_it_does() {
        assert!(!seen(0, "allkeys-lru", 0).throws_away(None), "it has no limit to reach");
        assert!(!seen(100, "noeviction", 7).throws_away(None), "that was before");
        assert!(!seen(100, "noeviction", 7).throws_away(Some(&seen(100, "allkeys-lru", 7))));
        assert!(seen(100, "volatile-ttl", 0).throws_away(None));
        assert!(seen(0, "noeviction", 8).throws_away(Some(&seen(0, "noeviction", 7))));
        assert!(!seen(0, "noeviction", 0).throws_away(Some(&seen(0, "noeviction", 7))), "it was started anew");
        assert!(!Seen::read("", "").throws_away(None));
    }
}
