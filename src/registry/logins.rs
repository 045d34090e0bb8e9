//! What outlives sockets: login sessions, each named by a cookie, kept for as long as somebody comes back in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::RegistryError;
use crate::message::UserName;

/// A login session's name in the registry: the hash of the cookie's value, which stands nowhere but with its client.
/// Whoever reads the registry can't become anybody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginKey([u8; 32]);

impl LoginKey {
    /// The value is random and 128 bits long, so it can't be guessed from its hash.
    pub fn of(cookie_value: &str) -> Self {
        Self(Sha256::digest(cookie_value.as_bytes()).into())
    }

    /// What [`Self`] shows; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digit =
            |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase()).and_then(|digit| u8::try_from(digit).ok());
        let mut key = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != key.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LoginKey({self})")
    }
}

/// What is kept of a login session.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is; none before the first CONNECT.
    pub user: Option<UserName>,
    data: Arc<str>,
}

/// More data than a login session may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A login session keeps at most 4096 bytes.")]
pub struct TooLong;

impl Login {
    pub const MAX_BYTES: usize = 4096;

    /// So many login sessions a user has at most: whoever connects again and again without the cookie begins one each time.
    pub const MOST_OF_USER: usize = 64;

    /// `data` is the caller's and not looked into.
    pub fn new(user: Option<UserName>, data: &str) -> Result<Self, TooLong> {
        if data.len() > Self::MAX_BYTES {
            return Err(TooLong);
        }
        Ok(Self { user, data: data.into() })
    }

    /// This user's, with no data.
    pub fn of_user(user: UserName) -> Self {
        Self { user: Some(user), data: "".into() }
    }

    pub fn data(&self) -> &str {
        &self.data
    }
}

// The data is not ours to show.
impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Login sessions. Each is gone `ttl` after it was last written or touched.
///
/// Of one user there are at most [`Login::MOST_OF_USER`]. For one that is written beyond that, the one of them that would have
/// lapsed first goes; that is no news, and its sessions stay.
pub trait Logins {
    /// Begins a login session. False if there is one of this name, which then stays as it is.
    fn begin_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>>;

    /// Writes another state of one that is there. False if there is none: it lapsed or was ended, and does not come back.
    fn change_login(&self, key: LoginKey, login: Login, ttl: Duration) -> BoxFuture<'_, Result<bool, RegistryError>>;

    fn login(&self, key: LoginKey) -> BoxFuture<'_, Result<Option<Login>, RegistryError>>;

    /// Somebody came back. The login session, if it is there.
    fn touch_login(&self, key: LoginKey, ttl: Duration) -> BoxFuture<'_, Result<Option<Login>, RegistryError>>;

    /// Ends it, which is news. Whether it was there.
    fn end_login(&self, key: LoginKey) -> BoxFuture<'_, Result<bool, RegistryError>>;

    /// Those of a user, in the order of their keys.
    fn logins_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<(LoginKey, Login)>, RegistryError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_nothing_of_the_cookie_and_can_be_read_again() {
        let key = LoginKey::of("abc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(key.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(LoginKey::parse(&key.to_string()), Some(key));
        let text = key.to_string();
        for wrong in ["", &text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('b', "g"), &text.replace('b', "+")] {
            assert_eq!(LoginKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn data_has_an_end_and_is_not_shown() {
        assert_eq!(Login::new(None, &"x".repeat(4097)), Err(TooLong));
        let login = Login::new(None, "canary").unwrap();
        assert!(!format!("{login:?}").contains("canary"));
    }
}
