//! SQLite's errors in the words of the store: what may work later, and what never will.

use std::error::Error;

use crate::store::StoreError;

/// The primary result codes (<https://www.sqlite.org/rescode.html>) after which the same call may work later:
/// PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
const PASSING: [i32; 10] = [3, 5, 6, 7, 8, 9, 10, 13, 14, 15];

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolClosed => StoreError::Closed,
        sqlx::Error::Database(database) => {
            // An extended code holds the primary one in its low byte.
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
            if code.is_some_and(|code| PASSING.contains(&code)) {
                StoreError::Unavailable(Box::new(error))
            } else {
                StoreError::Corrupt(error.to_string())
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

/// The same failure for one more of those it hit.
pub(super) fn repeated(error: &StoreError) -> StoreError {
    match error {
        StoreError::Fenced => StoreError::Fenced,
        StoreError::Closed => StoreError::Closed,
        StoreError::Behind | StoreError::Rejected(_) | StoreError::OtherLog(_) => StoreError::Closed,
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        StoreError::Unusable(what) => StoreError::Unusable(what.clone()),
        StoreError::Unavailable(source) => StoreError::Unavailable(in_full(source.as_ref()).into()),
    }
}

/// An error with its causes, as one line.
pub(super) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors already say what their cause says.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// SQL's integers are signed; nothing that footfall counts comes near the limit.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    number.try_into().map_err(|_| StoreError::Corrupt(format!("{number} is more than a sequence or an offset can be")))
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    number.try_into().map_err(|_| StoreError::Corrupt(format!("{number} is no sequence, offset or time")))
}

/// A bound for a comparison; beyond the limit there is nothing to compare with.
pub(super) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
