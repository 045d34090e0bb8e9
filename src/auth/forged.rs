//! Forged tokens (failure matrix A6, A8): none may pass, and no refusal may show a part of one.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::TokenVerifier;
use super::tests::{NOW, SECRET, all_keys, encoded, good_claims, hs256, pem, signed, verifier};
use crate::message::Code;

struct Forger {
    rsa: EncodingKey,
    ec: EncodingKey,
    other_rsa: EncodingKey,
    secret: EncodingKey,
    payload: String,
    tokens: Vec<(String, String)>,
}

impl Forger {
    fn new() -> Self {
        Self {
            rsa: EncodingKey::from_rsa_pem(&pem("rsa.private.pem")).unwrap(),
            ec: EncodingKey::from_ec_pem(&pem("p256.private.pem")).unwrap(),
            other_rsa: EncodingKey::from_rsa_pem(&pem("other-rsa.private.pem")).unwrap(),
            secret: EncodingKey::from_secret(SECRET.as_bytes()),
            payload: good_claims().to_string(),
            tokens: Vec::new(),
        }
    }

    fn add(&mut self, what: impl Into<String>, token: impl Into<String>) {
        self.tokens.push((what.into(), token.into()));
    }

    fn honest_rsa(&self) -> String {
        signed(r#"{"alg":"RS256","kid":"rsa"}"#, &self.payload, &self.rsa, Algorithm::RS256)
    }

    /// No algorithm, in all spellings, with all signatures that a careless library might take.
    fn without_algorithm(&mut self) {
        let honest = self.honest_rsa();
        let honest_signature = honest.rsplit('.').next().unwrap();
        for alg in [
            r#""none""#,
            r#""None""#,
            r#""NONE""#,
            r#""nOnE""#,
            r#""noNe""#,
            r#""none ""#,
            r#"" none""#,
            r#""n\u006fne""#,
            r#""none\u0000""#,
            r#""""#,
            "null",
            "0",
            "false",
            r#"["none"]"#,
            r#"["HS256"]"#,
            r#"{"alg":"none"}"#,
            r#""hs256""#,
            r#""HS256 ""#,
            r#""RS256\n""#,
            r#""rs256""#,
            r#""HS1""#,
            r#""dir""#,
            r#""A128KW""#,
            r#""ES256K""#,
            r#""ES512""#,
            r#""HS256\u0000""#,
        ] {
            let message = format!("{}.{}", encoded(format!(r#"{{"alg":{alg}}}"#)), encoded(&self.payload));
            for signature in ["", "AA", honest_signature] {
                self.add(format!("alg {alg} with signature {signature:.3}"), format!("{message}.{signature}"));
            }
        }
        let message = format!("{}.{}", encoded(r#"{"typ":"JWT"}"#), encoded(&self.payload));
        self.add("no alg", format!("{message}.{honest_signature}"));
        self.add("no alg, no signature", format!("{message}."));
    }

    /// What is public, used as if it were the secret.
    fn public_key_as_secret(&mut self) {
        for (kid, name) in [("rsa", "rsa.public.pem"), ("ec", "p256.public.pem"), ("ed", "ed25519.public.pem")] {
            let text = String::from_utf8(pem(name)).unwrap();
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &body).unwrap();
            for (form, secret) in [
                ("as it is", text.clone().into_bytes()),
                ("trimmed", text.trim().into()),
                ("with CRLF", text.replace('\n', "\r\n").into_bytes()),
                ("base64", body.clone().into_bytes()),
                ("DER", der.clone()),
            ] {
                for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                    let header = json!({ "alg": format!("{algorithm:?}"), "kid": kid }).to_string();
                    let token = signed(&header, &self.payload, &EncodingKey::from_secret(&secret), algorithm);
                    self.add(format!("{algorithm:?} with {name} {form}"), token);
                }
                let token = signed(r#"{"alg":"HS256"}"#, &self.payload, &EncodingKey::from_secret(&secret), Algorithm::HS256);
                self.add(format!("HS256 without kid with {name} {form}"), token);
            }
        }
        for secret in ["", "secret", "rsa", "null", "0"] {
            let token = signed(r#"{"alg":"HS256"}"#, &self.payload, &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256);
            self.add(format!("HS256 with {secret:?}"), token);
        }
    }

    /// Signatures made of numbers that fit everything where nobody looks (CVE-2022-21449 and kin).
    fn degenerate_signatures(&mut self) {
        let order = [
            0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E,
            0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51_u8,
        ];
        let mut one = [0_u8; 32];
        one[31] = 1;
        let zero = [0_u8; 32];
        for (header, what) in [(r#"{"alg":"ES256","kid":"ec"}"#, "ES256"), (r#"{"alg":"EdDSA","kid":"ed"}"#, "EdDSA")] {
            let message = format!("{}.{}", encoded(header), encoded(&self.payload));
            for (r, s, name) in [
                (zero, zero, "0, 0"),
                (one, zero, "1, 0"),
                (zero, one, "0, 1"),
                (one, one, "1, 1"),
                (order, order, "n, n"),
                (order, one, "n, 1"),
            ] {
                self.add(format!("{what} {name}"), format!("{message}.{}", encoded([r, s].concat())));
            }
            for (bytes, name) in [
                (vec![0; 63], "short"),
                (vec![0; 65], "long"),
                (vec![0; 96], "of another curve"),
                (vec![0x30, 6, 2, 1, 0, 2, 1, 0], "DER zeros"),
            ] {
                self.add(format!("{what} {name}"), format!("{message}.{}", encoded(bytes)));
            }
        }
        let message = format!("{}.{}", encoded(r#"{"alg":"RS256","kid":"rsa"}"#), encoded(&self.payload));
        for (bytes, name) in [(vec![0_u8; 256], "zeros"), (vec![0xFF; 256], "ones"), (vec![1; 128], "half")] {
            self.add(format!("RS256 {name}"), format!("{message}.{}", encoded(bytes)));
        }
        let message = format!("{}.{}", encoded(r#"{"alg":"ES384","kid":"ec384"}"#), encoded(&self.payload));
        self.add("ES384 zeros", format!("{message}.{}", encoded([0_u8; 96])));
    }

    /// Headers that bring or name a key, or demand something. Signed with the right key as well as with a foreign one.
    fn headers_that_lead_elsewhere(&mut self) {
        for header in [
            json!({ "crit": ["exp"] }),
            json!({ "crit": ["b64"], "b64": false }),
            json!({ "crit": [] }),
            json!({ "crit": "exp" }),
            json!({ "crit": null }),
            json!({ "b64": false }),
            json!({ "b64": true }),
            json!({ "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" } }),
            json!({ "jwk": { "kty": "oct", "k": encoded("attacker") } }),
            json!({ "x5c": ["MIIB"] }),
            json!({ "jku": "https://evil.example/jwks.json" }),
            json!({ "jku": "file:///dev/null" }),
            json!({ "x5u": "https://evil.example/cert.pem" }),
            json!({ "x5u": "http://169.254.169.254/" }),
            json!({ "enc": "A256GCM" }),
            json!({ "zip": "DEF" }),
            json!({ "epk": {} }),
            json!({ "typ": "logout+jwt" }),
            json!({ "typ": "secevent+jwt" }),
            json!({ "typ": "dpop+jwt" }),
            json!({ "typ": "JWE" }),
            json!({ "typ": "" }),
            json!({ "typ": null }),
            json!({ "typ": 1 }),
            json!({ "kid": 1 }),
            json!({ "kid": null }),
            json!({ "kid": ["rsa"] }),
            json!({ "kid": { "$ne": "" } }),
            json!({ "kid": "a".repeat(5_000) }),
        ] {
            for (key, whose) in [(&self.rsa, "ours"), (&self.other_rsa, "foreign")] {
                let mut full = header.clone();
                full["alg"] = "RS256".into();
                let token = signed(&full.to_string(), &self.payload, key, Algorithm::RS256);
                self.tokens.push((format!("{:.60} signed with a key that is {whose}", header.to_string()), token));
            }
        }
        for kid in ["rsa", "ec", "ed", "", "RSA", "rsa ", "../../../../dev/null", "' OR 1=1 --", "rsa\0", "http://evil.example/key"] {
            let header = json!({ "alg": "RS256", "kid": kid }).to_string();
            let token = signed(&header, &self.payload, &self.other_rsa, Algorithm::RS256);
            self.add(format!("foreign key as {kid:?}"), token);
            // Ours is known by its kid only, so no other kid leads to it.
            if kid != "rsa" {
                let token = signed(&header, &self.payload, &self.rsa, Algorithm::RS256);
                self.add(format!("our key as {kid:?}"), token);
            }
        }
        let token = signed(r#"{"alg":"RS256"}"#, &self.payload, &self.other_rsa, Algorithm::RS256);
        self.add("foreign key without kid", token);
        let token = signed(r#"{"alg":"RS256","kid":"rsa","alg":"RS256"}"#, &self.payload, &self.rsa, Algorithm::RS256);
        self.add("alg twice", token);
        for (alg, key, algorithm) in
            [("PS256", &self.rsa, Algorithm::PS256), ("RS512", &self.rsa, Algorithm::RS512), ("HS512", &self.secret, Algorithm::HS512)]
        {
            let token = signed(&format!(r#"{{"alg":"{alg}"}}"#), &self.payload, key, algorithm);
            self.tokens.push((format!("{alg} where it is not allowed"), token));
        }
        // The right key, but a signature made with another algorithm than the header names.
        let token = signed(r#"{"alg":"RS256","kid":"rsa"}"#, &self.payload, &self.rsa, Algorithm::PS256);
        self.add("PS256 called RS256", token);
    }

    /// Honest tokens, cut, stretched, mixed and written otherwise.
    fn damaged(&mut self) {
        let honest = self.honest_rsa();
        let [header, payload, signature] = honest.split('.').collect::<Vec<_>>().try_into().unwrap();
        let richer = json!({ "sub": "admin", "exp": NOW + 60 }).to_string();
        let other = signed(r#"{"alg":"RS256","kid":"rsa"}"#, &richer, &self.other_rsa, Algorithm::RS256);
        let other_signature = other.rsplit('.').next().unwrap();
        let ec = signed(r#"{"alg":"ES256","kid":"ec"}"#, &self.payload, &self.ec, Algorithm::ES256);
        let ec_header = ec.split('.').next().unwrap();
        for cut in [1, 2, 3, 4, 100, signature.len() - 1] {
            self.add(format!("signature shorter by {cut}"), &honest[..honest.len() - cut]);
        }
        for more in ["A", "AA", "AAA", "AAAA", "=", "==", "%3D"] {
            self.add(format!("signature with {more}"), format!("{honest}{more}"));
        }
        self.add("another payload", format!("{header}.{}.{signature}", encoded(&richer)));
        self.add("another signature", format!("{header}.{payload}.{other_signature}"));
        self.add("another header", format!("{ec_header}.{payload}.{signature}"));
        self.add("header and payload swapped", format!("{payload}.{header}.{signature}"));
        self.add("payload and signature swapped", format!("{header}.{signature}.{payload}"));
        for (what, token) in [
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("one part", header.to_owned()),
            ("two parts", format!("{header}.{payload}")),
            ("no signature", format!("{header}.{payload}.")),
            ("no payload", format!("{header}..{signature}")),
            ("no header", format!(".{payload}.{signature}")),
            ("four parts", format!("{honest}.{signature}")),
            ("a part before", format!("{header}.{honest}")),
            ("five parts", format!("{header}.{payload}.{payload}.{payload}.{signature}")),
            ("five empty parts", "....".to_owned()),
            ("JWE", format!("{}.AAAA.AAAA.AAAA.AAAA", encoded(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#))),
            ("JWE, direct", format!("{}..AAAA.AAAA.AAAA", encoded(r#"{"alg":"dir","enc":"A256GCM"}"#))),
            ("JSON form", json!({ "protected": header, "payload": payload, "signature": signature }).to_string()),
            ("Bearer before", format!("Bearer {honest}")),
            ("comma", format!("{honest},{honest}")),
        ] {
            self.add(what, token);
        }
        for blank in [" ", "\t", "\n", "\r\n", "\0", "\u{a0}", "\u{200b}", "\u{feff}", "+", "/", "%2E", "=", "é", "\u{ff0e}"] {
            self.add(format!("{blank:?} before"), format!("{blank}{honest}"));
            self.add(format!("{blank:?} behind"), format!("{honest}{blank}"));
            self.add(format!("{blank:?} in the header"), format!("{header}{blank}.{payload}.{signature}"));
            self.add(format!("{blank:?} in the payload"), format!("{header}.{payload}{blank}.{signature}"));
        }
        // 256 bytes leave four bits of the last letter unused; another spelling of the same signature is none.
        let last = signature.chars().last().unwrap();
        let letters: Vec<char> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
        let index = letters.iter().position(|letter| *letter == last).unwrap();
        self.add("unused bits set", format!("{}{}", &honest[..honest.len() - 1], letters[index ^ 1]));
        for index in [0, 10, 100, 200] {
            let mut flipped: Vec<char> = signature.chars().collect();
            flipped[index] = if flipped[index] == 'A' { 'B' } else { 'A' };
            self.add(format!("signature changed at {index}"), format!("{header}.{payload}.{}", flipped.into_iter().collect::<String>()));
        }
    }

    /// Well signed, and still no JWT.
    fn signed_nonsense(&mut self) {
        for payload in [
            "",
            "null",
            "[]",
            "1",
            "\"alice\"",
            "{",
            "{}{}",
            "\u{feff}{}",
            &hs256(&self.payload),
            "{\"sub\":\"alice\",\"exp\":1800000060,}",
        ] {
            self.tokens.push((format!("payload {payload:.20}"), hs256(payload)));
        }
        for header in [
            "",
            "null",
            "[]",
            "\"HS256\"",
            "{",
            "{\"alg\":\"HS256\"}x",
            "{\"alg\":\"HS256\",}",
            "{'alg':'HS256'}",
            "\u{feff}{\"alg\":\"HS256\"}",
        ] {
            let token = signed(header, &self.payload, &self.secret, Algorithm::HS256);
            self.add(format!("header {header:.20}"), token);
        }
        let large = json!({ "sub": "alice", "exp": NOW + 60, "x": "a".repeat(TokenVerifier::MAX_TOKEN_BYTES) });
        self.tokens.push(("too long".to_owned(), hs256(&large.to_string())));
    }
}

#[test]
fn no_forged_token_passes_and_no_refusal_shows_one() {
    let verifier = verifier(&all_keys());
    let mut forger = Forger::new();
    assert!(verifier.verify(&forger.honest_rsa(), NOW).is_ok(), "the token that is tampered with must be good");
    forger.without_algorithm();
    forger.public_key_as_secret();
    forger.degenerate_signatures();
    forger.headers_that_lead_elsewhere();
    forger.damaged();
    forger.signed_nonsense();
    assert!(forger.tokens.len() >= 60);
    for (what, token) in &forger.tokens {
        let refusal = verifier.verify(token, NOW).expect_err(what);
        assert_eq!(refusal.code, Code::TokenInvalid, "{what}");
        let shown = format!("{refusal:?}");
        assert!(token.split('.').filter(|part| part.len() > 3).all(|part| !shown.contains(part)), "{what}: {shown}");
        assert!(!shown.contains("alice"), "{what}: {shown}");
    }
}

#[test]
fn a_token_of_the_largest_size_passes() {
    let verifier = verifier(&all_keys());
    // Header, signature, the claims around the filling, and base64's third cost less than these 300 bytes of slack.
    let most = TokenVerifier::MAX_TOKEN_BYTES * 3 / 4;
    let token = (most - 300..most)
        .map(|fill| hs256(&json!({ "sub": "alice", "exp": NOW + 60, "x": "a".repeat(fill) }).to_string()))
        .take_while(|token| token.len() <= TokenVerifier::MAX_TOKEN_BYTES)
        .last()
        .unwrap();
    assert!(token.len() > TokenVerifier::MAX_TOKEN_BYTES - 4);
    assert!(verifier.verify(&token, NOW).is_ok());
}
