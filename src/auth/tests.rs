//! Good tokens of every kind, and claims that make a well-signed token bad.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::message::{Code, HumanDuration, User, UserName};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const SECRET: &str = "a-secret-for-tests-with-32-bytes!";

pub(super) fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

pub(super) fn pem(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).unwrap()
}

pub(super) fn settings(toml: &str) -> AuthSettings {
    toml::from_str(toml).unwrap()
}

/// One key of each kind; the secret has no kid.
pub(super) fn all_keys() -> AuthSettings {
    let file = |name: &str| key_file(name).display().to_string();
    settings(&format!(
        "keys = [
            {{ algorithms = ['HS256'], secret = '{SECRET}' }},
            {{ kid = 'rsa', algorithms = ['RS256'], public_key_file = '{}' }},
            {{ kid = 'ec', algorithms = ['ES256'], public_key_file = '{}' }},
            {{ kid = 'ec384', algorithms = ['ES384'], public_key_file = '{}' }},
            {{ kid = 'ed', algorithms = ['EdDSA'], public_key_file = '{}' }},
        ]",
        file("rsa.public.pem"),
        file("p256.public.pem"),
        file("p384.public.pem"),
        file("ed25519.public.pem"),
    ))
}

pub(super) fn verifier(settings: &AuthSettings) -> TokenVerifier {
    TokenVerifier::new(settings).unwrap()
}

pub(super) fn encoded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token with just this header and payload, whatever they are.
pub(super) fn signed(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    install_crypto();
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

pub(super) fn hs256(payload: &str) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, payload, &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256)
}

pub(super) fn good_claims() -> Value {
    json!({ "sub": "alice", "exp": NOW + 60 })
}

/// Good claims with some of them replaced.
fn claims(changes: &Value) -> String {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.to_string()
}

