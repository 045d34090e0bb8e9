//! Login sessions.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::expiring::Expiring;
use super::{MemoryRegistry, Step};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, Logins, News, RegistryError};

/// Times are milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LoginTable(Expiring<LoginKey, Login>);

impl Step<'_> {
    fn login(&self, key: LoginKey) -> Option<Login> {
        self.tables.logins.0.get(&key, self.now_ms).map(|(login, _)| login.clone())
    }

    fn put_login(self, key: LoginKey, login: Login, ttl: Duration) {
        let until = self.now_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self.tables.logins.0.insert(key, login, until, self.now_ms);
    }
}

impl Logins for MemoryRegistry {
    fn begin_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| {
            let begins = step.login(key).is_none();
            if begins {
                step.put_login(key, login, ttl);
            }
            Ok(begins)
        })
    }

    fn change_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| {
            let is_there = step.login(key).is_some();
            if is_there {
                step.put_login(key, login, ttl);
            }
            Ok(is_there)
        })
    }

    fn login(&self, key: LoginKey) -> BoxFuture<'_, Result<Option<Login>, RegistryError>> {
        self.step(|step| Ok(step.login(key)))
    }

    fn touch_login(&self, key: LoginKey, ttl: Duration) -> BoxFuture<'_, Result<Option<Login>, RegistryError>> {
        self.step(|step| {
            let login = step.login(key);
            if let Some(login) = login.clone() {
                step.put_login(key, login, ttl);
            }
            Ok(login)
        })
    }

    fn end_login(&self, key: LoginKey) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| {
            let ended = step.tables.logins.0.remove(&key, step.now_ms).is_some();
            if ended {
                step.board.tell(News::LoginEnded { login: key });
            }
            Ok(ended)
        })
    }

    fn logins_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<(LoginKey, Login)>, RegistryError>> {
        self.step(|step| {
            let of_user = step.tables.logins.0.iter(step.now_ms).filter(|(_, login)| login.user.as_ref() == Some(&user));
            let mut logins: Vec<_> = of_user.map(|(key, login)| (*key, login.clone())).collect();
            logins.sort_by_key(|(key, _)| *key);
            Ok(logins)
        })
    }
}
