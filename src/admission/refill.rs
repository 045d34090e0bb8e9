//! Keeps what was revoked known everywhere: in this node's memory, by the store's list; and in a registry that forgot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Counting, Inner, now_s};
use crate::message::{Code, Revocation, TokenId};
use crate::registry::{MAX_BATCH, RegistryError};
use crate::shutdown::Shutdown;
use crate::store::StoreError;

/// How often the store is asked for what was revoked since, in case that news are late or lost.
const POLL: Duration = Duration::from_secs(10);
/// A change may become visible a little after the time it is stamped with.
const OVERLAP_MS: u64 = 60_000;
/// Between two tries while the registry or the store is away.
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
    let (mut wanted, mut told) = (false, false);
    let mut next_poll = Instant::now() + POLL;
    loop {
        let next_try = Instant::now() + RETRY;
        tokio::select! {
            () = inner.lost.notified() => wanted = true,
            () = sleep_until(if wanted { next_poll.min(next_try) } else { next_poll }) => {}
            () = shutdown.stopped() => return,
        }
        let work = async {
            if wanted {
                match refill(&inner).await {
                    Ok(now_ms) => (loaded, wanted, told) = (now_ms, false, false),
                    Err(error) if !told => {
                        tracing::warn!(%error, "the registry can't be filled yet, so nobody is let in");
                        told = true;
                    }
                    Err(_) => {}
                }
            }
            // Also while it can't be filled: the list in memory must go on.
            if Instant::now() >= next_poll {
                next_poll = Instant::now() + POLL;
                match load(&inner, loaded.saturating_sub(OVERLAP_MS)).await {
                    Ok(now_ms) => loaded = now_ms,
                    Err(error) => tracing::debug!(%error, "what was revoked could not be read"),
                }
                inner.revoked.prune(now_s());
            }
            say(&inner).await;
        };
        tokio::select! {
            () = work => {}
            () = shutdown.stopped() => return,
        }
    }
}

/// Gives the registry what only the store knows; what it does not take is given again with the next poll.
async fn say(inner: &Inner) {
    let unsaid = std::mem::take(&mut *inner.unsaid.lock());
    let mut left = Vec::new();
    for revocation in unsaid {
        if left.is_empty() && inner.registry.revoke(revocation.clone()).await.is_ok() {
            continue;
        }
        left.push(revocation);
    }
    if !left.is_empty() {
        let mut unsaid = inner.unsaid.lock();
        left.append(&mut unsaid);
        *unsaid = left;
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
    let forgot = filling.is_some();
    if let Some(filling) = filling {
        if !inner.registry.finish_refill(filling).await? {
            return Err(RefillError::Forgot);
        }
        inner.metrics.refilled();
        tracing::info!(revocations = list.len(), "the registry was filled from the store");
    }
    judge_present(inner, forgot).await?;
    // It may lack sessions: those that came in while it was away, or all.
    inner.unkept();
    Ok(now_ms)
}

/// Ends whoever lost the right to be here while nobody could tell.
async fn judge_present(inner: &Inner, forgot: bool) -> Result<(), RefillError> {
    if !inner.counts() {
        return Ok(());
    }
    let guests = inner.present.all();
    for guest in &guests {
        if inner.revoked.covers_guest(guest) {
            guest.outbox.end(Code::TokenRevoked);
        }
    }
    // A registry that forgot which tokens are registered says nothing of those who are in.
    if inner.settings.counting == Counting::Registered && !forgot {
        let tokens: BTreeSet<TokenId> = guests.into_iter().filter_map(|guest| guest.standing.token).collect();
        for token in tokens {
            if inner.registry.registered(token.clone()).await?.is_none() {
                for guest in inner.present.with_token(&token) {
                    guest.outbox.end(Code::TokenRevoked);
                }
            } else {
                inner.look_at_roles(&token).await;
            }
        }
    }
    Ok(())
}
