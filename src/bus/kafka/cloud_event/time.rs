//! Times as RFC 3339 writes them, to the millisecond, as `ce_time` has them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The end of the year 9999, beyond which RFC 3339 has no years.
const LAST_MS: u64 = 253_402_300_799_999;

/// Milliseconds since 1970.
pub(in crate::bus::kafka) fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// `2026-11-21T12:07:34.123Z`. Times beyond the year 9999 are its end.
pub(in crate::bus::kafka) fn rfc3339(ms: u64) -> String {
    let nanos = i128::from(ms.min(LAST_MS)) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Milliseconds since 1970; none if it is no time, or an earlier one.
pub(super) fn parse(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond() {
        for (ms, text) in
            [(0, "1970-01-01T00:00:00.000Z"), (1_795_262_854_120, "2026-11-21T12:07:34.120Z"), (LAST_MS, "9999-12-31T23:59:59.999Z")]
        {
            assert_eq!(rfc3339(ms), text);
            assert_eq!(parse(text), Some(ms));
        }
        assert_eq!(rfc3339(u64::MAX), rfc3339(LAST_MS));
    }

    #[test]
    fn what_other_programs_write_can_be_read() {
        assert_eq!(parse("2026-11-21T13:07:34+01:00"), Some(1_795_262_854_000));
        assert_eq!(parse("2026-11-21T12:07:34.123456789Z"), Some(1_795_262_854_123));
        for text in ["", "2026-11-21", "1969-12-31T23:59:59Z", "yesterday", "2026-13-21T12:07:34Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
