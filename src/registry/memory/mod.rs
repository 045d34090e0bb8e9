//! The registry of a single process: maps behind one lock, and a clock that a test can move.
//!
//! It begins empty, as a server that was started anew does: what was revoked it has to be told.

mod expiring;
mod logins;
mod news;
mod tokens;
mod who;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use self::logins::LoginTable;
use self::news::{Board, Reader};
use self::tokens::{RevocationTable, TokenTable};
use self::who::Who;
use super::{NewsReader, Registry, RegistryError, RegistryState};

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a registry in memory goes by.
#[derive(Clone)]
pub struct MemoryRegistrySettings {
    pub clock: Clock,
    /// How many news are kept for readers; one that is further behind is lost.
    pub news: usize,
}

impl Default for MemoryRegistrySettings {
    fn default() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self { clock: Arc::new(clock), news: 4096 }
    }
}

impl fmt::Debug for MemoryRegistrySettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MemoryRegistrySettings").field("news", &self.news).finish_non_exhaustive()
    }
}

/// What one process agrees on with itself.
#[derive(Debug)]
pub struct MemoryRegistry {
    settings: MemoryRegistrySettings,
    // A std-like lock: nothing is awaited while it is held.
    tables: Mutex<Tables>,
    board: Board,
}

#[derive(Debug)]
struct Tables {
    who: Who,
    tokens: TokenTable,
    revocations: RevocationTable,
    logins: LoginTable,
    closed: bool,
}

/// One step: the tables as they are now, and where to put what is to be told of it.
struct Step<'a> {
    tables: &'a mut Tables,
    board: &'a Board,
    now_ms: u64,
}

impl MemoryRegistry {
    pub fn new(settings: MemoryRegistrySettings) -> Self {
        let who = Who::new((settings.clock)());
        let (tokens, revocations, logins) = <(TokenTable, RevocationTable, LoginTable)>::default();
        let board = Board::new(settings.news);
        Self { settings, tables: Mutex::new(Tables { who, tokens, revocations, logins, closed: false }), board }
    }

    /// News are told while the lock is held, so they have the order of the changes.
    fn step<'a, T: Send + 'a>(&self, change: impl FnOnce(Step<'_>) -> Result<T, RegistryError>) -> BoxFuture<'a, Result<T, RegistryError>> {
        let mut tables = self.tables.lock();
        let changed = if tables.closed {
            Err(RegistryError::Closed)
        } else {
            change(Step { tables: &mut tables, board: &self.board, now_ms: (self.settings.clock)() })
        };
        ready(changed).boxed()
    }
}

impl Registry for MemoryRegistry {
    fn news(&self) -> Box<dyn NewsReader> {
        Box::new(Reader::new(self.board.clone()))
    }

    fn state(&self) -> RegistryState {
        RegistryState { available: !self.tables.lock().closed, pushed: true, evicting: false }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.tables.lock().closed = true;
        self.board.close();
        ready(()).boxed()
    }
}
