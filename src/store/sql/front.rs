//! Which of a destination's oldest messages go now: from the front, so that what stays has no hole.

use super::numbers::bound;
use crate::store::Keep;

/// How much one transaction removes at most, so that no append waits long behind it.
pub(super) const FRONT_ROWS: usize = 1_000;
const FRONT_BYTES: i64 = 8 * 1024 * 1024;

/// The oldest messages of a destination, of which some may have to go.
#[derive(Debug)]
pub(in crate::store) struct Front {
    pub(in crate::store) destination: i64,
    pub(in crate::store) head: i64,
    pub(in crate::store) rows: Vec<FrontRow>,
    /// Whether there may be messages behind these.
    pub(in crate::store) more: bool,
}

#[derive(Debug)]
pub(in crate::store) struct FrontRow {
    pub(in crate::store) sequence: i64,
    pub(in crate::store) timestamp_ms: i64,
    pub(in crate::store) bytes: i64,
}

impl Front {
    /// The newest sequence that goes now, if any does, and whether to look again once it is gone.
    pub(in crate::store) fn cut(&self, keep: Keep) -> Option<(i64, bool)> {
        let goes = |row: &FrontRow| {
            keep.count.is_some_and(|count| row.sequence <= self.head.saturating_sub(bound(count)))
                || keep.not_before_ms.is_some_and(|not_before| row.timestamp_ms < bound(not_before))
        };
        let mut through = None;
        let mut bytes = 0;
        for row in &self.rows {
            if !goes(row) {
                return through.map(|through| (through, false));
            }
            if bytes >= FRONT_BYTES {
                return through.map(|through| (through, true));
            }
            bytes += row.bytes;
            through = Some(row.sequence);
        }
        through.map(|through| (through, self.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(rows: &[(i64, i64, i64)], more: bool) -> Front {
        let rows = rows.iter().map(|&(sequence, timestamp_ms, bytes)| FrontRow { sequence, timestamp_ms, bytes });
        Front { destination: 1, head: 14, rows: rows.collect(), more }
    }

    #[test]
    fn only_the_front_goes_and_leaves_no_hole() {
        let front = front(&[(11, 100, 1), (12, 300, 1), (13, 100, 1), (14, 400, 1)], false);
        let cut = |count, not_before_ms| front.cut(Keep { count, not_before_ms });
        assert_eq!(cut(None, None), None);
        assert_eq!(cut(Some(4), None), None);
        assert_eq!(cut(Some(3), None), Some((11, false)));
        assert_eq!(cut(None, Some(100)), None);
        assert_eq!(cut(None, Some(200)), Some((11, false)), "13 is too old, but 12 before it is not");
        assert_eq!(cut(None, Some(301)), Some((13, false)));
        assert_eq!(cut(Some(2), Some(200)), Some((13, false)), "12 is one too many, and then 13 is too old");
        assert_eq!(cut(Some(0), None), Some((14, false)));
        assert_eq!(cut(Some(u64::MAX), Some(u64::MAX)), Some((14, false)));
    }

    #[test]
    fn one_transaction_takes_only_so_much() {
        let all = Keep { count: Some(0), not_before_ms: None };
        assert_eq!(front(&[(1, 0, 1), (2, 0, 1)], true).cut(all), Some((2, true)));
        assert_eq!(front(&[(1, 0, FRONT_BYTES), (2, 0, 1)], false).cut(all), Some((1, true)), "one at least, whatever its size");
    }
}
