//! What an operator may say about the SQLite store.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::HumanDuration;

/// Where kept messages live, and what the file may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteSettings {
    /// The database file. Its directory is made if need be; a lock file lies beside it.
    pub path: PathBuf,
    /// How many reads run at once; writes have a connection of their own.
    #[schemars(range(min = 1))]
    pub read_connections: u32,
    /// How long to wait for another program that holds the file, such as a backup; at most 4s count.
    pub busy_timeout: HumanDuration,
    /// The file grows to at most this many MiB; beyond it nothing is stored until retention makes room. No limit if left out.
    pub max_size_mib: Option<u32>,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self { path: "data/footfall.db".into(), read_connections: 4, busy_timeout: HumanDuration::from_secs(2), max_size_mib: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused_and_what_is_left_out_has_its_default() {
        assert!(toml::from_str::<SqliteSettings>("pfad = 'x'").is_err());
        let settings: SqliteSettings = toml::from_str("max_size_mib = 10").unwrap();
        assert_eq!(settings, SqliteSettings { max_size_mib: Some(10), ..SqliteSettings::default() });
    }
}
