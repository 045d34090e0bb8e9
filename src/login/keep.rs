//! The one task of a node that keeps its clients' login sessions alive while they are connected.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::held::{Due, Standing};
use super::{Inner, LoginSessions};
use crate::registry::{LoginKey, RegistryError};
use crate::shutdown::Shutdown;

/// How many are touched at the same time.
const AT_ONCE: usize = 32;
/// At least so often it is looked which are due; each is due when a third of its time has passed.
const LOOK: Duration = Duration::from_secs(10);

/// Until the node stops. Each CONNECT is a touch, so those due are spread over time as clients came.
pub(super) async fn keep(sessions: LoginSessions, shutdown: Shutdown) {
    let inner = &*sessions.0;
    let mut looks = interval(LOOK.min(inner.ttl / 30));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let work = async {
            looks.tick().await;
            if let Err(error) = touch(inner, inner.held.due(Instant::now()), sessions.next_touch()).await {
                // They stay due.
                tracing::debug!(%error, "login sessions could not be kept now");
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.stopped() => return,
        }
    }
}

/// Up to the first that gets no answer: the others would not either.
async fn touch(inner: &Inner, due: Vec<Due>, next: Instant) -> Result<(), RegistryError> {
    let mut touched = stream::iter(due).map(|due| touch_one(inner, due)).buffer_unordered(AT_ONCE);
    while let Some(answer) = touched.next().await {
        let (key, standing) = answer?;
        inner.held.settle(key, standing, next);
    }
    Ok(())
}

async fn touch_one(inner: &Inner, Due { key, user, begins }: Due) -> Result<(LoginKey, Standing), RegistryError> {
    let there = if begins {
        inner.begin(key, &user).await.map(|()| true)?
    } else {
        match inner.take_up(key, &user).await {
            // Not there any more: it was ended, of which its sessions are told, or the registry forgot it, which is no reason to
            // end anybody. Nobody can tell which, so it is not begun again.
            Ok(there) => there,
            // What nobody can read nobody can keep either, and the others must not wait for it.
            Err(RegistryError::Corrupt(_)) => false,
            Err(error) => return Err(error),
        }
    };
    Ok((key, if there { Standing::Kept } else { Standing::Over }))
}
