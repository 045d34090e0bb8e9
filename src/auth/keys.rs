//! Keys: loaded from the settings, checked so that no algorithm can be used with a key that is not for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use secrecy::{ExposeSecret, SecretSlice};

use super::{AuthError, BadKey, JwtAlgorithm, KeySettings};

/// HMAC-SHA-256 has 32 bytes (RFC 7518 §3.2); a shorter secret can be guessed from any one token, offline.
pub const MIN_SECRET_BYTES: usize = 32;

/// More than the largest RSA key in PEM by far.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Whether a secret is too short to be one.
pub fn is_weak(secret: &[u8]) -> bool {
    secret.len() < MIN_SECRET_BYTES
}

/// A key with which tokens are verified.
#[derive(Clone)]
pub struct Key {
    pub(super) kid: Option<Box<str>>,
    pub(super) algorithms: Box<[JwtAlgorithm]>,
    pub(super) decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Key").field("kid", &self.kid).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl Key {
    /// Loads the entry of `auth.keys` with this index.
    pub fn load(index: usize, settings: &KeySettings) -> Result<Self, AuthError> {
        load(settings).map_err(|(key, problem)| AuthError::Key { index, key, problem })
    }
}

/// A setting and what is wrong with it.
type Wrong = (&'static str, BadKey);

fn load(settings: &KeySettings) -> Result<Key, Wrong> {
    let family = common_family(&settings.algorithms)?;
    let key = match (secret(settings)?, &settings.public_key_file) {
        (Some(_), Some(_)) | (None, None) => return Err(("secret", BadKey::NotOneSource)),
        (Some(secret), None) => {
            fits(family, AlgorithmFamily::Hmac, &settings.algorithms)?;
            DecodingKey::from_secret(secret.expose_secret())
        }
        (None, Some(path)) => {
            let key = public_key(&read(path).map_err(|bad| ("public_key_file", bad))?).map_err(|bad| ("public_key_file", bad))?;
            fits(family, key.family(), &settings.algorithms)?;
            check_curve(&key, &settings.algorithms)?;
            key
        }
    };
    Ok(Key { kid: settings.kid.as_deref().map(Into::into), algorithms: settings.algorithms.clone().into(), decoding: key })
}

/// The secret of an entry, if it is one with a secret. Checked for strength.
pub(super) fn secret(settings: &KeySettings) -> Result<Option<SecretSlice<u8>>, Wrong> {
    let (name, secret) = match (&settings.secret, &settings.secret_file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(("secret", BadKey::NotOneSource)),
        (Some(secret), None) => ("secret", secret.expose_secret().as_bytes().to_vec()),
        (None, Some(path)) => {
            let mut bytes = read(path).map_err(|bad| ("secret_file", bad))?;
            // Editors and `echo` end a file with a line end, which nobody means.
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
            }
            ("secret_file", bytes)
        }
    };
    // Everybody knows a public key; as a secret it would let everybody make tokens.
    if contains(&secret, b"-----BEGIN") {
        return Err((name, BadKey::PemAsSecret));
    }
    if is_weak(&secret) {
        return Err((name, BadKey::WeakSecret));
    }
    Ok(Some(secret.into()))
}

fn common_family(algorithms: &[JwtAlgorithm]) -> Result<AlgorithmFamily, Wrong> {
    let (first, rest) = algorithms.split_first().ok_or(("algorithms", BadKey::NoAlgorithms))?;
    if rest.iter().any(|other| other.family() != first.family()) {
        return Err(("algorithms", BadKey::MixedFamilies));
    }
    Ok(first.family())
}

fn fits(wanted: AlgorithmFamily, found: AlgorithmFamily, algorithms: &[JwtAlgorithm]) -> Result<(), Wrong> {
    match algorithms.first() {
        Some(first) if wanted != found => Err(("algorithms", BadKey::WrongFamily(*first))),
        _ => Ok(()),
    }
}

/// ES256 is for P-256 only and ES384 for P-384 only (RFC 7518 §3.4).
fn check_curve(key: &DecodingKey, algorithms: &[JwtAlgorithm]) -> Result<(), Wrong> {
    if key.family() != AlgorithmFamily::Ec {
        return Ok(());
    }
    // An uncompressed point is a byte and two coordinates.
    let of_curve = match key.try_get_as_bytes().map(<[u8]>::len) {
        Ok(65) => JwtAlgorithm::ES256,
        Ok(97) => JwtAlgorithm::ES384,
        _ => return Err(("public_key_file", BadKey::NoPublicKey)),
    };
    match algorithms.iter().find(|algorithm| **algorithm != of_curve) {
        Some(other) => Err(("algorithms", BadKey::WrongFamily(*other))),
        None => Ok(()),
    }
}

fn public_key(pem: &[u8]) -> Result<DecodingKey, BadKey> {
    // `jsonwebtoken` takes what it finds first in any PEM for the key; only in these two is that right.
    if contains(pem, b"PRIVATE KEY-----") {
        return Err(BadKey::PrivateKey);
    }
    if contains(pem, b"-----BEGIN CERTIFICATE") {
        return Err(BadKey::Certificate);
    }
    DecodingKey::from_rsa_pem(pem)
        .or_else(|_| DecodingKey::from_ec_pem(pem))
        .or_else(|_| DecodingKey::from_ed_pem(pem))
        .map_err(|_| BadKey::NoPublicKey)
}

fn read(path: &Path) -> Result<Vec<u8>, BadKey> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(BadKey::Unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(BadKey::TooLarge) } else { Ok(bytes) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
