//! Which tokens count, and whose no longer do. Times are seconds since 1970, as in tokens.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::expiring::Expiring;
use super::{MemoryRegistry, Step};
use crate::message::{Revocation, TokenId, UserName};
use crate::registry::{MAX_BATCH, News, Refill, Registered, RegisteredToken, RegistryError, Revocations, Tokens};

#[derive(Debug, Default)]
pub(super) struct TokenTable(Expiring<TokenId, RegisteredToken>);

impl TokenTable {
    pub(super) fn get(&self, token: &TokenId, now_ms: u64) -> Option<&RegisteredToken> {
        self.0.get(token, now_ms / 1000).map(|(token, _)| token)
    }

    fn of(&self, user: &UserName, now_ms: u64) -> Vec<RegisteredToken> {
        let mut tokens: Vec<_> = self.0.iter(now_ms / 1000).map(|(_, token)| token).filter(|token| token.user == *user).cloned().collect();
        tokens.sort_by(|one, other| (one.expires_at, &one.id).cmp(&(other.expires_at, &other.id)));
        tokens
    }
}

#[derive(Debug, Default)]
pub(super) struct RevocationTable {
    tokens: Expiring<TokenId, ()>,
    users: Expiring<UserName, u64>,
    filled: bool,
    /// Those that are being filled with; nothing is ever forgotten here, so all of them may finish.
    filling: HashSet<Uuid>,
}

impl RevocationTable {
    pub(super) fn is_revoked(
        &self,
        user: &UserName,
        token: Option<&TokenId>,
        issued_at: Option<u64>,
        now_ms: u64,
    ) -> Result<bool, RegistryError> {
        let now = now_ms / 1000;
        if !self.filled {
            return Err(RegistryError::NotFilled);
        }
        let token_is = token.is_some_and(|token| self.tokens.get(token, now).is_some());
        let user_is = self.users.get(user, now).is_some_and(|(before, _)| issued_at.is_none_or(|issued_at| issued_at < *before));
        Ok(token_is || user_is)
    }

    fn add(&mut self, revocation: Revocation, now_ms: u64) {
        let now = now_ms / 1000;
        match revocation {
            Revocation::Token { token, until } => {
                let until = self.tokens.get(&token, now).map_or(until, |((), there)| until.max(there));
                self.tokens.insert(token, (), until, now);
            }
            Revocation::User { user, issued_before, until } => {
                let (before, until) = self
                    .users
                    .get(&user, now)
                    .map_or((issued_before, until), |(before, there)| (issued_before.max(*before), until.max(there)));
                self.users.insert(user, before, until, now);
            }
        }
    }
}

impl Step<'_> {
    fn register(self, token: RegisteredToken) -> Registered {
        let registered = match self.tables.tokens.get(&token.id, self.now_ms) {
            None => Registered::New,
            Some(there) if there.user != token.user => return Registered::Others,
            Some(there) if *there == token => return Registered::Same,
            Some(_) => Registered::Changed,
        };
        if registered == Registered::Changed {
            self.board.tell(News::TokenChanged { token: token.id.clone() });
        }
        let expires_at = token.expires_at;
        self.tables.tokens.0.insert(token.id.clone(), token, expires_at, self.now_ms / 1000);
        registered
    }

    fn unregister(&mut self, token: TokenId) -> bool {
        let removed = self.tables.tokens.0.remove(&token, self.now_ms / 1000).is_some();
        if removed {
            self.board.tell(News::TokenRevoked { token });
        }
        removed
    }
}

impl Tokens for MemoryRegistry {
    fn register(&self, token: RegisteredToken) -> BoxFuture<'_, Result<Registered, RegistryError>> {
        self.step(|step| Ok(step.register(token)))
    }

    fn unregister(&self, token: TokenId) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|mut step| Ok(step.unregister(token)))
    }

    fn unregister_all_of(&self, user: UserName) -> BoxFuture<'_, Result<u64, RegistryError>> {
        self.step(|mut step| {
            let tokens = step.tables.tokens.of(&user, step.now_ms);
            Ok(tokens.into_iter().map(|token| u64::from(step.unregister(token.id))).sum())
        })
    }

    fn registered(&self, token: TokenId) -> BoxFuture<'_, Result<Option<RegisteredToken>, RegistryError>> {
        self.step(|step| Ok(step.tables.tokens.get(&token, step.now_ms).cloned()))
    }

    fn registered_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<RegisteredToken>, RegistryError>> {
        self.step(|step| Ok(step.tables.tokens.of(&user, step.now_ms)))
    }
}

impl Revocations for MemoryRegistry {
    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.step(|step| {
            let news = match &revocation {
                Revocation::Token { token, .. } => News::TokenRevoked { token: token.clone() },
                Revocation::User { user, issued_before, .. } => News::UserRevoked { user: user.clone(), issued_before: *issued_before },
            };
            step.tables.revocations.add(revocation, step.now_ms);
            step.board.tell(news);
            Ok(())
        })
    }

    fn is_revoked(&self, user: UserName, token: Option<TokenId>, issued_at: Option<u64>) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| step.tables.revocations.is_revoked(&user, token.as_ref(), issued_at, step.now_ms))
    }

    fn begin_refill(&self) -> BoxFuture<'_, Result<Option<Refill>, RegistryError>> {
        self.step(|step| {
            let revocations = &mut step.tables.revocations;
            if revocations.filled {
                return Ok(None);
            }
            let refill = Uuid::new_v4();
            revocations.filling.insert(refill);
            Ok(Some(Refill(refill)))
        })
    }

    fn refill(&self, part: Vec<Revocation>) -> BoxFuture<'_, Result<(), RegistryError>> {
        debug_assert!(part.len() <= MAX_BATCH, "{} revocations are more than one call takes", part.len());
        self.step(|step| {
            for revocation in part {
                step.tables.revocations.add(revocation, step.now_ms);
            }
            Ok(())
        })
    }

    fn finish_refill(&self, refill: Refill) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| {
            let revocations = &mut step.tables.revocations;
            revocations.filled |= revocations.filling.contains(&refill.0);
            if revocations.filled {
                revocations.filling.clear();
            }
            Ok(revocations.filled)
        })
    }
}
