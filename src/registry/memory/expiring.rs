//! A table whose entries lapse: none that lapsed is seen, and those that nobody asks for don't pile up.

use std::collections::HashMap;
use std::hash::Hash;

/// Lapsed entries are removed when the table has doubled since that was last done, and is at least so large.
const SMALL: usize = 1024;

#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: HashMap<K, (V, u64)>,
    swept: usize,
}

// By hand: derived, it would ask for keys and values that have a default.
impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), swept: 0 }
    }
}

impl<K: Eq + Hash, V> Expiring<K, V> {
    /// Times are in whichever unit the table uses for all; an entry is there before `until`.
    pub(super) fn insert(&mut self, key: K, value: V, until: u64, now: u64) {
        if self.entries.len() >= SMALL.max(self.swept * 2) {
            self.entries.retain(|_, (_, until)| *until > now);
            self.swept = self.entries.len();
        }
        self.entries.insert(key, (value, until));
    }

    pub(super) fn get(&self, key: &K, now: u64) -> Option<(&V, u64)> {
        self.entries.get(key).filter(|(_, until)| *until > now).map(|(value, until)| (value, *until))
    }

    pub(super) fn remove(&mut self, key: &K, now: u64) -> Option<V> {
        self.entries.remove(key).filter(|(_, until)| *until > now).map(|(value, _)| value)
    }

    pub(super) fn iter(&self, now: u64) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter(move |(_, (_, until))| *until > now).map(|(key, (value, _))| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lapsed_is_not_seen_and_does_not_pile_up() {
        let mut table = Expiring::default();
        for now in 0..100_000_u64 {
            table.insert(now, (), now + 10, now);
        }
        assert!(table.entries.len() <= 2 * SMALL, "{}", table.entries.len());
        assert_eq!(table.get(&99_999, 100_008), Some((&(), 100_009)));
        assert_eq!(table.get(&99_999, 100_009), None);
        assert_eq!(table.remove(&99_999, 100_009), None);
    }
}
