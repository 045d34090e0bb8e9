//! The three versions of the protocol.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A version of STOMP. Later versions compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, no NACK, no heart-beats.
    V1_0,
    /// STOMP 1.1: escapes for LF, colon and backslash, NACK, heart-beats.
    V1_1,
    /// STOMP 1.2: an escape for CR too, CRLF as line end, ACK by `id`.
    V1_2,
}

impl Version {
    /// Every version, oldest first, so that `ALL[version.index()] == version`.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// As it stands in `accept-version` and `version`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// A place in an array with one slot for each version.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of `1.0`, `1.1` and `1.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("This is not a version of STOMP that is known here; known are 1.0, 1.1 and 1.2.")]
pub struct UnknownVersion;

impl FromStr for Version {
    type Err = UnknownVersion;

    /// Nothing is trimmed: who splits `accept-version` decides about spaces.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_index_lead_back_to_the_version() {
        for version in Version::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(Version::ALL[version.index()], version);
        }
        assert_eq!(" 1.2".parse::<Version>(), Err(UnknownVersion));
        assert!(Version::V1_0 < Version::V1_1 && Version::V1_1 < Version::V1_2);
    }
}
