//! `footfall token`: what it prints is what the same settings accept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use footfall::auth::{AuthSettings, JwtAlgorithm, KeySettings, TokenVerifier};
use footfall::message::{Code, User};

use super::{CANARY, Home, production};

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn verifier(settings: &AuthSettings) -> TokenVerifier {
    TokenVerifier::new(settings).unwrap()
}

fn user(file: &Path, token: &str) -> User {
    let table: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    verifier(&table["auth"].clone().try_into().unwrap()).verify(token.trim_end(), now_s()).unwrap()
}

#[test]
fn a_token_says_what_it_was_told_to() {
    let home = Home::with(&format!(
        "[auth]\nuser_claim = 'preferred.name'\nroles_claim = 'realm.roles'\nissuer = ['me', 'you']\naudience = ['chat']\n{}",
        production()
    ));
    let token = home.run(&[
        "token",
        "--user",
        "zoë",
        "--role",
        "ADMIN",
        "--role",
        "USER",
        "--claim",
        "rooms=[\"a\",\"b\"]",
        "--claim",
        "team=red",
        "--claim",
        "n=3",
        "--for",
        "30m",
    ]);
    let token = token.good();
    let user = user(&home.path("footfall.toml"), &token);
    assert_eq!(user.name.as_str(), "zoë");
    assert_eq!(user.roles.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["ADMIN", "USER"]);
    let claims = serde_json::to_value(&user.claims).unwrap();
    assert_eq!((&claims["rooms"], &claims["team"], &claims["n"]), (&serde_json::json!(["a", "b"]), &"red".into(), &3.into()));
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 1800);
    assert_eq!(token.lines().count(), 1);
}

#[test]
fn development_keeps_its_key_for_its_owner() {
    let home = Home::new();
    let token = home.run(&["token", "--user", "alice"]).good();
    let key = home.path("data/development.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let entry = KeySettings {
        kid: None,
        algorithms: vec![JwtAlgorithm::HS256],
        secret: None,
        secret_file: Some(key.clone()),
        public_key_file: None,
    };
    let verifier = verifier(&AuthSettings { keys: vec![entry], ..AuthSettings::default() });
    verifier.verify(token.trim_end(), now_s()).unwrap();
    // Twelve hours are the default.
    assert_eq!(verifier.verify(token.trim_end(), now_s() + 13 * 3600).unwrap_err().code, Code::TokenExpired);
    let before = fs::read(&key).unwrap();
    verifier.verify(home.run(&["token", "--user", "bob"]).good().trim_end(), now_s()).unwrap();
    assert_eq!(fs::read(&key).unwrap(), before, "the second token has the same key");
    home.run(&["check"]).good();
}

#[test]
fn a_broken_key_of_development_is_named() {
    let home = Home::new();
    home.run(&["token", "--user", "alice"]).good();
    home.write("data/development.key", "canary-5f1c");
    for arguments in [&["check"][..], &["run"], &["token", "--user", "alice"]] {
        let error = home.run(arguments).bad();
        assert!(error.starts_with("footfall: data/development.key: A secret has at least 32 bytes"), "{error}");
        assert!(error.ends_with(" Remove it, and the next start makes a new one.\n") && !error.contains("canary"), "{error}");
    }
}

#[test]
fn what_can_be_no_token_is_a_sentence() {
    let home = Home::with(&production());
    for (arguments, expected) in [
        (&["--user", ""][..], "footfall: "),
        (&["--user", "alice", "--claim", "x"], "footfall: --claim is name=value, and `x` has no ="),
        (&["--user", "alice", "--for", "12"], "footfall: A length of time is a whole number and one of ms, s, m, h or d"),
    ] {
        let error = home.run(&[&["token"], arguments].concat()).bad();
        assert!(error.starts_with(expected) && error.len() > "footfall: \n".len(), "{error}");
    }
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.public.pem");
    let home = Home::with(&format!("[[auth.keys]]\nalgorithms = ['RS256']\npublic_key_file = '{key}'\n"));
    assert_eq!(home.run(&["token", "--user", "alice"]).bad(), "footfall: auth.keys: Tokens are made with a secret, and no key has one.\n");
    let home = Home::with(&format!("[[auth.keys]]\nalgorithms = ['HS256']\nsecret = '{CANARY}'\nkind = 1\n"));
    assert!(home.run(&["token", "--user", "alice"]).bad().contains("unknown key `kind`"));
}
