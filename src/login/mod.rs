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

/// The data of one whose browser has another user now: with its next handshake that browser gets another cookie.
const LEFT: &str = "left";

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
        let key = value.key();
        match self.answer(self.0.registry.login(key)).await {
            Some(Some(login)) if login.data() != LEFT => Some(Claim { value, standing: Claimed::Known }),
            // It was made while there was no answer.
            Some(None) if self.0.held.is_unbegun(key) => Some(Claim { value, standing: Claimed::Unasked }),
            Some(_) => Claim::made(),
            None => Some(Claim { value, standing: Claimed::Unasked }),
        }
    }

    /// A CONNECT of this user was admitted. None if the login session was ended since the handshake, or never was one, or is
    /// another user's: the client goes on without, and gets a new cookie with its next handshake.
    ///
    /// So it stays the user's with whom it began, and whoever plants a cookie of their own in somebody else's browser neither
    /// ends that one's sessions with it nor is found in that one's list.
    pub async fn join(&self, claim: Claim, user: &UserName) -> Option<Membership> {
        let Claim { value, standing } = claim;
        let key = value.key();
        let there = if standing == Claimed::Made || self.0.held.begins_for(key, user) {
            self.answer(self.0.begin(key, user)).await.map(|()| true)
        } else {
            self.answer(self.0.take_up(key, user)).await
        };
        let standing = match there {
            Some(true) => Some(Standing::Kept),
            Some(false) => return None,
            None => (standing == Claimed::Made).then_some(Standing::Unbegun),
        };
        // What could not begin begins as soon as it can.
        let due = if standing == Some(Standing::Unbegun) { Instant::now() } else { self.next_touch() };
        let joins = self.0.held.join(key, user, standing, due);
        joins.then(|| Membership { sessions: self.clone(), key, public_id: value.public_id(user) })
    }

    /// None if there was no answer in time. Whoever has to know asks now and then; no client waits for what is known to be
    /// silent, or gives up the one question by which everybody learns that it is not any more.
    async fn answer<T>(&self, call: impl Future<Output = Result<T, RegistryError>>) -> Option<T> {
        if !self.0.registry.state().available {
            return None;
        }
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

impl Inner {
    /// If it is there, this is the answer to a call that was thought to be lost.
    async fn begin(&self, key: LoginKey, user: &UserName) -> Result<(), RegistryError> {
        self.registry.begin_login(key, Login::of_user(user.clone()), self.ttl).await.map(drop)
    }

    /// False if this user has no such login session (any more).
    async fn take_up(&self, key: LoginKey, user: &UserName) -> Result<bool, RegistryError> {
        let Some(login) = self.registry.touch_login(key, self.ttl).await? else { return Ok(false) };
        if login.user.as_ref() == Some(user) {
            return Ok(true);
        }
        if let Ok(left) = Login::new(login.user, LEFT) {
            self.registry.change_login(key, left, self.ttl).await?;
        }
        Ok(false)
    }
}

impl fmt::Debug for LoginSessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LoginSessions").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}
