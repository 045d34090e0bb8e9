//! Heart-beats: what each side offers and what both agree on. When they are due is the business of [`super::Timers`].

use std::time::Duration;

use super::error::ProtocolError;
use super::settings::{SessionSettings, in_millis};

/// What both sides agreed on; none in a direction in which one of them can't or won't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeartBeats {
    /// The client is promised a byte at least this often.
    pub send: Option<Duration>,
    /// The client promised a byte at least this often.
    pub expect: Option<Duration>,
}

/// The client's `heart-beat` header: how often it can send, how often it wants to hear, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offer {
    pub(super) can: u32,
    pub(super) wants: u32,
}

impl Offer {
    /// Missing means 0,0. Spaces around the numbers are forgiven, since Spring's clients write them.
    /// A number above 32 bits is refused: nobody means a heart-beat of fifty days, and no timer has to bear it.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, ProtocolError> {
        let Some(header) = header else { return Ok(Self::default()) };
        let (can, wants) = header.split_once(',').ok_or(ProtocolError::BadHeartBeat)?;
        Ok(Self { can: number(can)?, wants: number(wants)? })
    }

    /// "… MAX(<cx>,<sy>)": the slower side decides, so a client that asks for a beat each millisecond gets the
    /// server's own interval.
    pub(super) fn agree(self, settings: &SessionSettings) -> HeartBeats {
        let slower = |one: u32, other: u32| (one != 0 && other != 0).then(|| Duration::from_millis(one.max(other).into()));
        let (can, wants) = (in_millis(settings.heart_beat_send), in_millis(settings.heart_beat_expect));
        HeartBeats { send: slower(can, self.wants), expect: slower(self.can, wants) }
    }
}

fn number(text: &str) -> Result<u32, ProtocolError> {
    let digits = text.trim_matches(' ');
    // `parse` would take a plus sign too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ProtocolError::BadHeartBeat);
    }
    digits.parse().map_err(|_| ProtocolError::BadHeartBeat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HumanDuration;

    #[test]
    fn the_slower_side_decides() {
        let settings = SessionSettings::default();
        let ms = |number| Some(Duration::from_millis(number));
        for (header, send, expect) in [
            (None, None, None),
            (Some("0,0"), None, None),
            (Some("1,1"), ms(10_000), ms(10_000)),
            (Some("10000,0"), None, ms(10_000)),
            (Some("0,20000"), ms(20_000), None),
            (Some("30000, 1000"), ms(10_000), ms(30_000)),
            (Some(" 4294967295 ,4294967295"), ms(4_294_967_295), ms(4_294_967_295)),
        ] {
            let agreed = Offer::parse(header).unwrap().agree(&settings);
            assert_eq!(agreed, HeartBeats { send, expect }, "{header:?}");
        }
    }

    #[test]
    fn what_is_no_pair_of_numbers_is_refused() {
        for header in
            ["", ",", "1", "1,", ",1", "-1,1", "+1,1", "a,b", "1,1,1", "1.5,1", "9223372036854775808,0", "4294967296,0", "1\t,1", "0x1,1"]
        {
            assert_eq!(Offer::parse(Some(header)), Err(ProtocolError::BadHeartBeat), "{header:?}");
        }
    }

    #[test]
    fn a_server_that_sends_none_agrees_to_none() {
        let settings =
            SessionSettings { heart_beat_send: HumanDuration::ZERO, heart_beat_expect: HumanDuration::ZERO, ..SessionSettings::default() };
        assert_eq!(Offer { can: 1, wants: 1 }.agree(&settings), HeartBeats::default());
    }
}
