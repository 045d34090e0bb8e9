//! From a JWT to a user: which text is the token, whose signature it bears, and what it says of its bearer.
//!
//! Knows neither frames nor sockets, and reads no clock: the time comes as an argument. No error, refusal or `Debug`
//! here holds a part of a token or a secret.

mod claims;
mod credentials;
mod error;
#[cfg(test)]
mod forged;
mod issue;
mod json;
mod keys;
#[cfg(test)]
mod refused;
mod settings;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Once;

pub use credentials::{Credentials, Picked, Source};
pub use error::{AuthError, BadKey};
pub use issue::Issuer;
pub use keys::{Key, MIN_SECRET_BYTES, is_weak};
pub use settings::{AuthSettings, JwtAlgorithm, KeySettings, TokenRegistry};
pub use token::TokenVerifier;

/// `jsonwebtoken` panics at its first use if it can't tell which cryptography to take, for instance because another
/// crate switched on a second one. So everything here that needs it says which.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let installed = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        if installed.is_err() {
            tracing::debug!("the cryptography for JWTs was chosen before");
        }
    });
}
