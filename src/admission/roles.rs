//! Tokens whose roles may have changed: looked up one after the other, so that an earlier answer is never taken for the
//! later one, and beside everything else, so that nobody waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Counting, Inner};
use crate::broker::NewRoles;
use crate::message::{Code, TokenId};
use crate::registry::RegistryError;
use crate::shutdown::Shutdown;

/// Between two tries while the registry is away.
const RETRY: Duration = Duration::from_millis(500);

/// No more than the tokens of who is connected.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    tokens: Mutex<BTreeSet<TokenId>>,
    came: Notify,
}

impl Wanted {
    /// The roles of this token are looked up again, from now on.
    pub(super) fn want(&self, token: TokenId) {
        self.tokens.lock().insert(token);
        self.came.notify_one();
    }

    async fn next(&self) -> TokenId {
        loop {
            if let Some(token) = self.tokens.lock().pop_first() {
                return token;
            }
            self.came.notified().await;
        }
    }
}

/// Until the node stops.
pub(super) async fn look_up(inner: Arc<Inner>, shutdown: Shutdown) {
    let work = async {
        loop {
            let token = inner.roles.next().await;
            match inner.look_at(&token).await {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    // Whoever may have more rights than it should is not forgotten.
                    inner.roles.want(token);
                    sleep(RETRY).await;
                }
                Err(error) => tracing::error!(%error, "the roles of a registered token can't be read"),
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.stopped() => {}
    }
}

impl Inner {
    async fn look_at(&self, token: &TokenId) -> Result<(), RegistryError> {
        if self.settings.counting != Counting::Registered || self.present.with_token(token).is_empty() {
            return Ok(());
        }
        // That it is not registered any more is news of its own; and a registry that forgot says nothing of who is in.
        let Some(registered) = self.registry.registered(token.clone()).await? else { return Ok(()) };
        for guest in self.present.with_token(token) {
            if guest.user == registered.user {
                let roles = registered.roles.clone().unwrap_or(guest.standing.roles);
                guest.outbox.change_roles(NewRoles { token: token.clone(), roles });
            } else {
                guest.outbox.end(Code::TokenRevoked);
            }
        }
        Ok(())
    }
}
