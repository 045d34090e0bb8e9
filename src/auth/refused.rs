//! Settings that can't be meant, and that no message about them shows a secret.

use jsonwebtoken::{Algorithm, EncodingKey};

use super::tests::{NOW, SECRET, good_claims, key_file, pem, settings, signed, verifier};
use super::{AuthSettings, Issuer, TokenVerifier};

#[test]
fn settings_that_can_not_be_meant_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let public = String::from_utf8(pem("rsa.public.pem")).unwrap();
    let rsa = key_file("rsa.public.pem").display().to_string();
    let p256 = key_file("p256.public.pem").display().to_string();
    let private = key_file("rsa.private.pem").display().to_string();
    let certificate = file("certificate.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let cases: &[(String, &str)] = &[
        (String::new(), "auth.keys: There is no key"),
        (format!("leeway = '61s'\nkeys = [{{ algorithms = ['HS256'], secret = '{SECRET}' }}]"), "auth.leeway: "),
        (format!("user_claim = ''\nkeys = [{{ algorithms = ['HS256'], secret = '{SECRET}' }}]"), "auth.user_claim: "),
        (format!("roles_claim = 'a..b'\nkeys = [{{ algorithms = ['HS256'], secret = '{SECRET}' }}]"), "auth.roles_claim: "),
        (format!("issuer = []\nkeys = [{{ algorithms = ['HS256'], secret = '{SECRET}' }}]"), "auth.issuer: "),
        (format!("audience = []\nkeys = [{{ algorithms = ['HS256'], secret = '{SECRET}' }}]"), "auth.audience: "),
        ("keys = [{ algorithms = ['HS256'] }]".to_owned(), "auth.keys[0].secret: A key has exactly one"),
        (
            format!("keys = [{{ algorithms = ['HS256'], secret = '{SECRET}', public_key_file = '{rsa}' }}]"),
            "auth.keys[0].secret: A key has exactly one",
        ),
        (
            format!("keys = [{{ algorithms = ['HS256'], secret = '{SECRET}', secret_file = '{rsa}' }}]"),
            "auth.keys[0].secret: A key has exactly one",
        ),
        (format!("keys = [{{ algorithms = [], secret = '{SECRET}' }}]"), "auth.keys[0].algorithms: A key needs"),
        (format!("keys = [{{ algorithms = ['HS256', 'RS256'], secret = '{SECRET}' }}]"), "auth.keys[0].algorithms: All algorithms"),
        (format!("keys = [{{ algorithms = ['RS256', 'ES256'], public_key_file = '{rsa}' }}]"), "auth.keys[0].algorithms: All algorithms"),
        (format!("keys = [{{ algorithms = ['RS256'], secret = '{SECRET}' }}]"), "auth.keys[0].algorithms: RS256 is not"),
        (format!("keys = [{{ algorithms = ['HS256'], public_key_file = '{rsa}' }}]"), "auth.keys[0].algorithms: HS256 is not"),
        (format!("keys = [{{ algorithms = ['ES256'], public_key_file = '{rsa}' }}]"), "auth.keys[0].algorithms: ES256 is not"),
        (format!("keys = [{{ algorithms = ['EdDSA'], public_key_file = '{p256}' }}]"), "auth.keys[0].algorithms: EdDSA is not"),
        (format!("keys = [{{ algorithms = ['ES256', 'ES384'], public_key_file = '{p256}' }}]"), "auth.keys[0].algorithms: ES384 is not"),
        ("keys = [{ algorithms = ['HS256'], secret = 'only-31-bytes-long-is-this-text' }]".to_owned(), "auth.keys[0].secret: A secret has"),
        (
            format!("keys = [{{ algorithms = ['HS256'], secret_file = '{}' }}]", file("weak", b"only-31-bytes-long-is-this-text\n")),
            "auth.keys[0].secret_file: A secret has",
        ),
        (format!("keys = [{{ algorithms = ['HS256'], secret = '''{public}''' }}]"), "auth.keys[0].secret: This is a PEM"),
        (format!("keys = [{{ algorithms = ['HS256'], secret_file = '{rsa}' }}]"), "auth.keys[0].secret_file: This is a PEM"),
        (
            format!("keys = [{{ algorithms = ['HS256'], secret_file = '{}/none' }}]", directory.path().display()),
            "auth.keys[0].secret_file: The file can't be read",
        ),
        (
            format!("keys = [{{ algorithms = ['RS256'], public_key_file = '{}' }}]", directory.path().display()),
            "auth.keys[0].public_key_file: The file can't be read",
        ),
        (
            format!("keys = [{{ algorithms = ['RS256'], public_key_file = '{private}' }}]"),
            "auth.keys[0].public_key_file: The file holds a private key",
        ),
        (
            format!("keys = [{{ algorithms = ['RS256'], public_key_file = '{certificate}' }}]"),
            "auth.keys[0].public_key_file: The file holds a certificate",
        ),
        (
            format!("keys = [{{ algorithms = ['RS256'], public_key_file = '{}' }}]", file("garbage", b"garbage")),
            "auth.keys[0].public_key_file: The file holds no public key",
        ),
        (
            format!("keys = [{{ algorithms = ['RS256'], public_key_file = '{}' }}]", file("large", &vec![b'a'; 70_000])),
            "auth.keys[0].public_key_file: The file is larger",
        ),
    ];
    for (toml, expected) in cases {
        let settings = settings(toml);
        let error = TokenVerifier::new(&settings).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{toml}\n{error}");
        assert_eq!(TokenVerifier::problems(&settings)[0].to_string(), error);
    }
    let good = format!("keys = [{{ algorithms = ['HS512'], secret_file = '{}' }}]", file("good", format!("{SECRET}\r\n").as_bytes()));
    assert!(TokenVerifier::problems(&settings(&good)).is_empty());
    let token = signed(r#"{"alg":"HS512"}"#, &good_claims().to_string(), &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS512);
    assert!(verifier(&settings(&good)).verify(&token, NOW).is_ok());
    for unknown in
        ["algorithm = 'HS256'", "keys = [{ algorithms = ['none'], secret = 'x' }]", "keys = [{ algorithms = ['HS256'], secrets = 'x' }]"]
    {
        assert!(toml::from_str::<AuthSettings>(unknown).is_err(), "{unknown}");
    }
}

#[test]
fn nothing_shows_secrets_or_tokens() {
    let canary = "canary-5d1e-that-is-long-enough-to-be-a-secret";
    let with_canary =
        settings(&format!("keys = [{{ algorithms = ['HS256'], secret = '{canary}' }}, {{ algorithms = ['RS256'], secret = '{canary}' }}]"));
    let weak = settings("keys = [{ algorithms = ['HS256'], secret = 'canary-5d1e' }]");
    let problems = [TokenVerifier::problems(&with_canary), TokenVerifier::problems(&weak)];
    assert!(problems.iter().all(|problems| problems.len() == 1));
    let good = AuthSettings { keys: with_canary.keys[..1].to_vec(), ..AuthSettings::default() };
    let (verifier, issuer) = (verifier(&good), Issuer::new(&good).unwrap());
    let shown = format!("{with_canary:?} {problems:?} {verifier:?} {issuer:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