fn code(result: Result<User, crate::message::Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn each_kind_of_key_verifies_its_tokens() {
    let verifier = verifier(&all_keys());
    let rsa = EncodingKey::from_rsa_pem(&pem("rsa.private.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(&pem("p256.private.pem")).unwrap();
    let ec384 = EncodingKey::from_ec_pem(&pem("p384.private.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(&pem("ed25519.private.pem")).unwrap();
    let hs = EncodingKey::from_secret(SECRET.as_bytes());
    let payload = good_claims().to_string();
    for (header, key, algorithm) in [
        (r#"{"alg":"HS256"}"#, &hs, Algorithm::HS256),
        (r#"{"alg":"HS256","kid":"unknown to us"}"#, &hs, Algorithm::HS256),
        (r#"{"alg":"HS256","typ":"at+jwt","x5t":"ignored","cty":"x","other":{}}"#, &hs, Algorithm::HS256),
        (r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, &rsa, Algorithm::RS256),
        (r#"{"alg":"RS256","typ":"application/at+JWT"}"#, &rsa, Algorithm::RS256),
        (r#"{"alg":"ES256","kid":"ec"}"#, &ec, Algorithm::ES256),
        (r#"{"alg":"ES384","kid":"ec384"}"#, &ec384, Algorithm::ES384),
        (r#"{"alg":"EdDSA","kid":"ed"}"#, &ed, Algorithm::EdDSA),
    ] {
        let user =
            verifier.verify(&signed(header, &payload, key, algorithm), NOW).unwrap_or_else(|refusal| panic!("{header}: {refusal:?}"));
        assert_eq!(user.name.as_str(), "alice");
        assert_eq!(user.expires_at, Some(NOW + 60));
    }
}

#[test]
fn every_algorithm_of_a_family_works_where_it_is_listed() {
    let file = key_file("rsa.public.pem").display().to_string();
    let rsa = EncodingKey::from_rsa_pem(&pem("rsa.private.pem")).unwrap();
    let hs = EncodingKey::from_secret(SECRET.as_bytes());
    for algorithm in JwtAlgorithm::ALL {
        let (source, key) = match algorithm.as_str().get(..2) {
            Some("HS") => (format!("secret = '{SECRET}'"), &hs),
            Some("RS" | "PS") => (format!("public_key_file = '{file}'"), &rsa),
            _ => continue,
        };
        let verifier = verifier(&settings(&format!("keys = [{{ algorithms = ['{}'], {source} }}]", algorithm.as_str())));
        for used in JwtAlgorithm::ALL.into_iter().filter(|used| used.family() == algorithm.family()) {
            let token = signed(&format!(r#"{{"alg":"{}"}}"#, used.as_str()), &good_claims().to_string(), key, used.into());
            assert_eq!(
                verifier.verify(&token, NOW).is_ok(),
                used == algorithm,
                "{} where only {} is allowed",
                used.as_str(),
                algorithm.as_str()
            );
        }
    }
}

#[test]
fn a_token_is_good_until_it_expires_and_from_when_it_begins() {
    let verifier = verifier(&all_keys());
    let token = hs256(&claims(&json!({ "nbf": NOW, "iat": NOW })));
    for (now, expected) in [
        (NOW - 31, Some(Code::TokenInvalid)),
        (NOW - 30, None),
        (NOW, None),
        (NOW + 89, None),
        (NOW + 90, Some(Code::TokenExpired)),
        (u64::MAX, Some(Code::TokenExpired)),
    ] {
        assert_eq!(code(verifier.verify(&token, now)), expected, "at {now}");
    }
    let strict = TokenVerifier::new(&AuthSettings { leeway: HumanDuration::from_secs(0), ..all_keys() }).unwrap();
    assert_eq!(code(strict.verify(&token, NOW + 59)), None);
    assert_eq!(code(strict.verify(&token, NOW + 60)), Some(Code::TokenExpired));
    assert_eq!(code(strict.verify(&token, NOW - 1)), Some(Code::TokenInvalid));
}

#[test]
fn times_that_are_no_whole_seconds_are_refused() {
    let verifier = verifier(&all_keys());
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "null",
            "true",
            "\"\"",
            "\"1800000060\"",
            "\"never\"",
            "[]",
            "[1800000060]",
            "{}",
            "-1",
            "-0",
            "-1800000060",
            "1800000060.0",
            "1800000060.5",
            "1.80000006e9",
            "18e8",
            "1e400",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1e308",
            "NaN",
            "Infinity",
            "0x6b49d200",
            "01800000060",
            "+1800000060",
        ] {
            let mut payload = String::from(r#"{"sub":"alice""#);
            for (claim, good) in [("exp", NOW + 60), ("nbf", NOW), ("iat", NOW)] {
                let value = if claim == name { value.to_owned() } else { good.to_string() };
                write!(payload, r#","{claim}":{value}"#).unwrap();
            }
            payload.push('}');
            assert_eq!(code(verifier.verify(&hs256(&payload), NOW)), Some(Code::TokenInvalid), "{payload}");
        }
    }
    assert_eq!(code(verifier.verify(&hs256(r#"{"sub":"alice"}"#), NOW)), Some(Code::TokenInvalid), "no exp");
    let for_ever = hs256(r#"{"sub":"alice","exp":9223372036854775807}"#);
    let unrevoked = self::verifier(&AuthSettings { registry: TokenRegistry::Off, ..all_keys() });
    assert_eq!(code(unrevoked.verify(&for_ever, NOW)), None, "2^63 - 1 is a number");
    assert_eq!(code(verifier.verify(&for_ever, NOW)), Some(Code::TokenInvalid), "it would outlive the memory of its revocation");
    let year = AuthSettings::default().longest_token.as_secs() + AuthSettings::default().leeway.as_secs();
    for (lives, expected) in [(year, None), (year + 1, Some(Code::TokenInvalid))] {
        let payload = format!(r#"{{"sub":"alice","exp":{}}}"#, NOW + lives);
        assert_eq!(code(verifier.verify(&hs256(&payload), NOW)), expected, "{lives}");
    }
    let issued = verifier.verify(&hs256(&format!(r#"{{"sub":"alice","exp":9223372036854775807,"iat":{}}}"#, NOW - 7)), NOW).unwrap();
    let longest = AuthSettings::default().longest_token.as_secs();
    assert_eq!(
        (issued.expires_at, issued.issued_at),
        (Some(NOW - 7 + longest), Some(NOW - 7)),
        "it ends with the memory of its revocation"
    );
    let of_the_future = verifier.verify(&hs256(&format!(r#"{{"sub":"alice","exp":{},"iat":{}}}"#, NOW + 600, NOW + 300)), NOW).unwrap();
    assert_eq!(of_the_future.issued_at, None, "a logout must cover it");
    assert_eq!(code(verifier.verify(&hs256(r#"{"sub":"alice","exp":0}"#), NOW)), Some(Code::TokenExpired));
}

#[test]
fn claims_that_stand_twice_are_refused() {
    let verifier = verifier(&all_keys());
    for payload in [
        format!(r#"{{"sub":"alice","sub":"bob","exp":{}}}"#, NOW + 60),
        format!(r#"{{"sub":"alice","s\u0075b":"bob","exp":{}}}"#, NOW + 60),
        format!(r#"{{"sub":"alice","exp":1,"exp":{}}}"#, NOW + 60),
        format!(r#"{{"sub":"alice","exp":{},"aud":"a","aud":"b"}}"#, NOW + 60),
        format!(r#"{{"sub":"alice","exp":{},"x":{{"roles":[],"roles":["ADMIN"]}}}}"#, NOW + 60),
        format!(r#"{{"sub":"alice","exp":{},"x":[{{"a":1,"a":1}}]}}"#, NOW + 60),
    ] {
        assert_eq!(code(verifier.verify(&hs256(&payload), NOW)), Some(Code::TokenInvalid), "{payload}");
    }
}

#[test]
fn issuer_and_audience_must_be_there_when_they_are_asked_for() {
    let demanding = AuthSettings {
        issuer: Some(vec!["https://id.example".to_owned(), "https://id2.example".to_owned()]),
        audience: Some(vec!["chat".to_owned()]),
        ..all_keys()
    };
    let (demanding, easy) = (verifier(&demanding), verifier(&all_keys()));
    let check = |verifier: &TokenVerifier, changes: Value| code(verifier.verify(&hs256(&claims(&changes)), NOW));
    let invalid = Some(Code::TokenInvalid);
    for audience in [json!("chat"), json!(["mail", "chat"])] {
        assert_eq!(check(&demanding, json!({ "iss": "https://id2.example", "aud": audience })), None);
    }
    for changes in [
        json!({}),
        json!({ "iss": "https://id.example" }),
        json!({ "aud": "chat" }),
        json!({ "iss": "https://id.example/", "aud": "chat" }),
        json!({ "iss": "https://ID.example", "aud": "chat" }),
        json!({ "iss": "", "aud": "chat" }),
        json!({ "iss": "https://id.example", "aud": "chat2" }),
        json!({ "iss": "https://id.example", "aud": "" }),
        json!({ "iss": "https://id.example", "aud": [] }),
        json!({ "iss": "https://id.example", "aud": ["mail"] }),
    ] {
        assert_eq!(check(&demanding, changes.clone()), invalid, "{changes}");
    }
    for changes in [
        json!({ "iss": ["https://id.example"], "aud": "chat" }),
        json!({ "iss": null, "aud": "chat" }),
        json!({ "iss": 1, "aud": "chat" }),
        json!({ "iss": "https://id.example", "aud": { "chat": 1 } }),
        json!({ "iss": "https://id.example", "aud": null }),
        json!({ "iss": "https://id.example", "aud": ["chat", 1] }),
    ] {
        assert_eq!(check(&demanding, changes.clone()), invalid, "{changes}");
        assert_eq!(check(&easy, changes.clone()), invalid, "of the wrong type: {changes}");
    }
    assert_eq!(check(&easy, json!({ "iss": "anyone", "aud": "anything" })), None);
}

#[test]
fn the_users_name_is_a_claim_that_can_be_a_name() {
    let verifier = verifier(&all_keys());
    for name in [
        json!(null),
        json!(1),
        json!(""),
        json!(["alice"]),
        json!({ "name": "alice" }),
        json!(true),
        json!("bob\nrole:admin"),
        json!("bob\r"),
        json!("bob\0"),
        json!("bob\u{1b}[31m"),
        json!("bob\u{85}"),
        json!("a".repeat(257)),
    ] {
        let payload = claims(&json!({ "sub": name }));
        assert_eq!(code(verifier.verify(&hs256(&payload), NOW)), Some(Code::TokenInvalid), "{payload}");
    }
    assert_eq!(code(verifier.verify(&hs256(&json!({ "exp": NOW + 60 }).to_string()), NOW)), Some(Code::TokenInvalid));
    assert_eq!(verifier.verify(&hs256(&claims(&json!({ "sub": "ä/ö:%" }))), NOW).unwrap().name.as_str(), "ä/ö:%");
}

#[test]
fn name_and_roles_come_from_the_claims_in_the_settings() {
    let keycloak =
        verifier(&AuthSettings { user_claim: "profile.login".to_owned(), roles_claim: "realm_access.roles".to_owned(), ..all_keys() });
    let user = |roles: Value| {
        let claims = json!({ "exp": NOW + 60, "profile": { "login": "alice" }, "realm_access": { "roles": roles } });
        keycloak.verify(&hs256(&claims.to_string()), NOW).map(|user| (user.name.to_string(), user.roles.join("|")))
    };
    for (roles, expected) in [
        (json!(["ADMIN", "of chat"]), "ADMIN|of chat"),
        (json!([]), ""),
        (json!(null), ""),
        (json!("ADMIN"), "ADMIN"),
        (json!("ADMIN chat:read,  USER,"), "ADMIN|chat:read|USER"),
    ] {
        assert_eq!(user(roles), Ok(("alice".to_owned(), expected.to_owned())));
    }
    for roles in [json!(1), json!({ "ADMIN": true }), json!([1]), json!(["USER", ["ADMIN"]]), json!(true)] {
        assert!(user(roles.clone()).is_err(), "{roles}");
    }
    // A name with dots in it, as some identity providers demand for claims of one's own.
    let namespaced = verifier(&AuthSettings { roles_claim: "https://chat.example/roles".to_owned(), ..all_keys() });
    let token = hs256(&claims(&json!({ "https://chat.example/roles": ["ADMIN"] })));
    assert_eq!(&*namespaced.verify(&token, NOW).unwrap().roles[0], "ADMIN");
    assert!(namespaced.verify(&hs256(&good_claims().to_string()), NOW).unwrap().roles.is_empty());
}

#[test]
fn keys_are_replaced_while_it_works() {
    let verifier = verifier(&all_keys());
    let token = hs256(&good_claims().to_string());
    assert!(verifier.verify(&token, NOW).is_ok());
    verifier.replace_keys(vec![]);
    assert_eq!(code(verifier.verify(&token, NOW)), Some(Code::TokenInvalid));
    verifier.replace_keys(vec![Key::load(0, &all_keys().keys[0]).unwrap()]);
    assert!(verifier.verify(&token, NOW).is_ok());
}

#[test]
fn what_is_issued_is_accepted_by_the_same_settings() {
    let plain = all_keys();
    let nested = AuthSettings {
        user_claim: "who.name".to_owned(),
        roles_claim: "who.roles".to_owned(),
        issuer: Some(vec!["dev".to_owned()]),
        audience: Some(vec!["chat".to_owned()]),
        ..all_keys()
    };
    for settings in [plain, nested] {
        let alice = UserName::new("alice").unwrap();
        let extra = json!({ "rooms": [1, 2], "sub": "mallory", "who.name": "mallory", "exp": 1, "who": { "name": "mallory" } });
        let extra = extra.as_object().unwrap().clone();
        let token = Issuer::new(&settings).unwrap().issue(&alice, &["ADMIN".to_owned()], extra, Duration::from_mins(1), NOW).unwrap();
        let user = verifier(&settings).verify(&token, NOW).unwrap();
        assert_eq!((user.name, &*user.roles[0]), (alice, "ADMIN"));
        assert_eq!((user.expires_at, &user.claims["rooms"]), (Some(NOW + 60), &json!([1, 2])));
    }
    let no_secret = AuthSettings { keys: all_keys().keys.split_off(1), ..all_keys() };
    assert!(matches!(Issuer::new(&no_secret), Err(AuthError::NoSecret)));
}
