//! What an operator may say about the Redis registry.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A peer that is silent for so long is gone, though nobody closed the connection.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// The Redis that all nodes of a cluster share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisSettings {
    /// Where Redis is, and which of its databases, as in `redis://footfall@redis:6379/0` or, over TLS, `rediss://…`. Never
    /// shown, since it may hold a password.
    #[schemars(with = "String")]
    pub url: SecretString,
    /// The password, if it is not part of the url. Best given as a variable.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// What all keys begin with, so that several clusters can share a database: 1 to 64 letters, digits and `-._:`.
    pub prefix: String,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self { url: "redis://localhost:6379/0".into(), password: None, prefix: "footfall".to_owned() }
    }
}

impl RedisSettings {
    /// The key that is wrong and a sentence about it, if one is. Shows no part of the url.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(fine) {
            return Some(("prefix", "It has 1 to 64 letters, digits and -._: in it.".to_owned()));
        }
        self.info().err().map(|sentence| ("url", sentence))
    }

    pub(super) fn client(&self) -> Result<Client, String> {
        Client::open(self.info()?).map_err(|_| "It can't be used.".to_owned())
    }

    /// What the reader says of a url could show a part of it.
    fn info(&self) -> Result<ConnectionInfo, String> {
        let url = self.url.expose_secret();
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err("It begins with redis:// or rediss:// as in redis://redis:6379/0.".to_owned());
        }
        if url.contains(['?', '#']) {
            return Err(
                "It ends with the number of the database; behind that stands nothing, and # or ? of a password are percent-encoded."
                    .to_owned(),
            );
        }
        let info = url.into_connection_info().map_err(|_| {
            "It can't be read; characters of a password such as @ / : ? # % have to be percent-encoded, or it goes under password; the \
             database is a number."
                .to_owned()
        })?;
        debug_assert!(!matches!(info.addr(), ConnectionAddr::Unix(_)), "no such scheme came through");
        let redis = info.redis_settings().clone().set_lib_name("footfall", env!("CARGO_PKG_VERSION"));
        let redis = match &self.password {
            Some(password) => redis.set_password(password.expose_secret()),
            None => redis,
        };
        let keepalive = TcpKeepalive::new().with_time(GONE_AFTER / 2).with_interval(GONE_AFTER / 5);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(GONE_AFTER);
        Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings { url: url.into(), ..RedisSettings::default() }
    }

    #[test]
    fn a_misspelt_key_is_refused_and_what_is_left_out_has_its_default() {
        assert!(toml::from_str::<RedisSettings>("adresse = 'x'").is_err());
        let settings: RedisSettings = toml::from_str("prefix = 'chat:a'").unwrap();
        assert_eq!((settings.prefix.as_str(), settings.wrong()), ("chat:a", None));
    }

    #[test]
    fn what_a_url_may_say() {
        let info = settings("redis://u:p%40ss@db:6543/3").info().unwrap();
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("db".to_owned(), 6543));
        let redis = info.redis_settings();
        assert_eq!((redis.db(), redis.username(), redis.password()), (3, Some("u"), Some("p@ss")));
        for url in ["redis://db", "rediss://u:p@db:1/0", "redis://[::1]:6379/15"] {
            assert_eq!(settings(url).wrong(), None, "{url}");
        }
        for url in
            ["http://db", "unix:///tmp/x", "redis://db/zero", "rediss://db#insecure", "redis://db?protocol=resp3", "redis://0.0.0.0", ""]
        {
            assert_eq!(settings(url).wrong().map(|(key, _)| key), Some("url"), "{url}");
        }
    }

    #[test]
    fn a_password_of_its_own_wins() {
        let settings = RedisSettings { password: Some("other".into()), ..settings("redis://u:p@db") };
        assert_eq!(settings.info().unwrap().redis_settings().password(), Some("other"));
    }

    #[test]
    fn no_password_is_ever_shown() {
        let canary = "canary-7f3a";
        let settings = RedisSettings { password: Some(canary.into()), ..settings("redis://u:canary-7f3a@h/0") };
        assert!(!format!("{settings:?} {:?}", settings.client()).contains(canary));
        for url in ["redis://u:canary-7f3a@h:port/0", "canary-7f3a", "redis://h/canary-7f3a", "redis://u:x#canary-7f3a@h"] {
            let (key, sentence) = self::settings(url).wrong().unwrap();
            assert!(key == "url" && !sentence.contains(canary), "{sentence}");
        }
    }

    #[test]
    fn a_prefix_can_not_break_out_of_its_braces() {
        for prefix in ["", "a}b", "{", "a b", "ä", &"x".repeat(65)] {
            let settings = RedisSettings { prefix: prefix.to_owned(), ..RedisSettings::default() };
            assert_eq!(settings.wrong().map(|(key, _)| key), Some("prefix"), "{prefix}");
        }
    }
}
