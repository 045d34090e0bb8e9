//! What can be wrong with the settings of keys. Names settings and files' settings, never what is in them.

use std::io;

use super::JwtAlgorithm;

/// Why no token could be verified, or none made, with these settings.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("auth.keys: There is no key, so no token could be good; add [[auth.keys]] with a secret of 32 bytes or a public_key_file.")]
    NoKeys,
    #[error("auth.leeway: Clocks may differ by 60s at most; more would keep expired tokens alive.")]
    Leeway,
    #[error("auth.registry_grace: What was judged longer than 30s ago can't be relied on; it is at most 30s.")]
    RegistryGrace,
    #[error("auth.service_tokens[{0}]: A service token has at least 32 bytes and no spaces; make one with `openssl rand -hex 32`.")]
    ServiceToken(usize),
    #[error("auth.max_sessions_per_user: Sessions are counted with auth.registry = \"deny\" or \"allow\" only.")]
    Uncounted,
    #[error("auth.longest_token: It is at least 1m, or no token could be good.")]
    LongestToken,
    #[error("auth.{0}: A claim is named by words with dots between them.")]
    Claim(&'static str),
    #[error("auth.{0}: An empty list would refuse every token; leave it out to accept any.")]
    EmptyList(&'static str),
    #[error("auth.keys[{index}].{key}: {problem}")]
    Key {
        /// Which entry of `auth.keys`, from 0.
        index: usize,
        /// Which of its settings.
        key: &'static str,
        problem: BadKey,
    },
    #[error("auth.keys: Tokens are made with a secret, and no key has one.")]
    NoSecret,
    #[error("The token could not be signed.")]
    Signing,
}

impl AuthError {
    /// The setting that is to blame, as `auth.keys[0].secret`, and the sentence about it.
    pub fn parts(&self) -> (String, String) {
        let text = self.to_string();
        text.split_once(": ").map_or_else(|| ("auth".to_owned(), text.clone()), |(key, sentence)| (key.to_owned(), sentence.to_owned()))
    }
}

/// What is wrong with one key.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    #[error("A key has exactly one of secret, secret_file and public_key_file.")]
    NotOneSource,
    #[error("A key needs at least one algorithm.")]
    NoAlgorithms,
    #[error("All algorithms of a key belong to one family: HS, RS with PS, ES256, ES384 or EdDSA.")]
    MixedFamilies,
    #[error("{} is not for this kind of key.", .0.as_str())]
    WrongFamily(JwtAlgorithm),
    #[error("A secret has at least {} bytes; make one with `openssl rand -hex 32`.", super::MIN_SECRET_BYTES)]
    WeakSecret,
    #[error("This is a PEM file, so it is no secret: put it under public_key_file.")]
    PemAsSecret,
    #[error("The file can't be read: {}.", .0.kind())]
    Unreadable(#[source] io::Error),
    #[error("The file is larger than a key ever is.")]
    TooLarge,
    #[error("The file holds a private key. A broker needs the public one only: `openssl pkey -in … -pubout`.")]
    PrivateKey,
    #[error("The file holds a certificate. Take its key: `openssl x509 -in … -noout -pubkey`.")]
    Certificate,
    #[error("The file holds no public key as PEM that footfall can use: RSA, P-256, P-384 or Ed25519.")]
    NoPublicKey,
}
