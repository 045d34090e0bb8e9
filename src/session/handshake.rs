//! CONNECT and CONNECTED: which version, which heart-beats, and who asks.

use bytes::Bytes;
use stomp_frames::{Command, Frame, FrameWriter, Version};

use super::error::ProtocolError;
use super::heart_beat::{HeartBeats, Offer};
use super::request::{Connect, any_case};
use super::settings::{SessionSettings, in_millis};
use crate::message::UserName;

/// What the two sides will do once somebody has accepted the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) version: Version,
    pub(super) heart_beats: HeartBeats,
}

/// Reads a CONNECT or STOMP frame, which mean the same. `host` is not asked for: the usual JavaScript client never
/// sends it, and there is but one host here.
pub(super) fn read(frame: &Frame, settings: &SessionSettings) -> Result<(Negotiated, Connect), ProtocolError> {
    if !matches!(frame.command, Command::Connect | Command::Stomp) {
        return Err(ProtocolError::NotConnected);
    }
    let version = highest_common(frame.header("accept-version"))?;
    let offer = Offer::parse(frame.header("heart-beat"))?;
    // STOMP 1.0 has no heart-beats. A client that offers several versions sends the header before it knows that it
    // will get 1.0, and then never beats, so nothing may be expected of it.
    let heart_beats = if version == Version::V1_0 { HeartBeats::default() } else { offer.agree(settings) };
    let connect = Connect { authorization: any_case(frame, "authorization"), passcode: any_case(frame, "passcode") };
    Ok((Negotiated { version, heart_beats }, connect))
}

/// A missing header means 1.0, the only version without it. Spaces between the versions are forgiven.
fn highest_common(accepted: Option<&str>) -> Result<Version, ProtocolError> {
    let Some(accepted) = accepted else { return Ok(Version::V1_0) };
    accepted.split(',').filter_map(|version| version.trim().parse().ok()).max().ok_or(ProtocolError::VersionUnsupported)
}

/// Answers CONNECT. The heart-beat is the server's own offer, as STOMP has it, not what was agreed.
pub(super) fn connected(version: Version, user: &UserName, session: &str, sender_session: &str, settings: &SessionSettings) -> Bytes {
    let mut writer = FrameWriter::new(Command::Connected, version);
    writer.header("version", version.as_str());
    let (send, expect) =
        if version == Version::V1_0 { (0, 0) } else { (in_millis(settings.heart_beat_send), in_millis(settings.heart_beat_expect)) };
    writer.header("heart-beat", &format!("{send},{expect}"));
    // Not escaped in any version: that a user name has no line breaks is checked by its type.
    writer.header("user-name", user.as_str());
    writer.header("server", &settings.server);
    writer.header("session", session);
    // By which a client knows its own messages. Spring has no such header, and clients pass over what they don't know.
    writer.header("sender-session", sender_session);
    writer.finish(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_chosen() {
        for (accepted, expected) in [
            (None, Ok(Version::V1_0)),
            (Some("1.2"), Ok(Version::V1_2)),
            (Some("1.0,1.1,1.2"), Ok(Version::V1_2)),
            (Some("1.2,1.0"), Ok(Version::V1_2)),
            (Some("1.0, 1.1"), Ok(Version::V1_1)),
            (Some("1.1,1.3,2.0"), Ok(Version::V1_1)),
            (Some("1.3"), Err(ProtocolError::VersionUnsupported)),
            (Some(""), Err(ProtocolError::VersionUnsupported)),
            (Some("12"), Err(ProtocolError::VersionUnsupported)),
        ] {
            assert_eq!(highest_common(accepted), expected, "{accepted:?}");
        }
    }

    #[test]
    fn no_user_name_can_inject_a_line() {
        assert!(UserName::new("bob\nrole:admin").is_err());
        let user = UserName::new("bob:role\\nadmin ü").unwrap();
        for version in Version::ALL {
            let frame = connected(version, &user, "s1", "l1", &SessionSettings::default());
            let text = std::str::from_utf8(&frame).unwrap();
            assert!(text.contains("\nuser-name:bob:role\\nadmin ü\n"), "{text}");
            assert_eq!(text.lines().count(), 9, "{text}");
        }
    }

    #[test]
    fn the_token_is_found_in_any_case_and_never_shown() {
        let frame = Frame::new(Command::Connect).with_header("authorization", "Bearer x").with_header("Authorization", "Bearer y");
        let (_, connect) = read(&frame, &SessionSettings::default()).unwrap();
        assert_eq!(connect.authorization.as_deref(), Some("Bearer x"));
        assert!(!format!("{connect:?}").contains("Bearer"));
    }
}
