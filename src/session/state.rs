//! Where a session stands between its socket's first byte and its last.

use std::mem;

use stomp_frames::Text;

use super::connected::Connected;
use super::handshake::Negotiated;

/// ```text
///          CONNECT               accepted              DISCONNECT
///  Opened ---------> Connecting ---------> Connected -------------> Disconnecting
///    |  ask, choose      |   CONNECTED       |  |  ^                     |  nothing more is read;
///    |  the version      |                   |  `--' any other legal      |  what is open is answered
///    |                   |                   |       client frame         |
///    |                   |                   |                            |  the last outcome:
///    | E                 | E                 | E                          |  RECEIPT, close normally; or E
///    `-------------------+-------------------+----------------------------+----------------------------> Over
///
///  E: ERROR and close. A frame that has no arrow, bytes that are no frame, a refusal that is not told as a notice,
///     or an end from outside. After it nothing is written any more.
/// ```
#[derive(Debug, Default)]
pub(super) enum State {
    #[default]
    Opened,
    /// Somebody is asked whether this client may come in. Frames are not due before that is known.
    Connecting(Negotiated),
    Connected(Connected),
    /// With the receipt that DISCONNECT asked for.
    Disconnecting(Connected, Option<Text>),
    Over,
}

impl State {
    /// The session's inside, from CONNECTED to its end.
    pub(super) fn inside(&self) -> Option<&Connected> {
        match self {
            Self::Connected(inside) | Self::Disconnecting(inside, _) => Some(inside),
            Self::Opened | Self::Connecting(_) | Self::Over => None,
        }
    }

    pub(super) fn inside_mut(&mut self) -> Option<&mut Connected> {
        match self {
            Self::Connected(inside) | Self::Disconnecting(inside, _) => Some(inside),
            Self::Opened | Self::Connecting(_) | Self::Over => None,
        }
    }

    pub(super) fn disconnect(&mut self, receipt: Option<Text>) {
        *self = match mem::replace(self, Self::Over) {
            Self::Connected(inside) => Self::Disconnecting(inside, receipt),
            other => other,
        };
    }
}
