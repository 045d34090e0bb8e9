//! The one clock of a run. A SEND carries its time in the body and is read back in this same process, so the two ends
//! need no synchronised clocks.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// `t:`, 16 hex digits, a space.
pub(crate) const SMALLEST_BODY: usize = 19;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now(self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// The moment that is this many nanoseconds after the run began.
    pub(crate) fn instant(self, nanos: u64) -> Instant {
        self.start + Duration::from_nanos(nanos)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A body of this size that says when its message was sent, or was due to be sent.
pub(crate) fn stamped_body(time: u64, size: usize) -> Vec<u8> {
    let mut body = format!("t:{time:016x} ").into_bytes();
    body.resize(size.max(SMALLEST_BODY), b'.');
    body
}

/// The time in a body made by `stamped_body`.
pub(crate) fn stamp_of(body: &[u8]) -> Option<u64> {
    let digits = body.strip_prefix(b"t:")?.get(..16)?;
    // `from_str_radix` would take a sign.
    digits.iter().all(u8::is_ascii_hexdigit).then(|| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())?
}

/// For clap: a body size that has room for the stamp.
pub(crate) fn body_size(text: &str) -> Result<usize> {
    let size: usize = text.parse()?;
    if !(SMALLEST_BODY..=60_000).contains(&size) {
        bail!("A body has {SMALLEST_BODY} to 60000 bytes: it must hold a timestamp, and its frame must pass the node's limit.");
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_a_body_of_any_size() {
        for size in [SMALLEST_BODY, 100, 1000] {
            let body = stamped_body(u64::MAX - 7, size);
            assert_eq!(body.len(), size);
            assert_eq!(stamp_of(&body), Some(u64::MAX - 7));
        }
    }

    #[test]
    fn other_bodies_have_no_stamp() {
        for body in ["", "t:", "t:00000000000000", "x:0000000000000001 ", "t:+000000000000001 ", "t:00000000000000zz "] {
            assert_eq!(stamp_of(body.as_bytes()), None, "{body:?}");
        }
    }

    #[test]
    fn a_body_too_small_for_a_stamp_is_refused() {
        assert!(body_size("18").is_err());
        assert_eq!(body_size("19").unwrap(), 19);
    }
}
