//! What operators and backends order: revoke, log out, register, look who is there, end.

use crate::message::{Revocation, TokenId, UserName};
use crate::registry::{LiveSession, Login, LoginKey, Nodes, Registered, RegisteredToken, RegistryError};
use crate::store::StoreError;

use super::untold::Telling;
use super::{Admissions, Counting, now_s};

/// Why an order was not carried out. What was ordered may be ordered again.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("tokens are neither revoked nor registered with auth.registry = \"off\"")]
    Off,
    #[error("tokens are registered with auth.registry = \"allow\" only")]
    NotRegistering,
    #[error("the token was revoked, and stays so")]
    Revoked,
    #[error("the token has expired")]
    Expired,
    #[error("the token ends later than auth.longest_token allows")]
    TooLong,
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OrderError {
    /// Whether a server is away, so that the same order may work later.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_retryable() || matches!(error, RegistryError::Closed),
            Self::Store(error) => error.is_retryable() || matches!(error, StoreError::Closed),
            Self::Off | Self::NotRegistering | Self::Revoked | Self::Expired | Self::TooLong => false,
        }
    }
}

/// How far a revocation has come. Either way it is durable and in force on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// All nodes are told at once.
    Now,
    /// The registry is away; other nodes find it in the store within some seconds.
    Soon,
}

impl Admissions {
    /// From now on the token does not count. `expires_at` is its `exp` if that is known (seconds since 1970).
    pub async fn revoke_token(&self, token: TokenId, expires_at: Option<u64>) -> Result<Told, OrderError> {
        // Neither a time that is over nor one that no accepted token has need be believed: it would be forgotten at once, or
        // never.
        let expires_at = expires_at.filter(|end| *end > now_s());
        let until = expires_at.map_or(u64::MAX, |end| end.saturating_add(self.leeway_s())).min(self.latest_end());
        let unregister = self.0.settings.counting == Counting::Registered;
        let unregister = unregister.then(|| Telling::Unregister(token.clone()));
        self.revoke(Revocation::Token { token, until }, unregister).await
    }

    /// None of the user's tokens counts that was issued up to this second; those issued later do.
    pub async fn log_out(&self, user: UserName) -> Result<Told, OrderError> {
        if !self.0.counts() {
            return Err(OrderError::Off);
        }
        // This node's clock may be behind; the store's is everybody's.
        let store_s = self.0.store.revocations(u64::MAX, None, 1).await?.now_ms / 1000;
        // A token of this very second may be an old one.
        let issued_before = now_s().max(store_s).saturating_add(1);
        let unregister = self.0.settings.counting == Counting::Registered;
        let unregister = unregister.then(|| Telling::UnregisterAllOf(user.clone()));
        let others = unregister.into_iter().chain([Telling::EndLoginsOf(user.clone())]);
        self.revoke(Revocation::User { user, issued_before, until: self.latest_end() }, others).await
    }

    /// From now on the token counts, with these roles instead of its own if any are given. `issued_at` is its `iat`, if
    /// whoever registers it knows.
    pub async fn register(&self, token: RegisteredToken, issued_at: Option<u64>) -> Result<Registered, OrderError> {
        self.must_register()?;
        let now_s = now_s();
        if token.expires_at <= now_s {
            return Err(OrderError::Expired);
        }
        // Its revocation would be forgotten before it ends.
        if token.expires_at > self.latest_end() {
            return Err(OrderError::TooLong);
        }
        let revoked = &self.0.revoked;
        // It would be refused all the same, and whoever registered it would not know why.
        if revoked.covers_token(&token.id) || issued_at.is_some_and(|at| revoked.covers(&token.user, Some(&token.id), Some(at))) {
            return Err(OrderError::Revoked);
        }
        Ok(self.0.registry.register(token).await?)
    }

    /// A registered token; none if it is not registered, or not any more.
    pub async fn token(&self, token: TokenId) -> Result<Option<RegisteredToken>, OrderError> {
        self.must_register()?;
        Ok(self.0.registry.registered(token).await?)
    }

    /// Gives a registered token other roles, on open sockets too. False if it is not registered.
    pub async fn change_roles(&self, token: TokenId, roles: Vec<Box<str>>) -> Result<bool, OrderError> {
        self.must_register()?;
        let Some(registered) = self.0.registry.registered(token.clone()).await? else { return Ok(false) };
        match self.0.registry.register(RegisteredToken { roles: Some(roles.into()), ..registered }).await? {
            Registered::Changed | Registered::Same => Ok(true),
            // It was unregistered in between, which this must not undo.
            Registered::New => {
                self.0.registry.unregister(token).await?;
                Ok(false)
            }
            Registered::Others => Ok(false),
        }
    }

    /// The user's registered tokens; those that end first come first.
    pub async fn tokens_of(&self, user: UserName) -> Result<Vec<RegisteredToken>, OrderError> {
        self.must_register()?;
        Ok(self.0.registry.registered_of(user).await?)
    }

    /// The user's live sessions on all nodes, the oldest first.
    pub async fn sessions_of(&self, user: UserName) -> Result<Vec<LiveSession>, OrderError> {
        Ok(self.0.registry.sessions_of(user).await?)
    }

    /// Ends a session on whichever node it is. False if the registry knows of none.
    pub async fn end_session(&self, user: UserName, session: &str) -> Result<bool, OrderError> {
        Ok(self.0.registry.end(user, session.into()).await?)
    }

    /// The user's login sessions.
    pub async fn logins_of(&self, user: UserName) -> Result<Vec<(LoginKey, Login)>, OrderError> {
        Ok(self.0.registry.logins_of(user).await?)
    }

    /// Ends a login session, and the sessions that belong to it on all nodes. False if there is none.
    pub async fn end_login(&self, login: LoginKey) -> Result<bool, OrderError> {
        Ok(self.0.registry.end_login(login).await?)
    }

    /// All nodes that the registry remembers.
    pub async fn nodes(&self) -> Result<Nodes, OrderError> {
        Ok(self.0.registry.nodes().await?)
    }

    fn must_register(&self) -> Result<(), OrderError> {
        if self.0.settings.counting == Counting::Registered { Ok(()) } else { Err(OrderError::NotRegistering) }
    }

    /// Into the store first: a registry that is filled meanwhile is filled from there.
    async fn revoke(&self, revocation: Revocation, others: impl IntoIterator<Item = Telling>) -> Result<Told, OrderError> {
        if !self.0.counts() {
            return Err(OrderError::Off);
        }
        self.0.store.revoke(revocation.clone()).await?;
        self.0.heed(&revocation);
        let tellings = [Telling::Revoke(revocation)].into_iter().chain(others).collect();
        Ok(if self.0.tell(tellings).await { Told::Now } else { Told::Soon })
    }

    /// When the last token that anyone could have now has expired.
    fn latest_end(&self) -> u64 {
        now_s().saturating_add(self.0.settings.longest_token.as_secs()).saturating_add(self.leeway_s().saturating_mul(2))
    }

    fn leeway_s(&self) -> u64 {
        self.0.settings.leeway.as_secs()
    }
}
