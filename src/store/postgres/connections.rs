//! A bounded number of connections, each either clean or closed. sqlx's own pool asks the server after every use whether
//! the connection is well, for as long as that takes; here one that failed, or was left in the middle, is closed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, raw_sql};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::error::{failed, is_the_servers};
use crate::store::StoreError;

/// One that lay unused longer is asked before it is used: the server may have been started again.
const ASK_AFTER: Duration = Duration::from_secs(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A server keeps what a connection once needed, and a name may by now stand for another server.
const MAX_AGE: Duration = Duration::from_mins(30);
const CLOSES_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Connections {
    options: PgConnectOptions,
    /// What each is told first.
    session: Arc<str>,
    count: u32,
    room: Semaphore,
    idle: Mutex<Vec<Idle>>,
    closing: CancellationToken,
}

// The options hold the password.
impl fmt::Debug for Connections {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connections").field("count", &self.count).field("room", &self.room.available_permits()).finish_non_exhaustive()
    }
}

struct Idle {
    connection: PgConnection,
    made: Instant,
    since: Instant,
}

/// A connection for one call. Dropped before [`Lease::settle`], its connection is closed: nobody knows what was under way.
pub(super) struct Lease<'a> {
    connections: &'a Connections,
    connection: PgConnection,
    made: Instant,
    _permit: SemaphorePermit<'a>,
}

/// Connects, with what each connection is told first.
pub(super) async fn connect(options: &PgConnectOptions, session: &Arc<str>) -> Result<PgConnection, StoreError> {
    let mut connection = options.connect().await.map_err(failed)?;
    raw_sql(AssertSqlSafe(Arc::clone(session))).execute(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

impl Connections {
    /// None is made before it is needed.
    pub(super) fn new(options: PgConnectOptions, session: Arc<str>, count: u32) -> Self {
        let room = Semaphore::new(count as usize);
        Self { options, session, count, room, idle: Mutex::default(), closing: CancellationToken::new() }
    }

    /// Waits for its turn, in the order of asking. Has no time limit of its own: whoever calls is bounded as a whole.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let permit = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(StoreError::Closed),
            permit = self.room.acquire() => permit.map_err(|_| StoreError::Closed)?,
        };
        let (connection, made) = match self.idle().await {
            Some(found) => found,
            None => (connect(&self.options, &self.session).await?, Instant::now()),
        };
        Ok(Lease { connections: self, connection, made, _permit: permit })
    }

    async fn idle(&self) -> Option<(PgConnection, Instant)> {
        loop {
            // The one used last, so that the others grow old and go.
            let Idle { mut connection, made, since } = self.idle.lock().pop()?;
            if made.elapsed() > MAX_AGE {
                continue;
            }
            if since.elapsed() < ASK_AFTER || matches!(timeout(ANSWERS_WITHIN, connection.ping()).await, Ok(Ok(()))) {
                return Some((connection, made));
            }
            self.forget();
        }
    }

    /// What is true of one connection to a server that went is true of all.
    fn forget(&self) {
        let dead = std::mem::take(&mut *self.idle.lock());
        drop(dead);
    }

    /// Lets calls that have a connection finish; those without are [`StoreError::Closed`].
    pub(super) async fn close(&self) {
        self.closing.cancel();
        // Fails only once it is closed, which it never is.
        let _all = self.room.acquire_many(self.count).await;
        let idle = std::mem::take(&mut *self.idle.lock());
        for Idle { connection, .. } in idle {
            // The server notices in any case.
            drop(timeout(CLOSES_WITHIN, connection.close()).await);
        }
    }
}

impl Lease<'_> {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// The end of a call: its connection can be used again unless it failed.
    pub(super) fn settle<A>(self, done: Result<A, StoreError>) -> Result<A, StoreError> {
        let Self { connections, connection, made, _permit } = self;
        match &done {
            // All but the first came as an answer or an error of a server that rolled back and is well.
            Ok(_)
            | Err(StoreError::Fenced | StoreError::Behind | StoreError::OtherLog(_) | StoreError::Rejected(_) | StoreError::Late(_)) => {
                connections.idle.lock().push(Idle { connection, made, since: Instant::now() });
            }
            Err(error) if is_the_servers(error) => connections.forget(),
            Err(_) => {}
        }
        done
    }
}
