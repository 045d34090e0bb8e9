//! All settings of a node, put together from those of its parts.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::load_source;
use super::problem::Source;
use super::{SettingsError, Written};
use crate::auth::AuthSettings;
use crate::bus::KafkaSettings;
use crate::channel::RateLimitSettings;
use crate::message::HumanDuration;
use crate::metrics::MetricsSettings;
use crate::policy::{ApplicationSettings, DestinationSettings, Refusals};
use crate::registry::RedisSettings;
use crate::session::SessionSettings;
use crate::store::{PostgresSettings, SqliteSettings};
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
    /// Which node of the cluster this is.
    pub node: NodeSettings,
    /// What carries messages between nodes.
    pub bus: BusSettings,
    /// Where messages are kept.
    pub store: StoreSettings,
    /// Where nodes agree on who is connected and whose tokens count.
    pub registry: RegistrySettings,
    /// What the node counts of itself, for Prometheus.
    pub metrics: MetricsSettings,
    /// What the node says of itself, on standard error.
    pub log: LogSettings,
    /// What becomes of a connection whose SUBSCRIBE or SEND is refused, where its policy says nothing of it.
    pub refusals: Refusals,
    /// What destinations are and who may use them; the first entry whose pattern fits counts. Without one, nobody may.
    pub destinations: Vec<DestinationSettings>,
    /// Where SENDs to `/app/…` go and who may make them; the first entry whose pattern fits counts.
    pub applications: Vec<ApplicationSettings>,
}

/// Which node of the cluster this is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    /// Its name, for people and for Kafka's tools: letters, digits and `-._`, at most 64, each node its own. Without one it
    /// is the host's name with four random hex digits, new at each start.
    pub id: Option<String>,
    /// Where clients or a director reach this node, as `host:port` or a URL; without it, the address it listens on.
    pub address: Option<String>,
}

impl NodeSettings {
    pub const MAX_ID: usize = 64;

    /// The name that was set, or one for this start.
    pub fn name(&self) -> String {
        if let Some(id) = &self.id {
            return id.clone();
        }
        let host = gethostname::gethostname();
        let mut host: String = host.to_string_lossy().chars().map(|letter| if is_of_name(letter) { letter } else { '-' }).collect();
        host.truncate(Self::MAX_ID - 5);
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("{host}-{}", &random[..4])
    }

    pub(super) fn is_good(&self) -> bool {
        self.id.as_ref().is_none_or(|id| !id.is_empty() && id.len() <= Self::MAX_ID && id.chars().all(is_of_name))
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._".contains(letter)
}

/// What carries messages between nodes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// One process, or a cluster.
    pub kind: BusKind,
    /// How a cluster's nodes reach Kafka; for `kind = "kafka"`.
    pub kafka: KafkaSettings,
}

/// Which bus it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// This process alone; nothing is lost with it.
    #[default]
    Memory,
    /// As many nodes as there are; the store is PostgreSQL.
    Kafka,
}

/// Which store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A file of this node; for one process.
    #[default]
    Sqlite,
    /// A server that all nodes share.
    Postgres,
}

/// Where messages are kept, and for how long what is remembered.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// A file, or a server that all nodes share.
    pub kind: StoreKind,
    /// The server of a cluster; for `kind = "postgres"`.
    pub postgres: PostgresSettings,
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
            kind: StoreKind::default(),
            postgres: PostgresSettings::default(),
            sqlite: SqliteSettings::default(),
            idempotency_window: HumanDuration::from_secs(24 * 3600),
            retention_interval: HumanDuration::from_secs(60),
        }
    }
}

/// Which registry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryKind {
    /// This process alone. What was revoked is kept by the store all the same.
    #[default]
    Memory,
    /// A server that all nodes share.
    Redis,
}

/// Where nodes agree on who is connected and whose tokens count.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrySettings {
    /// One process, or a server that all nodes share.
    pub kind: RegistryKind,
    /// The server of a cluster; for `kind = "redis"`.
    pub redis: RedisSettings,
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
