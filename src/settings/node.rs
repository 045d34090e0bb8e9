//! All settings of a node, put together from those of its parts.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::load_source;
use super::problem::Source;
use super::{SettingsError, Written};
use crate::auth::AuthSettings;
use crate::channel::RateLimitSettings;
use crate::message::HumanDuration;
use crate::policy::{ApplicationSettings, DestinationSettings, Refusals};
use crate::session::SessionSettings;
use crate::store::SqliteSettings;
use crate::telemetry::LogFormat;
use crate::transport::ServerSettings;

/// What a node does when nobody wrote a `footfall.toml`: two tabs can chat.
pub const DEVELOPMENT: &str = include_str!("development.toml");

/// The file that is read if it is there and no other was named.
pub const DEFAULT_FILE: &str = "footfall.toml";

/// Whom a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// Whom the node is for.
    pub mode: Mode,
    /// The way in.
    pub server: ServerSettings,
    /// What one session may ask for, and how often it wants a sign of life.
    pub session: SessionSettings,
    /// Which tokens are good and what they say.
    pub auth: AuthSettings,
    /// How fast users may SEND.
    pub rate_limit: RateLimitSettings,
    /// Where messages are kept.
    pub store: StoreSettings,
    /// What the node says of itself, on standard error.
    pub log: LogSettings,
    /// What becomes of a connection whose SUBSCRIBE or SEND is refused, where its policy says nothing of it.
    pub refusals: Refusals,
    /// What destinations are and who may use them; the first entry whose pattern fits counts. Without one, nobody may.
    pub destinations: Vec<DestinationSettings>,
    /// Where SENDs to `/app/…` go and who may make them; the first entry whose pattern fits counts.
    pub applications: Vec<ApplicationSettings>,
}

/// Where messages are kept, and for how long what is remembered.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// The database file of a single node.
    pub sqlite: SqliteSettings,
    /// A SEND with an `idempotency-key` that was used within this time is a retry, whatever became of the message since.
    pub idempotency_window: HumanDuration,
    /// How often retention is applied; at least 1s.
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

/// What the node says of itself, on standard error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How a log line looks.
    pub format: LogFormat,
    /// Which events are logged, as in `info` or `info,footfall=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Settings {
    /// Reads `file`, or `footfall.toml` if that is there, or else what two tabs need to chat; variables win. What is found
    /// wrong later, [`Written`] finds again.
    pub fn read(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<(Self, Written), SettingsError> {
        let found = file.map(Path::to_owned).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
        let source = match found {
            Some(path) => Source::read(&path)?,
            None => Source::new("development settings", DEVELOPMENT),
        };
        load_source(source, environment)
    }
}
