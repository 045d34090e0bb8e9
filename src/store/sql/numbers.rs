//! SQL's integers are signed; nothing that footfall counts comes near the limit, but a record may say any time.

use std::time::Duration;

use crate::store::StoreError;

pub(in crate::store) fn signed(number: u64) -> Result<i64, StoreError> {
    number.try_into().map_err(|_| StoreError::Corrupt(format!("{number} is more than a sequence or an offset can be")))
}

pub(in crate::store) fn unsigned(number: i64) -> Result<u64, StoreError> {
    number.try_into().map_err(|_| StoreError::Corrupt(format!("{number} is no sequence, offset or time")))
}

/// When a message was sent; whatever a record of the log says, it must not stop those behind it.
pub(in crate::store) fn storable_time(timestamp_ms: u64) -> Result<i64, StoreError> {
    timestamp_ms.try_into().map_err(|_| StoreError::Rejected(format!("it says that it was sent {timestamp_ms} ms after 1970")))
}

/// A span of time, in whole milliseconds.
pub(in crate::store) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A bound for a comparison; beyond the limit there is nothing to compare with.
pub(in crate::store) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
