//! Which login sessions this node keeps alive, and when each is due. No IO, no clock.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::message::UserName;
use crate::registry::LoginKey;

/// Beyond so many, one that nobody is in any more is let go at once, and lives for as long as the registry was told last.
const MOST: usize = 200_000;

/// What the registry is known to have of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet: it gave no answer when the login session was to begin.
    Unbegun,
    Kept,
    /// Nothing any more: it was ended, or forgotten, and does not come back.
    Over,
}

#[derive(Debug)]
struct Entry {
    /// How many sessions of this node belong to it.
    sessions: usize,
    user: UserName,
    standing: Standing,
    due: Instant,
}

/// One for which it is time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) key: LoginKey,
    pub(super) user: UserName,
    /// It has yet to begin.
    pub(super) begins: bool,
}

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<LoginKey, Entry>>);

impl Held {
    /// A session belongs to it from now on. With no `standing` the registry gave no answer, which changes nothing in what is
    /// known here; false if that is that it is another user's.
    pub(super) fn join(&self, key: LoginKey, user: &UserName, standing: Option<Standing>, due: Instant) -> bool {
        let mut entries = self.0.lock();
        let new = || Entry { sessions: 0, user: user.clone(), standing: standing.unwrap_or(Standing::Kept), due };
        let entry = entries.entry(key).or_insert_with(new);
        if let Some(standing) = standing {
            entry.user = user.clone();
            (entry.standing, entry.due) = (standing, due);
        }
        let joins = entry.user == *user;
        entry.sessions += usize::from(joins);
        joins
    }

    pub(super) fn is_unbegun(&self, key: LoginKey) -> bool {
        self.0.lock().get(&key).is_some_and(|entry| entry.standing == Standing::Unbegun)
    }

    /// Whether it has yet to begin, for this user.
    pub(super) fn begins_for(&self, key: LoginKey, user: &UserName) -> bool {
        self.0.lock().get(&key).is_some_and(|entry| entry.standing == Standing::Unbegun && entry.user == *user)
    }

    /// It goes on being kept until it is due once more, so that it lives its whole time from here.
    pub(super) fn leave(&self, key: LoginKey) {
        let mut entries = self.0.lock();
        let too_many = entries.len() > MOST;
        let Some(entry) = entries.get_mut(&key) else { return };
        entry.sessions = entry.sessions.saturating_sub(1);
        if entry.sessions == 0 && (too_many || entry.standing == Standing::Over) {
            entries.remove(&key);
        }
    }

    pub(super) fn due(&self, now: Instant) -> Vec<Due> {
        let entries = self.0.lock();
        let due = entries.iter().filter(|(_, entry)| entry.due <= now && entry.standing != Standing::Over);
        due.map(|(key, entry)| Due { key: *key, user: entry.user.clone(), begins: entry.standing == Standing::Unbegun }).collect()
    }

    /// The registry answered for one that was due. Where nobody is in it any more that was the last time.
    pub(super) fn settle(&self, key: LoginKey, standing: Standing, due: Instant) {
        let mut entries = self.0.lock();
        let Some(entry) = entries.get_mut(&key) else { return };
        if entry.sessions == 0 {
            entries.remove(&key);
        } else {
            (entry.standing, entry.due) = (standing, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn keys(held: &Held, now: Instant) -> Vec<LoginKey> {
        held.due(now).into_iter().map(|due| due.key).collect()
    }

    #[test]
    fn one_is_kept_once_more_after_its_last_session_and_no_longer() {
        let (held, key, start) = (Held::default(), LoginKey::of("a"), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        held.join(key, &user("bob"), Some(Standing::Kept), later(10));
        held.join(key, &user("bob"), Some(Standing::Kept), later(12));
        held.leave(key);
        assert_eq!(keys(&held, later(11)), []);
        assert_eq!(keys(&held, later(12)), [key]);
        held.settle(key, Standing::Kept, later(22));
        held.leave(key);
        assert_eq!(keys(&held, later(22)), [key]);
        held.settle(key, Standing::Kept, later(32));
        assert_eq!(keys(&held, later(99)), []);
        assert!(held.0.lock().is_empty());
        held.leave(key);
    }

    #[test]
    fn one_that_is_over_is_left_alone_until_it_is_left() {
        let (held, key, now) = (Held::default(), LoginKey::of("a"), Instant::now());
        held.join(key, &user("bob"), Some(Standing::Kept), now);
        held.settle(key, Standing::Over, now);
        assert_eq!(keys(&held, now), []);
        held.leave(key);
        assert!(held.0.lock().is_empty());
    }

    #[test]
    fn one_that_could_not_begin_begins_for_the_user_it_was_made_for_whoever_comes_meanwhile() {
        let (held, key, now) = (Held::default(), LoginKey::of("a"), Instant::now());
        let later = now + Duration::from_secs(9);
        assert!(held.join(key, &user("bob"), Some(Standing::Unbegun), now));
        assert!(held.begins_for(key, &user("bob")) && !held.begins_for(key, &user("alice")));
        assert!(held.join(key, &user("bob"), None, later), "a reload");
        assert!(!held.join(key, &user("alice"), None, later));
        assert_eq!(held.due(now), [Due { key, user: user("bob"), begins: true }]);
        held.settle(key, Standing::Kept, now);
        assert!(!held.is_unbegun(key));
        assert_eq!(held.due(now), [Due { key, user: user("bob"), begins: false }]);
        held.leave(key);
        held.leave(key);
        held.settle(key, Standing::Kept, later);
        assert!(held.0.lock().is_empty(), "who did not join does not count");
    }

    #[test]
    fn whose_it_is_the_registry_knows_best() {
        let (held, key, now) = (Held::default(), LoginKey::of("a"), Instant::now());
        assert!(held.join(key, &user("bob"), None, now));
        assert!(held.join(key, &user("alice"), Some(Standing::Kept), now));
        assert_eq!(held.due(now), [Due { key, user: user("alice"), begins: false }]);
    }
}
