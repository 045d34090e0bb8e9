//! What operators and backends order: revoke, log out, register, look who is there, end.

use crate::message::{Revocation, TokenId, UserName};
use crate::registry::{LiveSession, Login, LoginKey, Nodes, Registered, RegisteredToken, RegistryError};
use crate::store::StoreError;

use super::{Admissions, Counting, now_s};

/// Beyond so many the store alone knows of a revocation, and nodes find it there.
const MOST_UNSAID: usize = 10_000;

/// Why an order was not carried out. What was ordered may be ordered again.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("tokens are neither revoked nor registered with auth.registry = \"off\"")]
    Off,
    #[error("tokens are registered with auth.registry = \"allow\" only")]
    NotRegistering,
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
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
        let until = expires_at.map_or_else(|| self.latest_end(), |end| end.saturating_add(self.leeway_s()));
        let unregistered = self.0.settings.counting == Counting::Registered;
        let told = self.revoke(Revocation::Token { token: token.clone(), until }).await?;
        if unregistered && self.0.registry.unregister(token).await.is_err() {
            return Ok(Told::Soon);
        }
        Ok(told)
    }

    /// None of the user's tokens counts that was issued up to this second; those issued later do.
    pub async fn log_out(&self, user: UserName) -> Result<Told, OrderError> {
        // A token of this very second may be an old one.
        let issued_before = now_s().saturating_add(1);
        let told = self.revoke(Revocation::User { user: user.clone(), issued_before, until: self.latest_end() }).await?;
        let registry = &self.0.registry;
        let mut soon = self.0.settings.counting == Counting::Registered && registry.unregister_all_of(user.clone()).await.is_err();
        match registry.logins_of(user).await {
            Ok(logins) => {
                for (login, _) in logins {
                    soon |= registry.end_login(login).await.is_err();
                }
            }
            Err(_) => soon = true,
        }
        Ok(if soon { Told::Soon } else { told })
    }

    /// From now on the token counts, with these roles instead of its own if any are given.
    pub async fn register(&self, token: RegisteredToken) -> Result<Registered, OrderError> {
        self.must_register()?;
        Ok(self.0.registry.register(token).await?)
    }

    /// Gives a registered token other roles, on open sockets too. False if it is not registered.
    pub async fn change_roles(&self, token: TokenId, roles: Vec<Box<str>>) -> Result<bool, OrderError> {
        self.must_register()?;
        let Some(registered) = self.0.registry.registered(token).await? else { return Ok(false) };
        self.0.registry.register(RegisteredToken { roles: Some(roles.into()), ..registered }).await?;
        Ok(true)
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
    async fn revoke(&self, revocation: Revocation) -> Result<Told, OrderError> {
        if !self.0.counts() {
            return Err(OrderError::Off);
        }
        self.0.store.revoke(revocation.clone()).await?;
        self.0.heed(&revocation);
        match self.0.registry.revoke(revocation.clone()).await {
            Ok(()) => Ok(Told::Now),
            Err(error) => {
                tracing::warn!(%error, "a revocation is in the store and could not be told to other nodes yet");
                let mut unsaid = self.0.unsaid.lock();
                if unsaid.len() < MOST_UNSAID {
                    unsaid.push(revocation);
                }
                drop(unsaid);
                Ok(Told::Soon)
            }
        }
    }

    /// When the last token that anyone could have now has expired.
    fn latest_end(&self) -> u64 {
        now_s().saturating_add(self.0.settings.longest_token.as_secs()).saturating_add(self.leeway_s().saturating_mul(2))
    }

    fn leeway_s(&self) -> u64 {
        self.0.settings.leeway.as_secs()
    }
}
