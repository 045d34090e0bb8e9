//! Removal of what lapsed, piece by piece, whichever server it is.

use std::future::Future;

use super::numbers::bound;
use crate::store::StoreError;

/// Removes until nothing is left that goes; answers how much went. One call of `remove` takes at most so many.
pub(in crate::store) async fn forget<R>(at_most: i64, remove: impl Fn(i64) -> R) -> Result<u64, StoreError>
where
    R: Future<Output = Result<u64, StoreError>>,
{
    let mut forgotten = 0;
    loop {
        let now = remove(at_most).await?;
        forgotten += now;
        if bound(now) < at_most {
            return Ok(forgotten);
        }
    }
}
