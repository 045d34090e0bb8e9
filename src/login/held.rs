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
    /// Whose it is, if it has yet to begin.
    pub(super) begins_for: Option<UserName>,
}

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<LoginKey, Entry>>);

impl Held {
    /// A session belongs to it from now on.
    pub(super) fn join(&self, key: LoginKey, user: &UserName, standing: Standing, due: Instant) {
        let mut entries = self.0.lock();
        let entry = entries.entry(key).or_insert_with(|| Entry { sessions: 0, user: user.clone(), standing, due });
        entry.sessions += 1;
        entry.user = user.clone();
        (entry.standing, entry.due) = (standing, due);
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
        due.map(|(key, entry)| Due { key: *key, begins_for: (entry.standing == Standing::Unbegun).then(|| entry.user.clone()) }).collect()
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
        held.join(key, &user("bob"), Standing::Kept, later(10));
        held.join(key, &user("bob"), Standing::Kept, later(12));
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
        held.join(key, &user("bob"), Standing::Kept, now);
        held.settle(key, Standing::Over, now);
        assert_eq!(keys(&held, now), []);
        held.leave(key);
        assert!(held.0.lock().is_empty());
    }

    #[test]
    fn one_that_could_not_begin_begins_for_whoever_came_last() {
        let (held, key, now) = (Held::default(), LoginKey::of("a"), Instant::now());
        held.join(key, &user("bob"), Standing::Unbegun, now);
        held.join(key, &user("alice"), Standing::Unbegun, now);
        assert_eq!(held.due(now), [Due { key, begins_for: Some(user("alice")) }]);
        held.settle(key, Standing::Kept, now);
        assert_eq!(held.due(now), [Due { key, begins_for: None }]);
    }
}
