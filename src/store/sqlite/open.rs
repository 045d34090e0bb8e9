//! Opening the file: its directory, its lock, how safe its writes are, its schema.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Row, SqliteConnection, SqlitePool};
use tracing::warn;

use super::SqliteSettings;
use super::error::failed;
use super::queue::DISK_WAIT;
use crate::store::error::in_full;
use crate::store::sql::{Applied, Change, judge, migrator, refusal};
use crate::store::{Schema, StoreError};

/// Every schema change, oldest first; a file remembers which it has.
const MIGRATIONS: [Change; 2] = [
    Change { version: 1, name: "messages", beside: None, sql: include_str!("../migrations/sqlite/0001_messages.sql") },
    Change { version: 2, name: "revocations", beside: Some(1), sql: include_str!("../migrations/sqlite/0002_revocations.sql") },
];

const THE_FILE: &str = "the file";

/// Longer waits would outlast the calls that wait.
const MAX_BUSY: Duration = Duration::from_secs(4);

/// The write-ahead log goes into the file after this many pages (16 MiB). At SQLite's default of 1,000 a busy writer
/// would stop for it every few transactions.
const CHECKPOINT_PAGES: &str = "4096";

const PAGES_PER_MIB: u32 = 256;

/// How far a read runs ahead of whoever reads: rows may be 64 KiB, and a page ends by its bytes.
const READ_AHEAD_ROWS: usize = 8;

/// Makes the directory and takes the lock: two writers in one directory would fence each other for ever.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let shown = path.display();
    let fail = |what: &str, error: &dyn std::error::Error| StoreError::Unusable(format!("{shown} {what}: {}", in_full(error)));
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| fail("has a directory that can't be made", &error))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(path.with_file_name(name));
    let file = file.map_err(|error| fail("has a lock file that can't be opened", &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unusable(format!(
            "another footfall process uses {shown}; stop it, or give this one another path (several nodes share a PostgreSQL database instead)"
        ))),
        Err(TryLockError::Error(error)) => Err(fail("can't be locked", &error)),
    }
}

/// How the writer connects.
pub(super) fn write_options(settings: &SqliteSettings) -> SqliteConnectOptions {
    let options = options(settings)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose receipted messages with the power (it waits for the disk only at checkpoints).
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
    match settings.max_size_mib {
        Some(mib) => options.pragma("max_page_count", mib.max(1).saturating_mul(PAGES_PER_MIB).to_string()),
        None => options,
    }
}

pub(super) fn options(settings: &SqliteSettings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .busy_timeout(settings.busy_timeout.0.min(MAX_BUSY))
        // Statements would be logged as they are, at length.
        .disable_statement_logging()
}

/// Connections that can only read; opened when they are first needed.
pub(super) fn readers(settings: &SqliteSettings) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(settings.read_connections.max(1))
        .acquire_timeout(DISK_WAIT)
        // There is no network that could have cut them.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options(settings).read_only(true).row_buffer_size(READ_AHEAD_ROWS))
}

pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    match schema(connection).await? {
        Schema::Current { .. } => Ok(()),
        Schema::Newer { version } => {
            warn!(version, "the schema was made by a newer footfall, and is good for this one too");
            Ok(())
        }
        Schema::Absent | Schema::Older { .. } => {
            let done = migrator(&MIGRATIONS).run_direct(None, connection, false).await;
            done.map_err(|error| refusal(error, &MIGRATIONS, THE_FILE, failed))
        }
    }
}

/// [`StoreError::Unusable`] if this footfall can't work with it.
pub(super) async fn schema(connection: &mut SqliteConnection) -> Result<Schema, StoreError> {
    let table = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations'").fetch_optional(&mut *connection).await;
    if table.map_err(failed)?.is_none() {
        return Ok(Schema::Absent);
    }
    let rows = sqlx::query("SELECT version, description, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let applied = rows.iter().map(|row| Ok(Applied { version: row.try_get(0)?, description: row.try_get(1)?, checksum: row.try_get(2)? }));
    let applied = applied.collect::<Result<Vec<_>, sqlx::Error>>().map_err(failed)?;
    judge(&applied, &MIGRATIONS, THE_FILE)
}

/// A failure in words for whoever starts the node.
pub(super) fn unusable(settings: &SqliteSettings, failure: StoreError) -> StoreError {
    match failure {
        StoreError::Unusable(what) => StoreError::Unusable(what),
        other => StoreError::Unusable(format!("{}: {}", settings.path.display(), in_full(&other))),
    }
}
