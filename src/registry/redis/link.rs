//! One connection for everything that is asked, made again when it is gone, and a bound on how long anyone waits for it.
//!
//! Not the library's own manager of connections: that one stays broken for good when Redis answers the first command on a
//! new connection with an error, as it does while it loads its data.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisResult, ScriptInvocation};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::circuit::Circuit;
use super::error::{Verdict, failed, silent, verdict};
use crate::registry::RegistryError;

/// All that one call takes, of the two seconds that the port allows.
const CALL: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_secs(1);

/// Questions on their way at once; beyond that they wait, at most as long as a call.
const AT_ONCE: usize = 1024;

pub(super) struct Link {
    client: Client,
    current: Mutex<Option<(u64, MultiplexedConnection)>>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<u64>,
    circuit: Mutex<Circuit>,
    closed: AtomicBool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Link").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}

/// Something that can be asked, and asked again.
pub(super) trait Ask: Sync {
    fn ask<T: FromRedisValue + Send>(&self, connection: &mut MultiplexedConnection) -> impl Future<Output = RedisResult<T>> + Send;
}

impl Ask for Cmd {
    fn ask<T: FromRedisValue + Send>(&self, connection: &mut MultiplexedConnection) -> impl Future<Output = RedisResult<T>> + Send {
        self.query_async(connection)
    }
}

impl Ask for Pipeline {
    fn ask<T: FromRedisValue + Send>(&self, connection: &mut MultiplexedConnection) -> impl Future<Output = RedisResult<T>> + Send {
        self.query_async(connection)
    }
}

impl Ask for ScriptInvocation<'_> {
    fn ask<T: FromRedisValue + Send>(&self, connection: &mut MultiplexedConnection) -> impl Future<Output = RedisResult<T>> + Send {
        self.invoke_async(connection)
    }
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            circuit: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn is_available(&self) -> bool {
        !self.is_closed() && self.circuit.lock().is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        *self.current.lock() = None;
    }

    /// Asks, once more on a new connection if the one there was had been closed meanwhile: everything that is asked here may
    /// be asked twice.
    pub(super) async fn call<T: FromRedisValue + Send>(&self, question: &impl Ask) -> Result<T, RegistryError> {
        if self.is_closed() {
            return Err(RegistryError::Closed);
        }
        let start = Instant::now();
        if !self.circuit.lock().may_ask(start, CALL) {
            return Err(RegistryError::Unavailable("Redis did not answer just now".into()));
        }
        let deadline = start + CALL;
        let answer = match self.ask(question, deadline).await {
            Err(error) if error.is_connection_dropped() && Instant::now() < deadline => self.ask(question, deadline).await,
            answer => answer,
        };
        match answer.as_ref().map_err(verdict) {
            Err(Verdict::Gone) => {
                if self.circuit.lock().failed(Instant::now()) {
                    warn!(error = answer.as_ref().err().map(tracing::field::display), "Redis does not answer");
                }
            }
            Ok(_) | Err(Verdict::Answered | Verdict::AskAnother) => {
                if self.circuit.lock().answered() {
                    info!("Redis answers again");
                }
            }
        }
        answer.map_err(failed)
    }

    /// For what takes several calls: all of them together end in the time that one has.
    pub(super) async fn several<T>(&self, calls: impl Future<Output = Result<T, RegistryError>> + Send) -> Result<T, RegistryError> {
        timeout(CALL, calls).await.unwrap_or_else(|_| Err(failed(silent())))
    }

    async fn ask<T: FromRedisValue + Send>(&self, question: &impl Ask, deadline: Instant) -> RedisResult<T> {
        let (number, mut connection) = timeout_at(deadline, self.connection()).await.unwrap_or_else(|_| Err(silent()))?;
        let answer = timeout_at(deadline, question.ask(&mut connection)).await.unwrap_or_else(|_| Err(silent()));
        // One on which nothing came back may be cut somewhere on the way; only a new one finds out.
        if answer.as_ref().is_err_and(|error| verdict(error) != Verdict::Answered) {
            self.give_up(number);
        }
        answer
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        if let Some(there) = self.current.lock().clone() {
            return Ok(there);
        }
        let mut last = self.connecting.lock().await;
        // Whoever held it may have connected.
        if let Some(there) = self.current.lock().clone() {
            return Ok(there);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CALL))
            .set_concurrency_limit(AT_ONCE);
        let connection = timeout(CONNECT, self.client.get_multiplexed_async_connection_with_config(&config));
        let connection = connection.await.unwrap_or_else(|_| Err(silent()))?;
        *last += 1;
        let connection = (*last, connection);
        if !self.is_closed() {
            *self.current.lock() = Some(connection.clone());
        }
        Ok(connection)
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(there, _)| *there == number) {
            *current = None;
        }
    }
}
