//! What an operator may say about the session cookie.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::message::HumanDuration;

/// Shorter than a CONNECT may take would be over before it began.
const SHORTEST: HumanDuration = HumanDuration::from_secs(60);
/// Browsers keep none for longer.
const LONGEST: HumanDuration = HumanDuration::from_secs(400 * 24 * 3600);

const SECURE: &[&str] = &["auto", "true", "false"];

/// The cookie by which a browser's connections belong together, over reloads and nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionCookieSettings {
    /// Whether it is set and read. Never with pages that only `*` in `allowed_origins` lets in.
    pub enabled: bool,
    /// Its name. With `__Host-` before it no neighbouring host can set it; `secure` must then be `true`.
    pub name: String,
    /// How long the login session behind it outlives its last socket; 1m to 400d. Browsers keep the cookie for 30d at least.
    pub ttl: HumanDuration,
    /// Whether browsers send it over TLS only.
    pub secure: Secure,
    /// From which pages browsers send it.
    pub same_site: SameSite,
}

impl Default for SessionCookieSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            name: "footfall_session".to_owned(),
            ttl: HumanDuration::from_secs(30 * 60),
            secure: Secure::default(),
            same_site: SameSite::default(),
        }
    }
}

impl SessionCookieSettings {
    /// Keys with which no browser would keep the cookie, and why.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if !is_token(&self.name) {
            problems.push(("name", "It has letters, digits and any of ! # $ % & ' * + - . ^ _ ` | ~, and at most 128 of them."));
        }
        // RFC 6265bis §4.1.3; browsers look at these without regard to case.
        let name = self.name.to_ascii_lowercase();
        if self.secure != Secure::Always && (name.starts_with("__host-") || name.starts_with("__secure-")) {
            problems.push(("secure", "With a name that begins with __Host- or __Secure- it is true, or browsers refuse the cookie."));
        } else if self.secure != Secure::Always && self.same_site == SameSite::None {
            problems.push(("secure", "With same_site = \"none\" it is true, or browsers refuse the cookie."));
        }
        if !(SHORTEST..=LONGEST).contains(&self.ttl) {
            problems.push(("ttl", "It is 1m to 400d."));
        }
        problems
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether browsers send the cookie over TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secure {
    #[default]
    Auto,
    Always,
    Never,
}

impl Secure {
    fn of(yes: bool) -> Self {
        if yes { Self::Always } else { Self::Never }
    }
}

impl<'de> Deserialize<'de> for Secure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Secure;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("\"auto\", true or false")
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Secure, E> {
                Ok(Secure::of(yes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secure, E> {
                if text == "auto" { Ok(Secure::Auto) } else { Err(E::unknown_variant(text, SECURE)) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Secure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl JsonSchema for Secure {
    fn schema_name() -> Cow<'static, str> {
        "Secure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Whether browsers send the cookie over TLS only.", "oneOf": [
            { "const": "auto", "description": "Where the client came over TLS, as the proxy says in `X-Forwarded-Proto`." },
            { "const": true, "description": "Over TLS only; without TLS it does not come back." },
            { "const": false, "description": "Also without TLS." },
        ] })
    }
}

/// From which pages browsers send the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Pages of the same site; a WebSocket of another site's page brings none.
    #[default]
    Lax,
    /// The same; a link from another site does not bring it either.
    Strict,
    /// Any page; `allowed_origins` decides alone. `secure` must be `true`.
    None,
}

impl SameSite {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<SessionCookieSettings, toml::de::Error> {
        toml::from_str(toml)
    }

    #[test]
    fn secure_is_a_word_or_a_yes_or_no() {
        for (text, expected) in [("\"auto\"", Secure::Auto), ("true", Secure::Always), ("false", Secure::Never)] {
            let settings = read(&format!("secure = {text}")).unwrap();
            assert_eq!(settings.secure, expected);
            assert_eq!(serde_json::to_string(&expected).unwrap(), text);
        }
        for wrong in ["\"yes\"", "1", "\"\"", "[]"] {
            assert!(read(&format!("secure = {wrong}")).is_err(), "{wrong}");
        }
        assert!(read("secur = true").is_err());
    }

    #[test]
    fn what_no_browser_would_keep_is_a_mistake() {
        for (toml, wrong) in [
            ("", &[][..]),
            ("name = '__Host-footfall'\nsecure = true", &[]),
            ("name = '__Host-footfall'", &["secure"]),
            ("name = '__secure-footfall'\nsecure = false", &["secure"]),
            ("same_site = 'none'\nsecure = true", &[]),
            ("same_site = 'none'", &["secure"]),
            ("same_site = 'strict'", &[]),
            ("name = ''", &["name"]),
            ("name = 'a b'", &["name"]),
            ("name = 'a=b'", &["name"]),
            ("name = 'a;b'", &["name"]),
            ("name = 'ä'", &["name"]),
            ("ttl = '59s'", &["ttl"]),
            ("ttl = '1m'", &[]),
            ("ttl = '401d'", &["ttl"]),
        ] {
            let problems: Vec<_> = read(toml).unwrap().problems().into_iter().map(|(key, _)| key).collect();
            assert_eq!(problems, wrong, "{toml}");
        }
    }
}
