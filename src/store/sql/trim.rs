//! Retention of one destination, piece by piece, whichever server it is.

use std::future::Future;

use super::front::{FRONT_ROWS, Front};
use crate::store::{Keep, StoreError};

/// Removes what goes; answers how much went. `look` reads so many of the oldest rows, `remove` takes a destination's rows
/// up to a sequence.
pub(in crate::store) async fn trim<L, R>(keep: Keep, look: impl Fn(usize) -> L, remove: impl Fn(i64, i64) -> R) -> Result<u64, StoreError>
where
    L: Future<Output = Result<Option<Front>, StoreError>>,
    R: Future<Output = Result<u64, StoreError>>,
{
    let mut removed = 0;
    // In most rounds nothing goes from most destinations, and the oldest row says so.
    let mut rows = 1;
    while let Some(front) = look(rows).await? {
        let Some((through, more)) = front.cut(keep) else { break };
        if more && rows < FRONT_ROWS {
            rows = FRONT_ROWS;
            continue;
        }
        let now = remove(front.destination, through).await?;
        removed += now;
        // None: another node is at it, or was quicker.
        if !more || now == 0 {
            break;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::super::front::FrontRow;
    use super::*;

    /// A destination with so many messages; which numbers of rows were looked at, and what is left.
    async fn trimmed(messages: i64, keep: u64) -> (Vec<usize>, i64) {
        let (looks, first) = (RefCell::new(Vec::new()), Cell::new(1));
        let look = |rows: usize| {
            looks.borrow_mut().push(rows);
            let row = |sequence| FrontRow { sequence, timestamp_ms: 0, bytes: 1 };
            let found: Vec<_> = (first.get()..=messages).take(rows).map(row).collect();
            let more = found.len() == rows;
            let front = (!found.is_empty()).then_some(Front { destination: 7, head: messages, rows: found, more });
            std::future::ready(Ok(front))
        };
        let remove = |destination, through: i64| {
            assert_eq!(destination, 7);
            std::future::ready(Ok(u64::try_from(through + 1 - first.replace(through + 1)).unwrap()))
        };
        let removed = trim(Keep { count: Some(keep), not_before_ms: None }, look, remove).await.unwrap();
        assert_eq!(i64::try_from(removed).unwrap(), first.get() - 1);
        (looks.into_inner(), messages + 1 - first.get())
    }

    #[tokio::test]
    async fn where_nothing_goes_one_row_is_looked_at() {
        assert_eq!(trimmed(0, 10).await, (vec![1], 0));
        assert_eq!(trimmed(10, 10).await, (vec![1], 10));
        assert_eq!(trimmed(1, 10).await, (vec![1], 1));
    }

    #[tokio::test]
    async fn where_something_goes_all_of_it_does() {
        assert_eq!(trimmed(11, 10).await, (vec![1, FRONT_ROWS], 10));
        assert_eq!(trimmed(1, 0).await, (vec![1, FRONT_ROWS], 0));
        assert_eq!(trimmed(2_510, 10).await, (vec![1, FRONT_ROWS, FRONT_ROWS, FRONT_ROWS], 10));
    }
}
