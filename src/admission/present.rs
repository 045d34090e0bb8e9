//! The sessions of this node, found by whatever may end them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::broker::Outbox;
use crate::message::{TokenId, User, UserName};
use crate::registry::LoginKey;

/// A session from just before it is admitted to its end.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) session: Arc<str>,
    pub(super) user: UserName,
    pub(super) standing: Standing,
    pub(super) login: Option<LoginKey>,
    pub(super) outbox: Arc<Outbox>,
    /// When it was admitted, in milliseconds since 1970; none while that is asked.
    pub(super) since_ms: Option<u64>,
}

/// What a session stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) token: Option<TokenId>,
    pub(super) issued_at: Option<u64>,
    /// What the token itself says; they count where it is not registered with others.
    pub(super) roles: Arc<[Box<str>]>,
}

impl Standing {
    pub(super) fn of(user: &User) -> Self {
        Self { token: user.token.clone(), issued_at: user.issued_at, roles: Arc::clone(&user.roles) }
    }
}

type Sessions = SmallVec<[Arc<str>; 1]>;

#[derive(Debug, Default)]
pub(super) struct Present(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    guests: HashMap<Arc<str>, Guest>,
    of_user: HashMap<UserName, Sessions>,
    with_token: HashMap<TokenId, Sessions>,
    with_login: HashMap<LoginKey, Sessions>,
}

impl Present {
    pub(super) fn enter(&self, guest: Guest) {
        let mut tables = self.0.lock();
        let session = Arc::clone(&guest.session);
        tables.of_user.entry(guest.user.clone()).or_default().push(Arc::clone(&session));
        if let Some(token) = &guest.standing.token {
            tables.with_token.entry(token.clone()).or_default().push(Arc::clone(&session));
        }
        if let Some(login) = guest.login {
            tables.with_login.entry(login).or_default().push(Arc::clone(&session));
        }
        tables.guests.insert(session, guest);
    }

    pub(super) fn admitted(&self, session: &str, since_ms: u64) {
        if let Some(guest) = self.0.lock().guests.get_mut(session) {
            guest.since_ms = Some(since_ms);
        }
    }

    /// From now on the session stands on this token; the one that it stood on before.
    pub(super) fn change_token(&self, session: &str, standing: Standing) -> Option<Standing> {
        let mut tables = self.0.lock();
        let guest = tables.guests.get_mut(session)?;
        let token = standing.token.clone();
        let old = std::mem::replace(&mut guest.standing, standing);
        let session = Arc::clone(&guest.session);
        if let Some(old) = &old.token {
            remove(&mut tables.with_token, old, &session);
        }
        if let Some(token) = token {
            tables.with_token.entry(token).or_default().push(session);
        }
        Some(old)
    }

    pub(super) fn leave(&self, session: &str) -> Option<Guest> {
        let mut tables = self.0.lock();
        let guest = tables.guests.remove(session)?;
        remove(&mut tables.of_user, &guest.user, session);
        if let Some(token) = &guest.standing.token {
            remove(&mut tables.with_token, token, session);
        }
        if let Some(login) = &guest.login {
            remove(&mut tables.with_login, login, session);
        }
        Some(guest)
    }

    pub(super) fn guest(&self, session: &str) -> Option<Guest> {
        self.0.lock().guests.get(session).cloned()
    }

    pub(super) fn of_user(&self, user: &UserName) -> Vec<Guest> {
        let tables = self.0.lock();
        found(&tables, tables.of_user.get(user))
    }

    pub(super) fn with_token(&self, token: &TokenId) -> Vec<Guest> {
        let tables = self.0.lock();
        found(&tables, tables.with_token.get(token))
    }

    pub(super) fn with_login(&self, login: LoginKey) -> Vec<Guest> {
        let tables = self.0.lock();
        found(&tables, tables.with_login.get(&login))
    }

    pub(super) fn all(&self) -> Vec<Guest> {
        self.0.lock().guests.values().cloned().collect()
    }
}

fn found(tables: &Tables, sessions: Option<&Sessions>) -> Vec<Guest> {
    sessions.into_iter().flatten().filter_map(|session| tables.guests.get(session)).cloned().collect()
}

/// An entry without sessions would stay for ever.
fn remove<K, Q>(index: &mut HashMap<K, Sessions>, key: &Q, session: &str)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    let Some(sessions) = index.get_mut(key) else { return };
    sessions.retain(|one| **one != *session);
    if sessions.is_empty() {
        index.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::OutboxSettings;

    fn guest(session: &str, user: &str, token: &str) -> Guest {
        Guest {
            session: session.into(),
            user: UserName::new(user).unwrap(),
            standing: standing(token, None),
            login: Some(LoginKey::of(user)),
            outbox: Arc::new(Outbox::new(OutboxSettings::default())),
            since_ms: None,
        }
    }

    fn standing(token: &str, issued_at: Option<u64>) -> Standing {
        Standing { token: TokenId::new(token).ok(), issued_at, roles: Arc::new([]) }
    }

    fn names(mut guests: Vec<Guest>) -> Vec<String> {
        guests.sort_by(|one, other| one.session.cmp(&other.session));
        guests.iter().map(|guest| guest.session.to_string()).collect()
    }

    #[test]
    fn a_session_is_found_by_all_that_may_end_it_until_it_leaves() {
        let present = Present::default();
        for (session, user, token) in [("1", "bob", "j"), ("2", "bob", "k"), ("3", "alice", "j")] {
            present.enter(guest(session, user, token));
        }
        let (bob, j) = (UserName::new("bob").unwrap(), TokenId::new("j").unwrap());
        assert_eq!(names(present.of_user(&bob)), ["1", "2"]);
        assert_eq!(names(present.with_token(&j)), ["1", "3"]);
        assert_eq!(names(present.with_login(LoginKey::of("alice"))), ["3"]);
        assert_eq!(names(present.all()), ["1", "2", "3"]);
        for session in ["1", "2", "3", "3"] {
            present.leave(session);
        }
        let tables = present.0.lock();
        assert_eq!((tables.guests.len(), tables.of_user.len(), tables.with_token.len(), tables.with_login.len()), (0, 0, 0, 0));
    }

    #[test]
    fn after_a_refresh_the_new_token_ends_it_and_the_old_one_does_not() {
        let present = Present::default();
        present.enter(guest("1", "bob", "old"));
        let (old, new) = (TokenId::new("old").unwrap(), TokenId::new("new").unwrap());
        assert_eq!(present.change_token("1", standing("new", Some(7))), Some(standing("old", None)));
        assert!(present.with_token(&old).is_empty());
        assert_eq!(names(present.with_token(&new)), ["1"]);
        assert_eq!(present.guest("1").unwrap().standing.issued_at, Some(7));
        assert_eq!(present.change_token("2", standing("new", None)), None);
    }
}
