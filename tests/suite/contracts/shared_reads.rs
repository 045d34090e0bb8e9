//! A store whose readers share is a store like others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use footfall::store::{SharedReads, SqliteSettings, SqliteStore, Store};
use tempfile::TempDir;

use super::store::{Home, store_contract};

struct SharedHome(TempDir);

impl Home for SharedHome {
    async fn open(&self) -> Arc<dyn Store> {
        let settings = SqliteSettings { path: self.0.path().join("footfall.db"), ..SqliteSettings::default() };
        Arc::new(SharedReads::new(Arc::new(SqliteStore::open(&settings).await.unwrap())))
    }
}

store_contract!(SharedHome(TempDir::new().unwrap()));
