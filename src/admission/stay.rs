//! From a verified token to a session that may stay, and to its end.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::present::{Guest, Standing};
use super::{Admissions, Counting, Inner};
use crate::broker::Outbox;
use crate::message::{Code, Refusal, User};
use crate::metrics::AdmissionOutcome;
use crate::registry::{Admission, Admitted, Demand, LoginKey, RegistryError};

/// A client whose token was verified, and which wants to come in.
#[derive(Debug)]
pub struct Arrival {
    pub user: User,
    /// The session's id, which CONNECTED shows.
    pub session: Arc<str>,
    /// Where it is told that it has to go.
    pub outbox: Arc<Outbox>,
    /// What outlives its socket, if it came with a session cookie.
    pub login: Option<LoginKey>,
}

/// A session that may stay until it is told to go. When this is dropped, it has left.
#[derive(Debug)]
pub struct Stay {
    inner: Arc<Inner>,
    session: Arc<str>,
}

/// Why a token is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coming {
    In,
    /// The session is here already.
    Again,
}

impl Admissions {
    /// Lets a client in, with the roles that count. Answers within the registry's own time limit. From before it asks until
    /// the [`Stay`] is dropped, whatever ends the session tells its outbox.
    pub async fn admit(&self, arrival: Arrival) -> Result<(Arc<User>, Stay), Refusal> {
        let Arrival { user, session, outbox, login } = arrival;
        let guest =
            Guest { session: Arc::clone(&session), user: user.name.clone(), standing: Standing::of(&user), login, outbox, since_ms: None };
        self.0.present.enter(guest);
        // From here on it leaves, whatever happens.
        let stay = Stay { inner: Arc::clone(&self.0), session };
        let user = self.0.judge(user, &stay.session, Coming::In).await?;
        Ok((Arc::new(user), stay))
    }
}

impl Stay {
    /// The session goes on with this token of the same user, or with the one it had if that is refused.
    pub async fn refresh(&self, user: User) -> Result<Arc<User>, Refusal> {
        let inner = &self.inner;
        let before = inner.present.change_token(&self.session, Standing::of(&user));
        match inner.judge(user, &self.session, Coming::Again).await {
            Ok(user) => Ok(Arc::new(user)),
            Err(refusal) => {
                if let Some(before) = before {
                    self.stand_again_on(before);
                }
                Err(refusal)
            }
        }
    }

    /// Back to the token before. What happened to it while the session was listed under another one, nobody told the
    /// session; so that is looked up once it is listed again.
    fn stand_again_on(&self, before: Standing) {
        let inner = &self.inner;
        let token = before.token.clone();
        inner.present.change_token(&self.session, before);
        if inner.counts() && inner.present.guest(&self.session).is_some_and(|guest| inner.revoked.covers_guest(&guest)) {
            inner.end(&self.session, Code::TokenRevoked);
        }
        if let Some(token) = token {
            inner.roles.want(token);
        }
    }
}

impl Inner {
    pub(super) fn counts(&self) -> bool {
        self.settings.counting != Counting::Any
    }

    pub(super) fn end(&self, session: &str, code: Code) {
        if let Some(guest) = self.present.guest(session) {
            guest.outbox.end(code);
        }
    }

    async fn judge(&self, mut user: User, session: &Arc<str>, coming: Coming) -> Result<User, Refusal> {
        // Looked at first, since the registry may have come back with an older state.
        if self.counts() && self.revoked.covers(&user.name, user.token.as_ref(), user.issued_at) {
            return Err(Code::TokenRevoked.into());
        }
        let admission = Admission {
            user: user.name.clone(),
            session: Arc::clone(session),
            node: self.settings.node.clone(),
            token: user.token.clone(),
            issued_at: user.issued_at,
            demand: match self.settings.counting {
                Counting::Any => Demand::Nothing,
                Counting::NotRevoked => Demand::NotRevoked,
                Counting::Registered => Demand::Registered,
            },
            // One that is here displaces nobody; it may have been displaced itself and not know of it yet.
            max_sessions: self.settings.max_sessions.filter(|_| coming == Coming::In),
        };
        let asked = Instant::now();
        let answer = self.registry.admit(admission).await;
        let count = |outcome| self.metrics.admission(outcome, asked.elapsed());
        match answer {
            Ok(Admitted::In { since_ms, registered, pushed_out }) => {
                count(AdmissionOutcome::Admitted);
                self.metrics.pushed_out(pushed_out.len());
                self.present.admitted(session, since_ms);
                let roles = registered.and_then(|registered| registered.roles);
                self.grace.note(&user, roles.clone(), Instant::now());
                user.roles = roles.unwrap_or(user.roles);
                Ok(user)
            }
            Ok(Admitted::Revoked) => {
                count(AdmissionOutcome::Revoked);
                Err(Code::TokenRevoked.into())
            }
            Ok(Admitted::NotRegistered) => {
                count(AdmissionOutcome::NotRegistered);
                Err(Code::TokenRevoked.into())
            }
            Err(error) => {
                let known = self.unasked(user, session, coming, &error);
                count(match (&known, &error) {
                    (Ok(_), _) => AdmissionOutcome::AdmittedFromCache,
                    (Err(_), RegistryError::NotFilled) => AdmissionOutcome::NotFilled,
                    (Err(_), _) => AdmissionOutcome::Unavailable,
                });
                known
            }
        }
    }

    /// The registry gave no answer.
    fn unasked(&self, user: User, session: &str, coming: Coming, error: &RegistryError) -> Result<User, Refusal> {
        if matches!(error, RegistryError::NotFilled) {
            // It may have thrown away just this list, which no reader of news would notice.
            self.lost.notify_one();
        }
        let known = match (self.settings.counting, coming) {
            // Where revocations count: its user is connected, and this node knows of none; refusing would end a session that
            // harms nobody.
            (Counting::Any, _) | (Counting::NotRevoked, Coming::Again) => Some(user),
            _ => self.grace.again(&user, Instant::now()),
        };
        let Some(user) = known else {
            tracing::debug!(%error, "a client was refused because the registry gave no answer");
            return Err(Code::RegistryUnavailable.into());
        };
        if coming == Coming::In {
            self.present.admitted(session, now_ms());
        }
        self.unkept();
        Ok(user)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(guest) = self.inner.present.leave(&self.session) {
            self.inner.departures.add(guest.user, guest.session);
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
