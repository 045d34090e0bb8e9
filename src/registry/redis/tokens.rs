//! Which tokens count, and whose no longer do, as Redis has them.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{RedisRegistry, odd, scripts};
use crate::message::{Revocation, TokenId, UserName};
use crate::registry::{MAX_BATCH, Refill, Registered, RegisteredToken, RegistryError, Revocations, Tokens};

/// The end of the year 9999: Redis refuses times it can't count in milliseconds.
const LATEST: u64 = 253_402_300_799;

fn written(token: &RegisteredToken) -> Result<String, RegistryError> {
    let roles = match &token.roles {
        Some(roles) => serde_json::to_string(roles).map_err(|error| RegistryError::Corrupt(error.to_string()))?,
        None => String::new(),
    };
    Ok(format!("{}\n{}\n{roles}", token.expires_at, token.user))
}

pub(super) fn read(id: TokenId, value: &str) -> Result<RegisteredToken, RegistryError> {
    let read = || {
        let mut lines = value.splitn(3, '\n');
        let expires_at = lines.next()?.parse().ok()?;
        let user = UserName::new(lines.next()?).ok()?;
        let roles = match lines.next()? {
            "" => None,
            roles => Some(Arc::from(serde_json::from_str::<Vec<Box<str>>>(roles).ok()?)),
        };
        Some((user, roles, expires_at))
    };
    let (user, roles, expires_at) = read().ok_or_else(|| odd("a registered token"))?;
    Ok(RegisteredToken { id, user, roles, expires_at })
}

impl RedisRegistry {
    async fn unregister_these(&self, user: &UserName, tokens: &[TokenId]) -> Result<u64, RegistryError> {
        let mut script = scripts::UNREGISTER.prepare_invoke();
        script.key(self.keys.tokens(user)).key(self.keys.news()).arg(&*self.keys.channel);
        for token in tokens {
            script.key(self.keys.token(Some(token))).arg(token.as_str());
        }
        self.link.call(&script).await
    }

    async fn tokens_of(&self, user: &UserName) -> Result<Vec<TokenId>, RegistryError> {
        let ids: Vec<String> = self.link.call(redis::cmd("ZRANGE").arg(self.keys.tokens(user)).arg(0).arg(-1)).await?;
        ids.iter().map(|id| TokenId::new(id).map_err(|_| odd("a token id"))).collect()
    }
}

impl Tokens for RedisRegistry {
    fn register(&self, token: RegisteredToken) -> BoxFuture<'_, Result<Registered, RegistryError>> {
        async move {
            let mut script = scripts::REGISTER.prepare_invoke();
            script.key(self.keys.token(Some(&token.id))).key(self.keys.tokens(&token.user)).key(self.keys.news());
            script.arg(&*self.keys.channel).arg(token.id.as_str()).arg(token.user.as_str());
            script.arg(written(&token)?).arg(token.expires_at.clamp(1, LATEST));
            let registered: String = self.link.call(&script).await?;
            match registered.as_str() {
                "new" => Ok(Registered::New),
                "changed" => Ok(Registered::Changed),
                "same" => Ok(Registered::Same),
                "others" => Ok(Registered::Others),
                _ => Err(odd("a registration")),
            }
        }
        .boxed()
    }

    fn unregister(&self, token: TokenId) -> BoxFuture<'_, Result<bool, RegistryError>> {
        let calls = async move {
            // A token never changes its user, so nothing is lost between these two steps.
            match self.registered(token.clone()).await? {
                Some(found) => Ok(self.unregister_these(&found.user, &[token]).await? == 1),
                None => Ok(false),
            }
        };
        self.link.several(calls).boxed()
    }

    fn unregister_all_of(&self, user: UserName) -> BoxFuture<'_, Result<u64, RegistryError>> {
        let calls = async move {
            let tokens = self.tokens_of(&user).await?;
            let mut count = 0;
            // In parts, as Redis does nothing else meanwhile.
            for part in tokens.chunks(MAX_BATCH) {
                count += self.unregister_these(&user, part).await?;
            }
            Ok(count)
        };
        self.link.several(calls).boxed()
    }

    fn registered(&self, token: TokenId) -> BoxFuture<'_, Result<Option<RegisteredToken>, RegistryError>> {
        async move {
            let value: Option<String> = self.link.call(redis::cmd("GET").arg(self.keys.token(Some(&token)))).await?;
            value.map(|value| read(token, &value)).transpose()
        }
        .boxed()
    }

    fn registered_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<RegisteredToken>, RegistryError>> {
        let calls = async move {
            let ids = self.tokens_of(&user).await?;
            let mut tokens = Vec::with_capacity(ids.len());
            for part in ids.chunks(MAX_BATCH) {
                let mut get = redis::cmd("MGET");
                for id in part {
                    get.arg(self.keys.token(Some(id)));
                }
                let values: Vec<Option<String>> = self.link.call(&get).await?;
                for (id, value) in part.iter().zip(values) {
                    // One that lapsed is listed until another one is registered.
                    let token = value.map(|value| read(id.clone(), &value)).transpose()?;
                    tokens.extend(token.filter(|token| token.user == user));
                }
            }
            tokens.sort_by(|one, other| (one.expires_at, &one.id).cmp(&(other.expires_at, &other.id)));
            Ok(tokens)
        };
        self.link.several(calls).boxed()
    }
}

