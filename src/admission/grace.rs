//! Who was let in a moment ago, and so may come in again while nobody can be asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::message::{TokenId, User, UserName};

/// The roles that the registry gave a token instead of its own.
type Roles = Option<Arc<[Box<str>]>>;

/// Beyond so many only those that are known come in again, so a flood can't fill the memory.
const MOST: usize = 100_000;

/// Tokens that were judged good, with the time and the roles that were given for them. Nothing else of them stays.
#[derive(Debug)]
pub(super) struct Grace {
    lasts: Duration,
    judged: Mutex<HashMap<(UserName, TokenId), Judged>>,
}

#[derive(Debug)]
struct Judged {
    at: Instant,
    roles: Roles,
}

impl Grace {
    /// With no time nothing is remembered.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, judged: Mutex::default() }
    }

    /// This user came in, with these roles if they are not the token's own.
    pub(super) fn note(&self, user: &User, roles: Roles, now: Instant) {
        let Some(token) = user.token.clone().filter(|_| !self.lasts.is_zero()) else { return };
        let mut judged = self.judged.lock();
        if judged.len() < MOST {
            judged.insert((user.name.clone(), token), Judged { at: now, roles });
        }
    }

    /// The user, if it was let in with this very token not long ago, with the roles that it was given.
    pub(super) fn again(&self, user: &User, now: Instant) -> Option<User> {
        let judged = self.judged.lock();
        let known = judged.get(&(user.name.clone(), user.token.clone()?))?;
        let roles = known.roles.as_ref().unwrap_or(&user.roles);
        (now.saturating_duration_since(known.at) < self.lasts).then(|| User { roles: Arc::clone(roles), ..user.clone() })
    }

    /// Forgets those whose time is over.
    pub(super) fn prune(&self, now: Instant) {
        self.judged.lock().retain(|_, one| now.saturating_duration_since(one.at) < self.lasts);
    }

    /// What was judged of this token is void.
    pub(super) fn forget(&self, token: &TokenId) {
        self.judged.lock().retain(|(_, known), _| known != token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, token: &str) -> User {
        User {
            name: UserName::new(name).unwrap(),
            roles: Arc::new([]),
            claims: Arc::new(serde_json::Value::Null),
            expires_at: None,
            token: TokenId::new(token).ok(),
            issued_at: None,
        }
    }

    #[test]
    fn only_the_same_token_and_only_for_a_while() {
        let grace = Grace::new(Duration::from_secs(30));
        let now = Instant::now();
        grace.note(&user("bob", "j"), None, now);
        assert!(grace.again(&user("bob", "j"), now + Duration::from_secs(29)).is_some());
        assert!(grace.again(&user("bob", "j"), now + Duration::from_secs(30)).is_none());
        assert!(grace.again(&user("bob", "k"), now).is_none());
        assert!(grace.again(&user("alice", "j"), now).is_none());
        grace.forget(&TokenId::new("j").unwrap());
        assert!(grace.again(&user("bob", "j"), now).is_none());
    }

    #[test]
    fn the_roles_that_were_given_count_and_the_rest_is_the_tokens() {
        let grace = Grace::new(Duration::from_secs(30));
        let now = Instant::now();
        grace.note(&user("bob", "j"), Some(Arc::new(["STAFF".into()])), now);
        let again = grace.again(&User { expires_at: Some(7), ..user("bob", "j") }, now).unwrap();
        assert_eq!((&*again.roles, again.expires_at), (&["STAFF".into()][..], Some(7)));
        grace.prune(now + Duration::from_secs(30));
        assert!(grace.judged.lock().is_empty());
    }

    #[test]
    fn without_a_time_nobody_is_known() {
        let grace = Grace::new(Duration::ZERO);
        let now = Instant::now();
        grace.note(&user("bob", "j"), None, now);
        assert!(grace.again(&user("bob", "j"), now).is_none());
        assert!(grace.judged.lock().is_empty());
    }
}
