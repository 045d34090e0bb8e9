//! What the registry has not been told of a revocation, and is told again until it took it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Inner;
use crate::message::{Revocation, TokenId, UserName};
use crate::registry::RegistryError;
use crate::shutdown::Shutdown;

/// Beyond so many the store alone knows of a revocation, and nodes find it there.
const MOST: usize = 10_000;
/// Between two tries.
const RETRY: Duration = Duration::from_millis(500);

/// One thing to be done by the registry; doing it twice is doing it once.
#[derive(Debug, Clone)]
pub(super) enum Telling {
    Revoke(Revocation),
    Unregister(TokenId),
    UnregisterAllOf(UserName),
    EndLoginsOf(UserName),
}

/// In the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Untold {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    tellings: BTreeMap<u64, Telling>,
}

impl Untold {
    /// Its number, by which it is taken away.
    fn add(&self, telling: Telling) -> Option<u64> {
        let mut waiting = self.waiting.lock();
        if waiting.tellings.len() >= MOST {
            return None;
        }
        waiting.next += 1;
        let number = waiting.next;
        waiting.tellings.insert(number, telling);
        Some(number)
    }

    fn first_after(&self, number: u64) -> Option<(u64, Telling)> {
        let waiting = self.waiting.lock();
        waiting.tellings.range(number + 1..).next().map(|(number, telling)| (*number, telling.clone()))
    }

    fn remove(&self, number: u64) {
        self.waiting.lock().tellings.remove(&number);
    }
}

impl Inner {
    /// Tells the registry; whether it took all of it. What it did not take it is told again, also if nobody waits for this
    /// any more.
    pub(super) async fn tell(&self, tellings: Vec<Telling>) -> bool {
        let numbered: Vec<_> = tellings.into_iter().map(|telling| (self.untold.add(telling.clone()), telling)).collect();
        let mut told = true;
        for (number, telling) in numbered {
            match self.carry_out(telling).await {
                Ok(()) => number.into_iter().for_each(|number| self.untold.remove(number)),
                Err(error) => {
                    tracing::warn!(%error, "a revocation is in the store and could not be told to other nodes yet");
                    told = false;
                }
            }
        }
        if !told {
            self.untold.came.notify_one();
        }
        told
    }

    async fn carry_out(&self, telling: Telling) -> Result<(), RegistryError> {
        match telling {
            Telling::Revoke(revocation) => self.registry.revoke(revocation).await,
            Telling::Unregister(token) => self.registry.unregister(token).await.map(drop),
            Telling::UnregisterAllOf(user) => self.registry.unregister_all_of(user).await.map(drop),
            Telling::EndLoginsOf(user) => {
                for (login, _) in self.registry.logins_of(user).await? {
                    self.registry.end_login(login).await?;
                }
                Ok(())
            }
        }
    }
}

/// Until the node stops.
pub(super) async fn tell_again(inner: Arc<Inner>, shutdown: Shutdown) {
    let work = async {
        loop {
            let mut number = 0;
            let mut away = false;
            while let Some((next, telling)) = inner.untold.first_after(number) {
                number = next;
                match inner.carry_out(telling).await {
                    Ok(()) => inner.untold.remove(number),
                    Err(error) if error.is_retryable() => {
                        away = true;
                        break;
                    }
                    Err(error) => {
                        tracing::error!(%error, "a revocation that the store has can't be told to the registry");
                        inner.untold.remove(number);
                    }
                }
            }
            if away { sleep(RETRY).await } else { inner.untold.came.notified().await }
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.stopped() => {}
    }
}
