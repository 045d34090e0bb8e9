//! SQLite's errors in the words of the store: what may work later, and what never will.

use crate::store::StoreError;

/// The primary result codes (<https://www.sqlite.org/rescode.html>) after which the same call may work later:
/// PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
const PASSING: [i32; 10] = [3, 5, 6, 7, 8, 9, 10, 13, 14, 15];

/// What was to be stored is to blame: TOOBIG, CONSTRAINT, MISMATCH, RANGE.
const REJECTED: [i32; 4] = [18, 19, 20, 25];

/// Extended codes of CONSTRAINT: PRIMARYKEY, UNIQUE. All keys but messages' ids, which were looked up, are footfall's own
/// counting, so no message is to blame.
const TWICE: [i32; 2] = [1555, 2067];

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolClosed => StoreError::Closed,
        sqlx::Error::Database(database) => {
            // An extended code holds the primary one in its low byte.
            match database.code().and_then(|code| code.parse::<i32>().ok()) {
                Some(code) if PASSING.contains(&(code & 0xff)) => StoreError::Unavailable(Box::new(error)),
                Some(code) if REJECTED.contains(&(code & 0xff)) && !TWICE.contains(&code) => StoreError::Rejected(error.to_string()),
                _ => StoreError::Corrupt(error.to_string()),
            }
        }
        sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::RowNotFound => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}
