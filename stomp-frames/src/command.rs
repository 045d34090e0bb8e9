//! Every command of every version, as one table.

use std::fmt;

use crate::version::Version;

/// A frame's first line. The variants are the words of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "a variant is its word on the wire; the table below says the rest")]
pub enum Command {
    Connect,
    Stomp,
    Connected,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Message,
    Receipt,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Never,
    Maybe,
}
use Body::{Maybe, Never};

struct Row {
    command: Command,
    name: &'static str,
    sent_by: Side,
    body: Body,
    since: Version,
    /// For 1.0, 1.1 and 1.2. Before a command's first version: what it required in that one.
    required: [&'static [&'static str]; 3],
}

const NONE: [&[&str]; 3] = [&[]; 3];
const ACCEPT_VERSION: [&[&str]; 3] = [&[], &["accept-version"], &["accept-version"]];
const TRANSACTION: [&[&str]; 3] = [&["transaction"]; 3];
const DELIVERY: &[&str] = &["message-id", "subscription"];

const fn row(
    command: Command,
    name: &'static str,
    sent_by: Side,
    body: Body,
    since: Version,
    required: [&'static [&'static str]; 3],
) -> Row {
    Row { command, name, sent_by, body, since, required }
}

/// In the order of the enum, since `Command::row` indexes it.
///
/// Two cells are not the specification's letter. CONNECT does not require `host`, because the usual JavaScript
/// client never sends it and a server without virtual hosts has no use for it. UNSUBSCRIBE in 1.0 needs `id` *or*
/// `destination`, which a list of required headers can't say.
#[rustfmt::skip]
const TABLE: [Row; 15] = [
    row(Command::Connect,     "CONNECT",     Client, Never, Version::V1_0, ACCEPT_VERSION),
    row(Command::Stomp,       "STOMP",       Client, Never, Version::V1_1, ACCEPT_VERSION),
    row(Command::Connected,   "CONNECTED",   Server, Never, Version::V1_0, [&[], &["version"], &["version"]]),
    row(Command::Send,        "SEND",        Client, Maybe, Version::V1_0, [&["destination"]; 3]),
    row(Command::Subscribe,   "SUBSCRIBE",   Client, Never, Version::V1_0,
        [&["destination"], &["destination", "id"], &["destination", "id"]]),
    row(Command::Unsubscribe, "UNSUBSCRIBE", Client, Never, Version::V1_0, [&[], &["id"], &["id"]]),
    row(Command::Ack,         "ACK",         Client, Never, Version::V1_0, [&["message-id"], DELIVERY, &["id"]]),
    row(Command::Nack,        "NACK",        Client, Never, Version::V1_1, [DELIVERY, DELIVERY, &["id"]]),
    row(Command::Begin,       "BEGIN",       Client, Never, Version::V1_0, TRANSACTION),
    row(Command::Commit,      "COMMIT",      Client, Never, Version::V1_0, TRANSACTION),
    row(Command::Abort,       "ABORT",       Client, Never, Version::V1_0, TRANSACTION),
    row(Command::Disconnect,  "DISCONNECT",  Client, Never, Version::V1_0, NONE),
    row(Command::Message,     "MESSAGE",     Server, Maybe, Version::V1_0,
        [&["destination", "message-id"],
         &["destination", "message-id", "subscription"],
         &["destination", "message-id", "subscription"]]),
    row(Command::Receipt,     "RECEIPT",     Server, Never, Version::V1_0, [&["receipt-id"]; 3]),
    row(Command::Error,       "ERROR",       Server, Maybe, Version::V1_0, NONE),
];

impl Command {
    /// Every command, in the order of the enum.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.command)
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The command with exactly this name. Names are case sensitive.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        TABLE.iter().find(|row| row.name.as_bytes() == name).map(|row| row.command)
    }

    /// A client sends it; everything else is sent by the server.
    pub fn is_client(self) -> bool {
        self.row().sent_by == Client
    }

    /// "Only the SEND, MESSAGE, and ERROR frames MAY have a body."
    pub fn may_have_body(self) -> bool {
        self.row().body == Maybe
    }

    /// The first version that has this command.
    pub const fn since(self) -> Version {
        self.row().since
    }

    /// Headers without which the frame means nothing in this version.
    pub const fn required_headers(self, version: Version) -> &'static [&'static str] {
        self.row().required[version.index()]
    }

    /// "The CONNECT and CONNECTED frames do not escape the carriage return, line feed or colon octets in order to
    /// remain backward compatible with STOMP 1.0"; and STOMP is handled "in the same manner as a CONNECT frame".
    pub const fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, command) in Command::all().enumerate() {
            assert_eq!(command as usize, index);
            assert_eq!(Command::from_bytes(command.as_str().as_bytes()), Some(command));
        }
    }

    #[test]
    fn names_are_case_sensitive_and_whole() {
        for name in ["send", "Send", "SEN", "SENDS", "SEND ", ""] {
            assert_eq!(Command::from_bytes(name.as_bytes()), None);
        }
    }

    #[test]
    fn what_a_command_requires_depends_on_the_version() {
        assert_eq!(Command::Ack.required_headers(Version::V1_0), ["message-id"]);
        assert_eq!(Command::Ack.required_headers(Version::V1_1), ["message-id", "subscription"]);
        assert_eq!(Command::Ack.required_headers(Version::V1_2), ["id"]);
        assert_eq!(Command::Nack.since(), Version::V1_1);
        assert!(!Command::Connect.required_headers(Version::V1_2).contains(&"host"));
    }
}
