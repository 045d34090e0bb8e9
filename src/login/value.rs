//! The value of a session cookie: a secret that only its client and, for a moment, this process have.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::message::UserName;
use crate::registry::LoginKey;

const BYTES: usize = 16;

/// What is made with the value as the key, so that it is never mistaken for anything else that may be made so one day.
const PUBLIC_ID: &[u8] = b"footfall sender-session\0";

/// 128 random bits, written as 32 small hex digits: one text for each value, so nobody has two names for one cookie.
///
/// Not `Clone` and with no `Display`: wherever it goes is a decision.
pub struct CookieValue([u8; BYTES]);

impl CookieValue {
    /// From the operating system's generator, as whoever guesses it is its client.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// None for everything that `reveal` never gives.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.len() != BYTES || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// For the header that gives it to its client, and for nothing else.
    pub(super) fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// Its name in the registry.
    pub(super) fn key(&self) -> LoginKey {
        LoginKey::of(&self.reveal())
    }

    /// The id that others see with this user's messages. All nodes make the same of the same cookie and share no secret for
    /// it; nobody gets from it to the cookie, or from one user's to that of the next one who logs in with the cookie.
    pub(super) fn public_id(&self, user: &UserName) -> Arc<str> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(PUBLIC_ID);
        mac.update(user.as_str().as_bytes());
        let tag = mac.finalize().into_bytes();
        // RFC 2104 §5: no less than half of the hash may be left.
        hex(&tag[..BYTES]).into()
    }
}

impl fmt::Debug for CookieValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CookieValue(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

#[cfg(test)]
impl CookieValue {
    /// For tests of those who may not read it.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.reveal() == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00112233445566778899aabbccddeeff";

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn value(text: &str) -> CookieValue {
        CookieValue::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_is_read_as_it_was_written_and_in_no_other_way() {
        let made = CookieValue::random().unwrap();
        assert_eq!(value(&made.reveal()).reveal(), made.reveal());
        assert_eq!(value(VALUE).reveal(), VALUE);
        assert_eq!(value(VALUE).key(), LoginKey::of(VALUE));
        let wrong = [
            "",
            &VALUE[1..],
            &VALUE[2..],
            &format!("{VALUE}0"),
            &format!("{VALUE}00"),
            &VALUE.to_uppercase(),
            &VALUE.replace('f', "g"),
            &VALUE.replace("00", "+1"),
            &format!("\"{VALUE}\""),
            &format!(" {}", &VALUE[1..]),
            // What the registry calls it does not open anything.
            &LoginKey::of(VALUE).to_string(),
        ];
        for wrong in wrong {
            assert!(CookieValue::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn no_value_comes_twice() {
        let made: std::collections::HashSet<_> = (0..1000).map(|_| CookieValue::random().unwrap().reveal()).collect();
        assert_eq!(made.len(), 1000);
    }

    #[test]
    fn the_public_id_is_the_same_for_the_same_cookie_and_user_only() {
        let id = value(VALUE).public_id(&user("alice"));
        // As any other implementation has it:
        // printf 'footfall sender-session\0alice' | openssl dgst -sha256 -mac HMAC -macopt hexkey:00112233445566778899aabbccddeeff
        assert_eq!(&*id, "fcf0ff23bda2290574f30ab4dac3aa06");
        assert_eq!(value(VALUE).public_id(&user("alice")), id);
        assert_ne!(value(VALUE).public_id(&user("bob")), id);
        assert_ne!(value(&VALUE.replace("ff", "fe")).public_id(&user("alice")), id);
        assert_eq!(id.len(), 32);
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", value(VALUE)), "CookieValue(..)");
    }
}
