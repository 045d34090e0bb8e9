//! All settings of a node, put together from those of its parts, and what must hold between them.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SettingsError, load, load_text};
use crate::auth::{AuthError, AuthSettings, TokenVerifier};
use crate::channel::RateLimitSettings;
use crate::message::HumanDuration;
use crate::policy::{ApplicationSettings, DestinationSettings, Policies, PolicyError, Refusals};
use crate::session::{BadSessionSettings, SessionSettings};
use crate::store::SqliteSettings;
use crate::telemetry::LogFormat;
use crate::transport::ServerSettings;

/// What a node does when nobody wrote a `footfall.toml`: two tabs can chat.
pub const DEVELOPMENT: &str = include_str!("development.toml");

/// The file that is read if it is there and no other was named.
pub const DEFAULT_FILE: &str = "footfall.toml";

/// Whom a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// This machine: a key is made at first start, and `POST /dev/token` makes tokens.
    Development,
    /// Everything must have been said.
    #[default]
    Production,
}

/// All of `footfall.toml`. Each key is also a variable: `FOOTFALL_SERVER__PORT` is `server.port`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub mode: Mode,
    pub node: NodeSettings,
    pub server: ServerSettings,
    pub session: SessionSettings,
    pub auth: AuthSettings,
    pub rate_limit: RateLimitSettings,
    pub store: StoreSettings,
    pub log: LogSettings,
    /// What becomes of a connection whose SUBSCRIBE or SEND is refused, where its policy says nothing of it.
    pub refusals: Refusals,
    pub destinations: Vec<DestinationSettings>,
    pub applications: Vec<ApplicationSettings>,
}

/// `[node]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    /// Names this node among others; without it, the host's name and four random digits for each start.
    pub id: Option<String>,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    pub sqlite: SqliteSettings,
    /// A SEND with an `idempotency-key` that was used within this time is a retry, whatever became of the message since.
    pub idempotency_window: HumanDuration,
    /// How often retention is applied.
    pub retention_interval: HumanDuration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            sqlite: SqliteSettings::default(),
            idempotency_window: HumanDuration::from_secs(24 * 3600),
            retention_interval: HumanDuration::from_secs(60),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    /// As in `info` or `info,footfall=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Settings that were read, and are not good together.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("session.{0}")]
    Session(#[from] BadSessionSettings),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("server.allowed_origins: \"*\" lets every page use its visitors' cookies, so auth.cookie can't be set with it.")]
    CookieForEveryone,
    #[error("server.path: It begins with / and is not the page's.")]
    Path,
    #[error("server.{0}: {1}")]
    Server(&'static str, &'static str),
}

/// Settings that a node can start with.
#[derive(Debug)]
pub struct Checked {
    pub settings: Settings,
    pub verifier: TokenVerifier,
    pub policies: Policies,
}

impl Settings {
    /// Reads `file`, or `footfall.toml` if that is there, or else what two tabs need to chat; variables win.
    pub fn read(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let found = file.map(Path::to_owned).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
        match found {
            Some(path) => load(Some(&path), environment),
            None => load_text("development settings", DEVELOPMENT, environment),
        }
    }

    /// Compiles and loads what can be wrong only together. In development mode a key is there by now.
    pub fn check(self) -> Result<Checked, BadSettings> {
        self.session.check()?;
        let server = &self.server;
        if self.auth.cookie.is_some() && server.allowed_origins.iter().any(|origin| origin == "*") {
            return Err(BadSettings::CookieForEveryone);
        }
        if !server.path.starts_with('/') || server.path.len() == 1 || server.path.contains(['{', '}', '*', '?', '#']) {
            return Err(BadSettings::Path);
        }
        for (key, value, least) in [
            ("max_frame", server.max_frame, 1024),
            ("max_frame_before_connect", server.max_frame_before_connect, 1024),
            ("max_outbox", server.max_outbox, server.max_frame.saturating_mul(2)),
            ("max_connections", server.max_connections, 1),
        ] {
            if value < least {
                return Err(BadSettings::Server(key, "It is too small: a frame has at least 1024 bytes, and an outbox holds two of the largest."));
            }
        }
        let verifier = TokenVerifier::new(&self.auth)?;
        let policies = Policies::compile(&self.destinations, &self.applications, self.refusals)?;
        Ok(Checked { settings: self, verifier, policies })
    }
}
