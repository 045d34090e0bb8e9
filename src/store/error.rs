//! What is said of a failure: in full, and to each whom it hit.

use std::error::Error;

use super::StoreError;

/// The same failure for one more of those it hit.
pub(super) fn repeated(error: &StoreError) -> StoreError {
    match error {
        StoreError::Fenced => StoreError::Fenced,
        StoreError::Behind => StoreError::Behind,
        StoreError::Rejected(what) => StoreError::Rejected(what.clone()),
        StoreError::OtherLog(log) => StoreError::OtherLog(log.clone()),
        StoreError::Closed => StoreError::Closed,
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        StoreError::Unusable(what) => StoreError::Unusable(what.clone()),
        StoreError::Unavailable(source) => StoreError::Unavailable(in_full(source.as_ref()).into()),
        StoreError::Late(source) => StoreError::Late(in_full(source.as_ref()).into()),
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
