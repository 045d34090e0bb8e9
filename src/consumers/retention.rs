//! Applies what policies say of how long messages are kept, and forgets what need not be remembered: ids after their idempotency window, and
//! revocations of tokens that have expired.

use std::sync::Arc;
use std::time::Duration;

use crate::message::Destination;
use crate::shutdown::Shutdown;
use crate::store::{Keep, Store, StoreError};

/// What a destination's policy keeps at this time (milliseconds since 1970); asked for each destination at each round, so
/// that a changed policy counts.
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
            done = apply(store.as_ref(), &keep_of, settings) => {
                if let Err(error) = done {
                    tracing::warn!(%error, "retention could not be applied; the next round tries again");
                }
            }
            () = shutdown.stopped() => return,
        }
    }
}

/// One round over all destinations, unless another node just made it. What can't be done for one of them must not keep the
/// others from it.
///
/// Ages are judged by the store's clock. This node's may be wrong, and what it took for old would be gone for all nodes.
pub async fn apply(store: &dyn Store, keep_of: &KeepOf, settings: RetentionSettings) -> Result<(), StoreError> {
    let Some(now_ms) = store.retention_turn(settings.interval).await? else { return Ok(()) };
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
    store.forget_ids(settings.idempotency_window).await?;
    store.forget_revocations().await.map(drop)
}
