//! Opening the database: waiting for a server that starts beside us, and bringing the schema up to date.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::connections::connect;
use super::error::failed;
use crate::store::error::in_full;
use crate::store::sql::{Applied, Change, judge, migrator, refusal};
use crate::store::{Schema, StoreError};

/// Every schema change, oldest first; the database remembers which it has. Nodes of the version before are at work while
/// one is made, and may start anew after it: the folder of the changes says what follows.
const MIGRATIONS: [Change; 2] = [
    Change { version: 1, name: "messages", beside: None, sql: include_str!("../migrations/postgres/0001_messages.sql") },
    Change { version: 2, name: "revocations", beside: Some(1), sql: include_str!("../migrations/postgres/0002_revocations.sql") },
];

const THE_DATABASE: &str = "the database";

/// How long a server may take to start, or another node to change the schema.
const READY_WITHIN: Duration = Duration::from_secs(30);
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
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
        let (place, why) = (place(options), why(&failure));
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

/// A failure as the end of a sentence that says where.
pub(super) fn why(failure: &StoreError) -> String {
    match failure {
        // Its sentence says so already.
        StoreError::Unusable(what) => what.clone(),
        StoreError::Unavailable(source) | StoreError::Late(source) => in_full(source.as_ref()),
        other => in_full(other),
    }
}

async fn attempt(options: &PgConnectOptions, session: &Arc<str>) -> Result<(), StoreError> {
    let late = |late| StoreError::Late(Box::new(late));
    let mut connection = timeout(CONNECT_WITHIN, connect(options, session)).await.unwrap_or_else(|elapsed| Err(late(elapsed)))?;
    let changed = timeout(CHANGED_WITHIN, change(&mut connection)).await;
    // Closing gives the lock back at once, also after a failure.
    drop(timeout(CONNECT_WITHIN, connection.close()).await);
    changed.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// One node at a time, by an advisory lock that sqlx takes; the next finds nothing left to do.
async fn change(connection: &mut PgConnection) -> Result<(), StoreError> {
    // Asked first, since even a table that is there can't be made by who may make none, or on a standby.
    match schema(connection).await? {
        Schema::Current { .. } => Ok(()),
        Schema::Newer { version } => {
            warn!(version, "the schema was made by a newer footfall, and is good for this one too");
            Ok(())
        }
        Schema::Absent | Schema::Older { .. } => {
            let done = migrator(&MIGRATIONS).run_direct(None, connection, false).await;
            done.map_err(|error| refusal(error, &MIGRATIONS, THE_DATABASE, failed))
        }
    }
}

/// [`StoreError::Unusable`] if this footfall can't work with it.
pub(super) async fn schema(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let row = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await;
    if !row.and_then(|row| row.try_get::<bool, _>(0)).map_err(failed)? {
        return Ok(Schema::Absent);
    }
    let rows = sqlx::query("SELECT version, description, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let applied = rows.iter().map(|row| Ok(Applied { version: row.try_get(0)?, description: row.try_get(1)?, checksum: row.try_get(2)? }));
    let applied = applied.collect::<Result<Vec<_>, sqlx::Error>>().map_err(failed)?;
    judge(&applied, &MIGRATIONS, THE_DATABASE)
}

/// For people: no user, no password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("database {database} on {}:{}", options.get_host(), options.get_port())
}