/// As the scripts take it: its kind, whom it is about, and two times.
fn arguments(revocation: &Revocation) -> (&'static str, &str, u64, u64) {
    match revocation {
        Revocation::Token { token, until } => ("t", token.as_str(), 0, *until),
        Revocation::User { user, issued_before, until } => ("u", user.as_str(), *issued_before, *until),
    }
}

impl Revocations for RedisRegistry {
    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), RegistryError>> {
        async move {
            let (kind, name, before, until) = arguments(&revocation);
            let mut script = scripts::REVOKE.prepare_invoke();
            script.key(self.keys.revoked()).key(self.keys.news());
            script.arg(&*self.keys.channel).arg(kind).arg(name).arg(before).arg(until);
            self.link.call(&script).await
        }
        .boxed()
    }

    fn is_revoked(&self, user: UserName, token: Option<TokenId>, issued_at: Option<u64>) -> BoxFuture<'_, Result<bool, RegistryError>> {
        async move {
            let mut script = scripts::IS_REVOKED.prepare_invoke();
            script.key(self.keys.revoked()).arg(user.as_str()).arg(token.as_ref().map_or("", TokenId::as_str));
            script.arg(issued_at.map_or_else(String::new, |issued_at| issued_at.to_string()));
            let verdict: String = self.link.call(&script).await?;
            match verdict.as_str() {
                "counts" => Ok(false),
                "revoked" => Ok(true),
                "not-filled" => Err(RegistryError::NotFilled),
                _ => Err(odd("a verdict")),
            }
        }
        .boxed()
    }

    fn begin_refill(&self) -> BoxFuture<'_, Result<Option<Refill>, RegistryError>> {
        async move {
            let refill = Uuid::new_v4();
            let mut script = scripts::BEGIN_REFILL.prepare_invoke();
            script.key(self.keys.revoked()).arg(refill.to_string());
            let begun: bool = self.link.call(&script).await?;
            Ok(begun.then_some(Refill(refill)))
        }
        .boxed()
    }

    fn refill(&self, part: Vec<Revocation>) -> BoxFuture<'_, Result<(), RegistryError>> {
        debug_assert!(part.len() <= MAX_BATCH, "{} revocations are more than one call takes", part.len());
        async move {
            let mut script = scripts::REFILL.prepare_invoke();
            script.key(self.keys.revoked());
            for revocation in &part {
                let (kind, name, before, until) = arguments(revocation);
                script.arg(kind).arg(name).arg(before).arg(until);
            }
            self.link.call(&script).await
        }
        .boxed()
    }

    fn finish_refill(&self, refill: Refill) -> BoxFuture<'_, Result<bool, RegistryError>> {
        async move {
            let mut script = scripts::FINISH_REFILL.prepare_invoke();
            script.key(self.keys.revoked()).arg(refill.0.to_string());
            self.link.call(&script).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let (id, user) = (TokenId::new("j").unwrap(), UserName::new("alice").unwrap());
        for roles in [None, Some(Vec::new()), Some(vec!["a\nb".into(), "ü\"".into()])] {
            let token = RegisteredToken { id: id.clone(), user: user.clone(), roles: roles.map(Arc::from), expires_at: u64::MAX };
            assert_eq!(read(id.clone(), &written(&token).unwrap()).unwrap(), token);
        }
        for value in ["", "1\n", "x\nalice\n", "1\nalice", "1\nalice\n{", "1\n\n"] {
            assert!(matches!(read(id.clone(), value), Err(RegistryError::Corrupt(_))), "{value:?}");
        }
    }
}
