//! Lengths of time as people write them in settings: `500ms`, `30s`, `5m`, `24h`, `30d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in the settings: a whole number and one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A length of time is a whole number and one of ms, s, m, h or d, such as 500ms, 30s or 24h.")]
pub struct BadDuration;

/// From the largest on, so that the first one that divides a duration shows it shortest.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl HumanDuration {
    pub const ZERO: Self = Self(Duration::ZERO);

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Whole milliseconds; a text never stands for more than fit.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for HumanDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let number = text.strip_suffix(unit).filter(|number| !number.is_empty()).ok_or(BadDuration)?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(BadDuration)?;
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*millis)).ok_or(BadDuration)?;
        Ok(Self::from_millis(millis))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        let (name, unit) = UNITS.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit)).unwrap_or(&("s", 1_000));
        write!(out, "{}{name}", millis / unit)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["500ms", "30s", "5m", "24h", "30d"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_lengths_of_time() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("30d", 2_592_000_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(HumanDuration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "30", "30 s", "-1s", "+1s", "1.5s", "1s30ms", "30S", "1w", "18446744073709551615s", "1µs", " 1s", "1s "] {
            assert_eq!(text.parse::<HumanDuration>(), Err(BadDuration), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for (millis, text) in [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (90_000, "90s"), (120_000, "2m"), (86_400_000, "1d")] {
            assert_eq!(HumanDuration::from_millis(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(HumanDuration::from_millis(millis)));
        }
    }

    #[test]
    fn settings_hold_it_as_text() {
        assert_eq!(serde_json::from_str::<HumanDuration>("\"30s\"").unwrap(), HumanDuration::from_secs(30));
        assert!(serde_json::from_str::<HumanDuration>("30").is_err());
        assert_eq!(serde_json::to_string(&HumanDuration::from_secs(30)).unwrap(), "\"30s\"");
    }
}
