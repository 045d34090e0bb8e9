//! The one task of a node that keeps its clients' login sessions alive while they are connected.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::held::{Due, Standing};
use super::{Inner, LoginSessions};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, RegistryError};
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
    let mut touched = stream::iter(due).map(|Due { key, begins_for }| touch_one(inner, key, begins_for)).buffer_unordered(AT_ONCE);
    while let Some(answer) = touched.next().await {
        let (key, standing) = answer?;
        inner.held.settle(key, standing, next);
    }
    Ok(())
}

async fn touch_one(inner: &Inner, key: LoginKey, begins_for: Option<UserName>) -> Result<(LoginKey, Standing), RegistryError> {
    let there = match begins_for {
        Some(user) => inner.registry.begin_login(key, Login::of_user(user), inner.ttl).await.map(|_| true)?,
        // Not there any more: it was ended, of which its sessions are told, or the registry forgot it, which is no reason to
        // end anybody. Nobody can tell which, so it is not begun again.
        None => match inner.registry.touch_login(key, inner.ttl).await {
            Ok(login) => login.is_some(),
            // What nobody can read nobody can keep either, and the others must not wait for it.
            Err(RegistryError::Corrupt(_)) => false,
            Err(error) => return Err(error),
        },
    };
    Ok((key, if there { Standing::Kept } else { Standing::Over }))
}
