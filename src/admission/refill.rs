//! Keeps what was revoked known everywhere: in this node's memory, by the store's list; and in a registry that forgot.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Counting, Inner, now_s};
use crate::message::{Code, Revocation};
use crate::registry::{MAX_BATCH, RegistryError};
use crate::shutdown::Shutdown;
use crate::store::StoreError;

/// How often the store is asked for what was revoked since, in case that news are late or lost.
const POLL: Duration = Duration::from_secs(10);
/// A change may become visible a little after the time it is stamped with.
const OVERLAP_MS: u64 = 60_000;
/// Between two tries while the registry or the store is away, at first; then twice as long each time, up to [`POLL`].
const RETRY: Duration = Duration::from_millis(250);

/// Why the registry is not filled yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefillError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It forgot while it was filled.
    #[error("the registry forgot again while it was filled")]
    Forgot,
}

/// Loads what was revoked since then (0: all), ends whom it is about, and answers the store's time.
pub(super) async fn load(inner: &Inner, since_ms: u64) -> Result<u64, StoreError> {
    let (list, now_ms) = list(inner, since_ms).await?;
    for revocation in &list {
        inner.heed(revocation);
    }
    Ok(now_ms)
}

async fn list(inner: &Inner, since_ms: u64) -> Result<(Vec<Revocation>, u64), StoreError> {
    let (mut list, mut started): (Vec<Revocation>, _) = (Vec::new(), None);
    loop {
        let mut page = inner.store.revocations(since_ms, list.last().map(Revocation::about), MAX_BATCH).await?;
        // The first page's: what changes while the others are read is new to the next poll.
        let now_ms = *started.get_or_insert(page.now_ms);
        let is_last = page.revocations.len() < MAX_BATCH;
        list.append(&mut page.revocations);
        if is_last {
            return Ok((list, now_ms));
        }
    }
}

/// Until the node stops. `loaded` is the store's time at which all of its list was loaded.
pub(super) async fn keep_filled(inner: Arc<Inner>, mut loaded: u64, shutdown: Shutdown) {
    let (mut wanted, mut told, mut pause) = (false, false, RETRY);
    let mut next_poll = Instant::now() + POLL;
    let mut next_try = Instant::now();
    loop {
        tokio::select! {
            () = inner.lost.notified() => wanted = true,
            () = sleep_until(if wanted { next_poll.min(next_try) } else { next_poll }) => {}
            () = shutdown.stopped() => return,
        }
        let work = async {
            // However often somebody finds that it is not filled.
            if wanted && Instant::now() >= next_try {
                match refill(&inner).await {
                    Ok(now_ms) => {
                        (loaded, wanted, told, pause) = (now_ms, false, false, RETRY);
                    }
                    Err(error) => {
                        if !told {
                            tracing::warn!(%error, "the registry was not given what was revoked; as long as it lacks that, nobody is let in");
                            told = true;
                        }
                        pause = (pause * 2).min(POLL);
                    }
                }
                next_try = Instant::now() + pause;
            }
            // Also while it can't be filled: the list in memory must go on.
            if Instant::now() >= next_poll {
                next_poll = Instant::now() + POLL;
                match load(&inner, loaded.saturating_sub(OVERLAP_MS)).await {
                    Ok(now_ms) => loaded = now_ms,
                    Err(error) if error.is_retryable() => tracing::debug!(%error, "what was revoked could not be read"),
                    Err(error) => tracing::error!(%error, "what was revoked can't be read"),
                }
                inner.revoked.prune(now_s());
                inner.grace.prune(Instant::now().into_std());
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.stopped() => return,
        }
    }
}

/// Fills the registry from the store, if it forgot, and this node's memory; answers the store's time.
pub(super) async fn refill(inner: &Inner) -> Result<u64, RefillError> {
    let filling = inner.registry.begin_refill().await?;
    // Read after that was answered, as the port demands. Also if it is filled: it may be with an older state.
    let (list, now_ms) = list(inner, 0).await?;
    for revocation in &list {
        inner.heed(revocation);
    }
    for part in list.chunks(MAX_BATCH) {
        inner.registry.refill(part.to_vec()).await?;
    }
    if let Some(filling) = filling {
        if !inner.registry.finish_refill(filling).await? {
            return Err(RefillError::Forgot);
        }
        inner.metrics.refilled();
        tracing::info!(revocations = list.len(), "the registry was filled from the store");
    }
    judge_present(inner);
    // It may lack sessions: those that came in while it was away, or all.
    inner.unkept();
    Ok(now_ms)
}

/// Ends whoever lost the right to be here while nobody could tell. Which tokens are registered says nothing of those who
/// are in: a registry that forgot has none, and what was unregistered on purpose is in the store's list.
fn judge_present(inner: &Inner) {
    if !inner.counts() {
        return;
    }
    for guest in inner.present.all() {
        if inner.revoked.covers_guest(&guest) {
            guest.outbox.end(Code::TokenRevoked);
        } else if inner.settings.counting == Counting::Registered
            && let Some(token) = guest.standing.token
        {
            inner.roles.want(token);
        }
    }
}
