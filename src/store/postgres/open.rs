//! Opening the database: waiting for a server that starts beside us, and bringing the schema up to date.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::connections::connect;
use super::error::failed;
use crate::store::StoreError;
use crate::store::error::in_full;
use crate::store::sql::{Change, migrator, refusal};

/// Every schema change, oldest first; the database remembers which it has. Nodes of the version before are at work while
/// one is made: it may add, and take away only what no node of that version uses.
const MIGRATIONS: [Change; 1] = [(1, "messages", include_str!("../migrations/postgres/0001_messages.sql"))];

/// How long a server may take to start, or another node to change the schema.
const READY_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Changing a large table takes what it takes, but not for ever.
const CHANGED_WITHIN: Duration = Duration::from_mins(10);
/// Between attempts: the first, doubled up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Every failure is [`StoreError::Unusable`], with a sentence for whoever starts the node.
pub(super) async fn migrate(options: &PgConnectOptions, session: &Arc<str>) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut pause = RETRY.0;
    loop {
        let failure = match attempt(options, session).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let why = match &failure {
            // Its sentence says so already.
            StoreError::Unusable(what) => what.clone(),
            StoreError::Unavailable(source) => in_full(source.as_ref()),
            other => in_full(other),
        };
        let place = place(options);
        if !failure.is_retryable() {
            return Err(StoreError::Unusable(format!("{place}: {why}")));
        }
        if begun.elapsed() + pause > READY_WITHIN {
            return Err(StoreError::Unusable(format!("{place} was not ready within {} s: {why}", READY_WITHIN.as_secs())));
        }
        info!(%place, why, "the database is not ready yet, trying again");
        sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

async fn attempt(options: &PgConnectOptions, session: &Arc<str>) -> Result<(), StoreError> {
    let late = |late| StoreError::Unavailable(Box::new(late));
    let mut connection = timeout(CONNECT_WITHIN, connect(options, session)).await.unwrap_or_else(|elapsed| Err(late(elapsed)))?;
    let changed = timeout(CHANGED_WITHIN, change(&mut connection)).await;
    // Closing gives the lock back at once, also after a failure.
    drop(timeout(CONNECT_WITHIN, connection.close()).await);
    changed.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// One node at a time, by an advisory lock that sqlx takes; the next finds nothing left to do.
async fn change(connection: &mut PgConnection) -> Result<(), StoreError> {
    let migrator = migrator(&MIGRATIONS);
    // Asked first, since even a table that is there can't be made by who may make none, or on a standby.
    if is_up_to_date(connection, &migrator).await? {
        return Ok(());
    }
    let done = migrator.run_direct(None, connection, false).await;
    done.map_err(|error| refusal(error, &MIGRATIONS, "the database", failed))
}

async fn is_up_to_date(connection: &mut PgConnection, migrator: &Migrator) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT to_regclass($1) IS NOT NULL").bind(&*migrator.table_name).fetch_one(&mut *connection).await;
    if !row.and_then(|row| row.try_get::<bool, _>(0)).map_err(failed)? {
        return Ok(false);
    }
    let applied = sqlx::query("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version").fetch_all(connection).await;
    let applied = applied.map_err(failed)?;
    let same = |(row, migration): (&PgRow, &Migration)| -> Result<bool, sqlx::Error> {
        Ok(row.try_get::<i64, _>(0)? == migration.version && row.try_get::<&[u8], _>(1)? == &*migration.checksum)
    };
    let all_same = applied.iter().zip(migrator.iter()).map(same).try_fold(true, |all, one| one.map(|one| all && one));
    Ok(applied.len() == migrator.iter().count() && all_same.map_err(failed)?)
}

/// For people: no user, no password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("database {database} on {}:{}", options.get_host(), options.get_port())
}
