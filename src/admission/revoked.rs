//! What no longer counts, in this node's memory.

use std::collections::HashMap;

use parking_lot::RwLock;

use super::present::Guest;
use crate::message::{Revocation, TokenId, UserName};

/// Where the time until which it must be remembered is not known, it stays until the store's list is loaded anew.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// A list that only grows, but for what has lapsed.
#[derive(Debug, Default)]
pub(super) struct Revocations(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// Until when.
    tokens: HashMap<TokenId, u64>,
    /// Before which second a token was issued that counts no more, and until when.
    users: HashMap<UserName, (u64, u64)>,
}

impl Revocations {
    /// The later times win, so that it does not matter in which order one hears of them. A time that is known wins over one
    /// that is not.
    pub(super) fn add(&self, revocation: &Revocation) {
        let later = |old: u64, new: u64| if old == UNKNOWN || new == UNKNOWN { old.min(new) } else { old.max(new) };
        let mut tables = self.0.write();
        match revocation {
            Revocation::Token { token, until } => {
                tables.tokens.entry(token.clone()).and_modify(|known| *known = later(*known, *until)).or_insert(*until);
            }
            Revocation::User { user, issued_before, until } => {
                let known = tables.users.entry(user.clone()).or_insert((*issued_before, *until));
                *known = (known.0.max(*issued_before), later(known.1, *until));
            }
        }
    }

    /// Whether a token of this user counts no more. One that does not say when it was issued is older than any revocation.
    pub(super) fn covers(&self, user: &UserName, token: Option<&TokenId>, issued_at: Option<u64>) -> bool {
        let tables = self.0.read();
        let by_user = tables.users.get(user).is_some_and(|(before, _)| issued_at.is_none_or(|issued_at| issued_at < *before));
        by_user || token.is_some_and(|token| tables.tokens.contains_key(token))
    }

    pub(super) fn covers_guest(&self, guest: &Guest) -> bool {
        self.covers(&guest.user, guest.standing.token.as_ref(), guest.standing.issued_at)
    }

    /// Whether this very token was revoked, whoever bears it.
    pub(super) fn covers_token(&self, token: &TokenId) -> bool {
        self.0.read().tokens.contains_key(token)
    }

    /// Forgets what has lapsed.
    pub(super) fn prune(&self, now_s: u64) {
        let mut tables = self.0.write();
        tables.tokens.retain(|_, until| *until > now_s);
        tables.users.retain(|_, (_, until)| *until > now_s);
    }

    pub(super) fn len(&self) -> usize {
        let tables = self.0.read();
        tables.tokens.len() + tables.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str) -> TokenId {
        TokenId::new(id).unwrap()
    }

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn a_token_and_a_user_of_the_same_name_are_two_things() {
        let list = Revocations::default();
        list.add(&Revocation::Token { token: token("bob"), until: 10 });
        assert!(list.covers(&user("alice"), Some(&token("bob")), Some(5)));
        assert!(!list.covers(&user("bob"), Some(&token("j")), Some(5)));
        assert!(!list.covers(&user("bob"), None, None));
    }

    #[test]
    fn tokens_issued_after_a_logout_count() {
        let list = Revocations::default();
        let logout = |issued_before| Revocation::User { user: user("bob"), issued_before, until: 100 };
        list.add(&logout(8));
        list.add(&logout(5));
        assert!(list.covers(&user("bob"), None, Some(7)));
        assert!(!list.covers(&user("bob"), None, Some(8)));
        assert!(list.covers(&user("bob"), Some(&token("j")), None), "without iat it is older than any logout");
        assert!(!list.covers(&user("alice"), None, Some(7)));
    }

    #[test]
    fn what_has_lapsed_is_forgotten_and_no_sooner() {
        let list = Revocations::default();
        list.add(&Revocation::Token { token: token("a"), until: 10 });
        list.add(&Revocation::Token { token: token("a"), until: 7 });
        list.add(&Revocation::Token { token: token("b"), until: UNKNOWN });
        list.prune(9);
        assert_eq!(list.len(), 2);
        list.prune(10);
        assert_eq!(list.len(), 1);
        list.add(&Revocation::Token { token: token("b"), until: 11 });
        list.prune(11);
        assert_eq!(list.len(), 0);
    }
}
