//! Login sessions, as Redis has them.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{RedisRegistry, millis, odd, scripts};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, Logins, MAX_BATCH, RegistryError};

/// A line for the user, which may be empty, then the data as it is.
fn written(login: &Login) -> String {
    format!("{}\n{}", login.user.as_ref().map_or("", UserName::as_str), login.data())
}

fn read(value: &str) -> Result<Login, RegistryError> {
    let read = || {
        let (user, data) = value.split_once('\n')?;
        let user = if user.is_empty() { None } else { Some(UserName::new(user).ok()?) };
        Login::new(user, data).ok()
    };
    read().ok_or_else(|| odd("a login session"))
}

impl RedisRegistry {
    async fn write_login(&self, key: LoginKey, login: Login, ttl: Duration, only_if: &str) -> Result<bool, RegistryError> {
        let mut script = scripts::WRITE_LOGIN.prepare_invoke();
        script.key(self.keys.login(key));
        if let Some(user) = &login.user {
            script.key(self.keys.logins(user));
        }
        script.arg(key.to_string()).arg(written(&login)).arg(millis(ttl)).arg(only_if).arg(Login::MOST_OF_USER);
        self.link.call(&script).await
    }
}

impl Logins for RedisRegistry {
    fn begin_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.write_login(key, login, ttl, "NX").boxed()
    }

    fn change_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.write_login(key, login, ttl, "XX").boxed()
    }

    fn login(&self, key: LoginKey) -> BoxFuture<'_, Result<Option<Login>, RegistryError>> {
        async move {
            let value: Option<String> = self.link.call(redis::cmd("GET").arg(self.keys.login(key))).await?;
            value.as_deref().map(read).transpose()
        }
        .boxed()
    }

    fn touch_login(&self, key: LoginKey, ttl: Duration) -> BoxFuture<'_, Result<Option<Login>, RegistryError>> {
        let calls = async move {
            let mut touch = redis::cmd("GETEX");
            touch.arg(self.keys.login(key)).arg("PX").arg(millis(ttl));
            let value: Option<String> = self.link.call(&touch).await?;
            let login = value.as_deref().map(read).transpose()?;
            if let Some(user) = login.as_ref().and_then(|login| login.user.as_ref()) {
                let mut script = scripts::TOUCH_LOGIN.prepare_invoke();
                script.key(self.keys.logins(user)).arg(key.to_string()).arg(millis(ttl));
                let () = self.link.call(&script).await?;
            }
            Ok(login)
        };
        self.link.several(calls).boxed()
    }

    fn end_login(&self, key: LoginKey) -> BoxFuture<'_, Result<bool, RegistryError>> {
        async move {
            let mut script = scripts::END_LOGIN.prepare_invoke();
            script.key(self.keys.login(key)).key(self.keys.news()).arg(&*self.keys.channel).arg(key.to_string());
            self.link.call(&script).await
        }
        .boxed()
    }

    fn logins_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<(LoginKey, Login)>, RegistryError>> {
        let calls = async move {
            let keys: Vec<String> = self.link.call(redis::cmd("ZRANGE").arg(self.keys.logins(&user)).arg(0).arg(-1)).await?;
            let keys: Option<Vec<_>> = keys.iter().map(|key| LoginKey::parse(key)).collect();
            let keys = keys.ok_or_else(|| odd("a login session's key"))?;
            let mut logins = Vec::with_capacity(keys.len());
            for part in keys.chunks(MAX_BATCH) {
                let mut get = redis::cmd("MGET");
                for key in part {
                    get.arg(self.keys.login(*key));
                }
                let values: Vec<Option<String>> = self.link.call(&get).await?;
                for (key, value) in part.iter().zip(values) {
                    // It may have lapsed, or have become somebody else's.
                    let login = value.as_deref().map(read).transpose()?;
                    logins.extend(login.filter(|login| login.user.as_ref() == Some(&user)).map(|login| (*key, login)));
                }
            }
            logins.sort_by_key(|(key, _)| *key);
            Ok(logins)
        };
        self.link.several(calls).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_session_is_read_as_it_was_written() {
        for (user, data) in [(None, ""), (Some("alice"), "a\n\nb"), (Some("b c"), "{}")] {
            let login = Login::new(user.map(|user| UserName::new(user).unwrap()), data).unwrap();
            assert_eq!(read(&written(&login)).unwrap(), login);
        }
        assert!(matches!(read("alice"), Err(RegistryError::Corrupt(_))));
    }
}
