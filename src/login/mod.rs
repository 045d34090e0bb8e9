//! Login sessions: what outlives a client's sockets, and is found again by the cookie that its browser brings.
//!
//! Knows neither HTTP nor STOMP, and lets nobody in: a cookie says that this is the browser of before, never who it is. The
//! registry keeps a login session from the first CONNECT that was admitted to some time after the last socket closed.

mod held;
mod keep;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use value::CookieValue;

use self::held::{Held, Standing};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, Registry, RegistryError};
use crate::shutdown::Shutdown;

/// How long a client waits for the registry: a login session is worth less than a connection in time.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The login sessions of a node's clients. One for all connections; cheap to clone.
#[derive(Clone)]
pub struct LoginSessions(Arc<Inner>);

struct Inner {
    registry: Arc<dyn Registry>,
    ttl: Duration,
    held: Held,
}

/// The login session that a connection belongs to, once its CONNECT is admitted.
#[derive(Debug)]
pub struct Claim {
    value: CookieValue,
    standing: Claimed,
}

/// How a connection came by its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// It was made for it, here and now; nobody else has it.
    Made,
    /// The client brought it, and the registry knows it.
    Known,
    /// The client brought it, and the registry gave no answer.
    Unasked,
}

impl Claim {
    fn made() -> Option<Self> {
        match CookieValue::random() {
            Ok(value) => Some(Self { value, standing: Claimed::Made }),
            Err(error) => {
                tracing::error!(%error, "there is no randomness, so no session cookie is set");
                None
            }
        }
    }

    pub fn key(&self) -> LoginKey {
        self.value.key()
    }

    /// The value for the header that sets the cookie, new or again; none if nothing is to be set.
    pub fn to_set(&self) -> Option<String> {
        (self.standing != Claimed::Unasked).then(|| self.value.reveal())
    }
}

/// A session's part in a login session. When it is dropped, the session has left it.
#[derive(Debug)]
pub struct Membership {
    sessions: LoginSessions,
    key: LoginKey,
    public_id: Arc<str>,
}

impl Membership {
    /// By which others tell this login session's messages from those of others.
    pub fn public_id(&self) -> &Arc<str> {
        &self.public_id
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.sessions.0.held.leave(self.key);
    }
}

impl LoginSessions {
    /// Starts to keep those of this node alive. Each is gone `ttl` after its last socket closed.
    pub fn start(registry: Arc<dyn Registry>, ttl: Duration, shutdown: &Shutdown) -> Self {
        let sessions = Self(Arc::new(Inner { registry, ttl, held: Held::default() }));
        shutdown.spawn_essential("login-sessions", keep::keep(sessions.clone(), shutdown.clone()));
        sessions
    }

    /// What a handshake with this cookie, or without one, belongs to. It changes nothing in the registry, where whoever
    /// shakes hands and is nobody could otherwise pile up what it likes. None only if the system has no randomness.
    ///
    /// A value that the registry does not know is replaced, so that nobody can choose one for somebody else. Without an
    /// answer it stays as it is: it proves nothing, all that comes of it is a public id that nobody else can have without
    /// this very value, and CONNECT asks again. Replacing it would cost every client its login session in each outage.
    pub async fn recognize(&self, presented: Option<CookieValue>) -> Option<Claim> {
        let Some(value) = presented else { return Claim::made() };
        // Whoever has to know asks now and then; a handshake does not wait for what is known to be silent.
        if !self.0.registry.state().available {
            return Some(Claim { value, standing: Claimed::Unasked });
        }
        match self.answer(self.0.registry.login(value.key())).await {
            Some(Some(_)) => Some(Claim { value, standing: Claimed::Known }),
            Some(None) => Claim::made(),
            None => Some(Claim { value, standing: Claimed::Unasked }),
        }
    }

    /// A CONNECT of this user was admitted. None if the login session was ended since the handshake, or never was one: the
    /// client goes on without, and gets a new cookie with its next handshake.
    pub async fn join(&self, claim: Claim, user: &UserName) -> Option<Membership> {
        let Claim { value, standing } = claim;
        let key = value.key();
        let standing = match standing {
            // If it is there, this is the answer to a call that was thought to be lost.
            Claimed::Made => self.answer(self.begin(key, user)).await.map_or(Standing::Unbegun, |()| Standing::Kept),
            Claimed::Known | Claimed::Unasked => match self.answer(self.take_up(key, user)).await {
                Some(true) | None => Standing::Kept,
                Some(false) => return None,
            },
        };
        // What could not begin begins as soon as it can.
        let due = if standing == Standing::Unbegun { Instant::now() } else { self.next_touch() };
        self.0.held.join(key, user, standing, due);
        Some(Membership { sessions: self.clone(), key, public_id: value.public_id(user) })
    }

    async fn begin(&self, key: LoginKey, user: &UserName) -> Result<(), RegistryError> {
        self.0.registry.begin_login(key, Login::of_user(user.clone()), self.0.ttl).await.map(drop)
    }

    /// False if there is no such login session (any more).
    async fn take_up(&self, key: LoginKey, user: &UserName) -> Result<bool, RegistryError> {
        let registry = &self.0.registry;
        match registry.touch_login(key, self.0.ttl).await? {
            None => Ok(false),
            Some(login) if login.user.as_ref() == Some(user) => Ok(true),
            // What was kept for the user before is not for this one.
            Some(_) => registry.change_login(key, Login::of_user(user.clone()), self.0.ttl).await,
        }
    }

    /// None if there was no answer in time.
    async fn answer<T>(&self, call: impl Future<Output = Result<T, RegistryError>>) -> Option<T> {
        match timeout(ANSWER_WITHIN, call).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the registry could not be asked about a login session");
                None
            }
            Err(_) => {
                tracing::debug!("the registry gave no answer about a login session in time");
                None
            }
        }
    }

    fn next_touch(&self) -> Instant {
        Instant::now() + self.0.ttl / 3
    }
}

impl fmt::Debug for LoginSessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LoginSessions").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}
