//! Login sessions.

use std::cmp::Reverse;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::expiring::Expiring;
use super::{MemoryRegistry, Step};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, Logins, News, RegistryError};

/// Times are milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LoginTable {
    logins: Expiring<LoginKey, Login>,
    /// May name some that are no more, or another user's.
    of_user: Expiring<UserName, Vec<LoginKey>>,
}

impl LoginTable {
    /// With their ends.
    fn those_of(&self, user: &UserName, now: u64) -> Vec<(LoginKey, u64)> {
        let keys = self.of_user.get(user, now).map_or(&[][..], |(keys, _)| keys);
        let there = keys.iter().filter_map(|key| Some((*key, self.logins.get(key, now)?)));
        there.filter(|(_, (login, _))| login.user.as_ref() == Some(user)).map(|(key, (_, until))| (key, until)).collect()
    }

    fn put(&mut self, key: LoginKey, login: Login, until: u64, now: u64) {
        if let Some(user) = &login.user {
            let mut others = self.those_of(user, now);
            others.retain(|(other, _)| *other != key);
            others.sort_unstable_by_key(|(_, until)| Reverse(*until));
            let kept = others.len().min(Login::MOST_OF_USER - 1);
            for (too_many, _) in others.drain(kept..) {
                self.logins.remove(&too_many, now);
            }
            let last = others.first().map_or(until, |(_, other)| until.max(*other));
            let keys = others.into_iter().map(|(other, _)| other).chain([key]).collect();
            self.of_user.insert(user.clone(), keys, last, now);
        }
        self.logins.insert(key, login, until, now);
    }
}

impl Step<'_> {
    fn login(&self, key: LoginKey) -> Option<Login> {
        self.tables.logins.logins.get(&key, self.now_ms).map(|(login, _)| login.clone())
    }

    fn put_login(self, key: LoginKey, login: Login, ttl: Duration) {
        let until = self.now_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self.tables.logins.put(key, login, until, self.now_ms);
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
            let ended = step.tables.logins.logins.remove(&key, step.now_ms);
            let was_there = ended.is_some();
            if let Some(Login { user, .. }) = ended {
                step.board.tell(News::LoginEnded { login: key, user });
            }
            Ok(was_there)
        })
    }

    fn logins_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<(LoginKey, Login)>, RegistryError>> {
        self.step(|step| {
            let of_user = step.tables.logins.those_of(&user, step.now_ms);
            let mut logins: Vec<_> = of_user.into_iter().filter_map(|(key, _)| Some((key, step.login(key)?))).collect();
            logins.sort_by_key(|(key, _)| *key);
            Ok(logins)
        })
    }
}
