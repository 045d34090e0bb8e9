//! Applies what policies say of how long messages are kept, and ends the idempotency window of old ids.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::message::Destination;
use crate::shutdown::Shutdown;
use crate::store::{Keep, Store, StoreError};

/// What a destination's policy keeps; asked for each destination at each round, so that a changed policy counts.
pub type KeepOf = Arc<dyn Fn(&Destination, u64) -> Keep + Send + Sync>;

/// When retention runs and how long ids are remembered.
#[derive(Debug, Clone, Copy)]
pub struct RetentionSettings {
    pub interval: Duration,
    pub idempotency_window: Duration,
}

/// Destinations looked up at once.
const PAGE: usize = 256;

/// Applies retention round after round until the node stops.
pub async fn retention(store: Arc<dyn Store>, keep_of: KeepOf, settings: RetentionSettings, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(settings.interval) => {}
            () = shutdown.stopped() => return,
        }
        tokio::select! {
            done = apply(store.as_ref(), &keep_of, settings.idempotency_window) => {
                if let Err(error) = done {
                    tracing::warn!(%error, "retention could not be applied; the next round tries again");
                }
            }
            () = shutdown.stopped() => return,
        }
    }
}

/// One round over all destinations. What can't be done for one of them must not keep the others from it.
pub async fn apply(store: &dyn Store, keep_of: &KeepOf, idempotency_window: Duration) -> Result<(), StoreError> {
    let now_ms = now_ms();
    let mut after = None;
    loop {
        let destinations = store.destinations(after, PAGE).await?;
        for destination in &destinations {
            let keep = keep_of(destination, now_ms);
            if keep.count.is_some() || keep.not_before_ms.is_some() {
                match store.trim(destination.clone(), keep).await {
                    Ok(_gone) => {}
                    // All others would fail as well.
                    Err(error) if error.is_retryable() => return Err(error),
                    Err(error) => tracing::error!(%destination, %error, "retention could not be applied here"),
                }
            }
        }
        after = destinations.into_iter().next_back();
        if after.is_none() {
            break;
        }
    }
    let window_ms = u64::try_from(idempotency_window.as_millis()).unwrap_or(u64::MAX);
    store.forget_ids(now_ms.saturating_sub(window_ms)).await?;
    Ok(())
}

fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
