//! What this node tells the registry of itself: that it lives, who is connected to it, and who has left.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Inner;
use crate::message::UserName;
use crate::registry::{KEEP_EVERY, Lease, LiveSession, MAX_BATCH, RegistryError, Renewal};
use crate::shutdown::Shutdown;

/// A node that was not heard of for so long is gone.
const LEASE: Duration = Duration::from_secs(10);
/// Three may be lost.
const RENEW: Duration = Duration::from_secs(3);
/// How many departures are told at the same time, and in one go: the lease must not wait for them.
const AT_ONCE: usize = 32;
const IN_ONE_GO: usize = 512;
/// Beyond so many the registry is left to forget them by itself.
const MOST_DEPARTURES: usize = 200_000;

/// Sessions that ended and of which the registry has not been told.
#[derive(Debug, Default)]
pub(super) struct Departures {
    waiting: Mutex<HashMap<Arc<str>, UserName>>,
    came: Notify,
}

impl Departures {
    pub(super) fn add(&self, user: UserName, session: Arc<str>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MOST_DEPARTURES {
            waiting.insert(session, user);
        }
        self.came.notify_one();
    }

    fn take(&self) -> Vec<(Arc<str>, UserName)> {
        let mut waiting = self.waiting.lock();
        let sessions: Vec<_> = waiting.keys().take(IN_ONE_GO).cloned().collect();
        sessions.into_iter().filter_map(|session| waiting.remove_entry(&session)).collect()
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

impl Inner {
    /// The registry may lack sessions of this node: they are put back with the next renewal.
    pub(super) fn unkept(&self) {
        self.unkept.store(true, Ordering::Release);
    }
}

/// Until the node stops. One task does all of it, so that a session which has left is not put back by a list that was made
/// before.
pub(super) async fn keep(inner: Arc<Inner>, shutdown: Shutdown) {
    let mut renewals = interval(RENEW);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = Instant::now();
    loop {
        let work = async {
            tokio::select! {
                _ = renewals.tick() => renew(&inner, &mut kept).await,
                () = inner.departures.came.notified() => tell_departures(&inner).await,
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.stopped() => return,
        }
    }
}

async fn renew(inner: &Inner, kept: &mut Instant) {
    let lease = Lease {
        node: inner.settings.node.clone(),
        address: Arc::clone(&inner.settings.address),
        connections: (inner.connections)(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let was_replaced = inner.replaced.load(Ordering::Acquire);
    match inner.registry.renew(lease, LEASE).await {
        Ok(Renewal::Kept) => {}
        Ok(Renewal::Anew) => inner.unkept(),
        Ok(Renewal::Replaced) => {
            if !was_replaced {
                let node = &*inner.settings.node.name;
                tracing::error!(node, "another node with this name was started later; give each node its own node.id");
            }
            inner.replaced.store(true, Ordering::Release);
            return;
        }
        Err(error) => {
            tracing::debug!(%error, "the lease was not renewed");
            return;
        }
    }
    inner.replaced.store(false, Ordering::Release);
    if inner.unkept.swap(false, Ordering::AcqRel) || kept.elapsed() >= KEEP_EVERY {
        match keep_sessions(inner).await {
            Ok(()) => *kept = Instant::now(),
            Err(error) => {
                tracing::debug!(%error, "sessions were not put back yet");
                inner.unkept();
            }
        }
    }
    // Those that could not be told before.
    if !inner.departures.is_empty() {
        inner.departures.came.notify_one();
    }
}

async fn keep_sessions(inner: &Inner) -> Result<(), RegistryError> {
    let sessions: Vec<_> = inner
        .present
        .all()
        .into_iter()
        // Those that are just being asked about put themselves there.
        .filter_map(|guest| {
            let since_ms = guest.since_ms?;
            Some(LiveSession {
                user: guest.user,
                id: guest.session,
                node: inner.settings.node.clone(),
                token: guest.standing.token,
                since_ms,
            })
        })
        .collect();
    for part in sessions.chunks(MAX_BATCH) {
        inner.registry.keep(part.to_vec()).await?;
    }
    Ok(())
}

async fn tell_departures(inner: &Inner) {
    let leaving = stream::iter(inner.departures.take()).map(|(session, user)| async move {
        let told = inner.registry.leave(user.clone(), Arc::clone(&session)).await;
        told.is_err().then_some((session, user))
    });
    let left: Vec<_> = leaving.buffer_unordered(AT_ONCE).filter_map(async |left| left).collect().await;
    if left.is_empty() {
        // Perhaps more than one go.
        if !inner.departures.is_empty() {
            inner.departures.came.notify_one();
        }
        return;
    }
    // The registry is away; with the next renewal that works they are told again.
    inner.departures.waiting.lock().extend(left);
}
