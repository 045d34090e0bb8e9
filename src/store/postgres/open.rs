//! Opening the database: waiting for a server that starts beside us, and bringing the schema up to date.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
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
    let done = migrator(&MIGRATIONS).run_direct(None, connection, false).await;
    done.map_err(|error| refusal(error, &MIGRATIONS, "the database", failed))
}

/// For people: no user, no password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("database {database} on {}:{}", options.get_host(), options.get_port())
}
