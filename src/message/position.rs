//! Positions: where a message stands in its destination's sequence, and under which numbering.

use std::fmt;
use std::str::FromStr;

/// The random id of a numbering, one for all destinations of a partition; new when numbering was ever lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A new numbering.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// `epoch:sequence`. Sequences are 1, 2, 3 … without holes; a destination never written stands at `epoch:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub epoch: Epoch,
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.epoch, self.sequence)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A position is 16 hex digits, a colon and a number, as in the `position` header of a MESSAGE.")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (epoch, sequence) = text.split_once(':').ok_or(BadPosition)?;
        let digits = |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| digit(&byte));
        if epoch.len() != 16 || !digits(epoch, u8::is_ascii_hexdigit) || !digits(sequence, u8::is_ascii_digit) {
            return Err(BadPosition);
        }
        Ok(Self {
            epoch: Epoch(u64::from_str_radix(epoch, 16).map_err(|_| BadPosition)?),
            // SQL keeps sequences in signed 64 bits, so no position beyond that was ever given out.
            sequence: sequence.parse::<i64>().ok().and_then(|number| number.try_into().ok()).ok_or(BadPosition)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_wire() {
        let position = Position { epoch: Epoch(0xab), sequence: 42 };
        assert_eq!(position.to_string(), "00000000000000ab:42");
        assert_eq!(position.to_string().parse(), Ok(position));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            ":",
            "1:2",
            "00000000000000ab",
            "00000000000000ab:",
            "00000000000000ab:-1",
            "00000000000000ab:+1",
            "+0000000000000ab:1",
            "00000000000000ab:9223372036854775808",
            "00000000000000zz:1",
        ] {
            assert_eq!(text.parse::<Position>(), Err(BadPosition), "{text:?}");
        }
    }
}
