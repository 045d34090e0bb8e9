//! `[auth]` as it stands in the settings.

use std::num::NonZeroU32;
use std::path::PathBuf;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::message::HumanDuration;

/// Which tokens are good and what they say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// The claim with the user's name; dots lead into nested objects.
    pub user_claim: String,
    /// The claim with the user's roles, a list of strings or one string with spaces or commas; dots lead into nested
    /// objects, as in `realm_access.roles`.
    pub roles_claim: String,
    /// How far the clocks of whoever makes tokens may differ from ours; at most 60s.
    pub leeway: HumanDuration,
    /// Who makes tokens: `iss` must be one of these. Without it, anyone who has a key.
    pub issuer: Option<Vec<String>>,
    /// Whom tokens are for: `aud` must name one of these. Without it, tokens for others are good here too.
    pub audience: Option<Vec<String>>,
    /// The cookie that may hold the token; without it no cookie is looked at.
    pub cookie: Option<String>,
    /// The keys that tokens are signed with; at least one in production.
    pub keys: Vec<KeySettings>,
    /// Which tokens count besides being good.
    pub registry: TokenRegistry,
    /// How many sessions a user may have at once; one more ends the oldest. Without it, any number.
    pub max_sessions_per_user: Option<NonZeroU32>,
    /// While the registry can't be reached, a token that this node let in within this time comes in again; at most 30s.
    pub registry_grace: HumanDuration,
    /// A token counts for so long after its `iat`, whatever its `exp`, unless `registry` is `off`: a revocation is remembered
    /// for so long, in every node's memory too. One without `iat` whose `exp` is further away is refused.
    pub longest_token: HumanDuration,
    /// Secrets with which backends may use `/api`, as `Authorization: Bearer …`; at least 32 bytes each. Without one there
    /// is no `/api`.
    #[schemars(with = "Vec<String>")]
    pub service_tokens: Vec<SecretString>,
}

/// Which tokens count besides being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenRegistry {
    /// All of them.
    Off,
    /// All but those that were revoked, or whose user was logged out.
    #[default]
    Deny,
    /// Only those that were registered (`POST /api/tokens`).
    Allow,
}

impl AuthSettings {
    pub const MAX_LEEWAY: HumanDuration = HumanDuration::from_secs(60);
    pub const MAX_REGISTRY_GRACE: HumanDuration = HumanDuration::from_secs(30);
    pub const MIN_SERVICE_TOKEN_BYTES: usize = 32;
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            user_claim: "sub".to_owned(),
            roles_claim: "roles".to_owned(),
            leeway: HumanDuration::from_secs(30),
            issuer: None,
            audience: None,
            cookie: None,
            keys: Vec::new(),
            registry: TokenRegistry::default(),
            max_sessions_per_user: None,
            registry_grace: HumanDuration::ZERO,
            longest_token: HumanDuration::from_secs(365 * 24 * 3600),
            service_tokens: Vec::new(),
        }
    }
}

/// A key that tokens are signed with. It has exactly one of `secret`, `secret_file` and `public_key_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// A token with this `kid` is checked with this key only.
    #[serde(default)]
    pub kid: Option<String>,
    /// What this key may be used for: HS… for a secret; RS…, PS…, ES… or `EdDSA` for a public key.
    pub algorithms: Vec<JwtAlgorithm>,
    /// A secret of at least 32 bytes.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub secret: Option<SecretString>,
    /// A file with a secret of at least 32 bytes; a line end at its end is not part of it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// A file with a public key as PEM.
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
}

/// How a token may be signed. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl JwtAlgorithm {
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// As in a token's `alg` (RFC 7518 §3.1), where case matters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub(super) fn family(self) -> AlgorithmFamily {
        Algorithm::from(self).family()
    }
}

impl From<JwtAlgorithm> for Algorithm {
    fn from(algorithm: JwtAlgorithm) -> Self {
        match algorithm {
            JwtAlgorithm::HS256 => Self::HS256,
            JwtAlgorithm::HS384 => Self::HS384,
            JwtAlgorithm::HS512 => Self::HS512,
            JwtAlgorithm::RS256 => Self::RS256,
            JwtAlgorithm::RS384 => Self::RS384,
            JwtAlgorithm::RS512 => Self::RS512,
            JwtAlgorithm::PS256 => Self::PS256,
            JwtAlgorithm::PS384 => Self::PS384,
            JwtAlgorithm::PS512 => Self::PS512,
            JwtAlgorithm::ES256 => Self::ES256,
            JwtAlgorithm::ES384 => Self::ES384,
            JwtAlgorithm::EdDSA => Self::EdDSA,
        }
    }
}
