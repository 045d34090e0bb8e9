//! The stable codes of refusals and errors, and the WebSocket close codes that follow them. One table.

use std::fmt;

/// Whether a client should come back after its socket was closed (RFC 6455 §7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The session ended as the client asked.
    Normal,
    /// The client broke the protocol.
    Protocol,
    /// Coming back with the same token or wish would end the same way.
    DoNotComeBack,
    /// Coming back, here or on another node, is right.
    Reconnect,
    /// Nothing but silence before CONNECT (Spring's code for it).
    Silent,
}

impl Close {
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::DoNotComeBack => 1008,
            Self::Reconnect => 1012,
            Self::Silent => 4500,
        }
    }

    /// What the close frame says; the ERROR before it says it better.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::Protocol => "protocol error",
            Self::DoNotComeBack => "refused",
            Self::Reconnect => "reconnect",
            Self::Silent => "no CONNECT",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $close:ident $sentence:literal;)*) => {
        /// Why something failed, as clients see it in the `code` header of ERROR.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $sentence] $variant,)* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What a frontend developer can do about it.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }

            /// How the socket is closed after an ERROR with this code.
            pub fn close(self) -> Close {
                match self { $(Self::$variant => Close::$close,)* }
            }
        }
    };
}

codes! {
    // Bytes that are no frame.
    MalformedFrame "malformed-frame" Protocol "The frame does not follow the STOMP grammar.";
    UnknownCommand "unknown-command" Protocol "STOMP has no such command.";
    CommandTooLong "command-too-long" Protocol "The command is longer than any that STOMP has.";
    BadEscape "bad-escape" Protocol "A header holds an escape that this STOMP version does not define.";
    NotUtf8 "not-utf8" Protocol "The head of a frame must be UTF-8.";
    BadContentLength "bad-content-length" Protocol "content-length must be the body's length in bytes, as decimal digits.";
    UnexpectedBody "unexpected-body" Protocol "Only SEND may have a body.";
    FrameTooLarge "frame-too-large" Protocol "The frame is larger than this broker accepts.";
    HeadTooLarge "head-too-large" Protocol "The head of the frame is larger than this broker accepts.";
    HeaderTooLong "header-too-long" Protocol "A header line is longer than this broker accepts.";
    TooManyHeaders "too-many-headers" Protocol "The frame has more headers than this broker accepts.";
    MessageTooLarge "message-too-large" Protocol "A WebSocket message is larger, or comes in more pieces, than this broker accepts.";
    FrameTimeout "frame-timeout" Protocol "A frame was begun and not finished in time.";
    // Frames that are not due.
    NotConnected "not-connected" Protocol "CONNECT must be the first frame.";
    AlreadyConnected "already-connected" Protocol "This session is connected already; CONNECT comes once.";
    ConnectTimeout "connect-timeout" Silent "No CONNECT came in time.";
    VersionUnsupported "version-unsupported" Protocol "This broker speaks STOMP 1.0, 1.1 and 1.2.";
    BadHeartBeat "bad-heart-beat" Protocol "heart-beat must be two numbers of milliseconds, as in 10000,10000.";
    UnexpectedCommand "unexpected-command" Protocol "Only a server sends this command.";
    MissingHeader "missing-header" Protocol "The frame lacks a header that its command requires.";
    BadHeader "bad-header" Protocol "A header has a value that its command does not allow.";
    TransactionsUnsupported "transactions-unsupported" Protocol "This broker has no transactions yet; SEND outside of one.";
    DuplicateSubscription "duplicate-subscription" Protocol "This subscription id is in use for another destination.";
    TooManySubscriptions "too-many-subscriptions" Protocol "The session has as many subscriptions as it may have.";
    UnknownAck "unknown-ack" Protocol "This session was never given a message with that ack id.";
    HeartBeatLost "heart-beat-lost" Reconnect "Nothing came for longer than the agreed heart-beats allow.";
    // Who.
    TokenMissing "token-missing" DoNotComeBack "CONNECT needs a JWT, for instance in the header Authorization: Bearer …";
    TokenInvalid "token-invalid" DoNotComeBack "The JWT is not one that this broker accepts.";
    TokenExpired "token-expired" DoNotComeBack "The JWT has expired; get a new one and connect again.";
    TokenRevoked "token-revoked" DoNotComeBack "The JWT no longer counts: it was revoked, or is not registered; log in again.";
    SessionReplaced "session-replaced" DoNotComeBack "The user connected once more than is allowed, and this was the oldest session.";
    SessionEnded "session-ended" DoNotComeBack "This session was ended by the user or an administrator; log in again.";
    RegistryUnavailable "registry-unavailable" Reconnect "The broker can't check now whether the JWT still counts. Try again.";
    OriginDenied "origin-denied" DoNotComeBack "Pages of this origin may not connect.";
    // What.
    BadDestination "bad-destination" DoNotComeBack "This is not a destination of this broker.";
    UnknownDestination "unknown-destination" DoNotComeBack "No policy covers this destination, so nobody may use it.";
    SubscribeDenied "subscribe-denied" DoNotComeBack "You may not subscribe to this destination.";
    SendDenied "send-denied" DoNotComeBack "You may not send to this destination.";
    PatternDenied "pattern-denied" DoNotComeBack "Wildcard subscriptions are not allowed here.";
    PatternWithoutHistory "pattern-without-history" DoNotComeBack "A wildcard subscription can have neither history nor after.";
    NoHistory "no-history" DoNotComeBack "Messages of this destination are not stored, so it has neither history nor after.";
    RateLimited "rate-limited" Reconnect "Too many messages in a short time; slow down.";
    // What the broker could not do.
    PositionLost "position-lost" Reconnect "The messages after this position are gone; subscribe anew and load the history.";
    HistoryLost "history-lost" Reconnect "Messages that this subscription was owed are gone; subscribe anew and load the history.";
    BusUnavailable "bus-unavailable" Reconnect "The broker can't take messages now; this one was not taken. Try again.";
    NotAccepted "not-accepted" Reconnect "The message was not accepted and will not be stored; sent again it would not be either.";
    StoreUnavailable "store-unavailable" Reconnect "The broker can't read its store now. Try again.";
    Unknown "unknown" Reconnect "It is not known whether the message was taken; send it again with the same idempotency-key.";
    SlowConsumer "slow-consumer" Reconnect "The client reads more slowly than its messages come.";
    Draining "draining" Reconnect "This node is about to stop; another one takes over.";
    Internal "internal-error" Reconnect "The broker failed to process the frame; its log says more.";
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_one_kebab_case_word_and_its_own() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(texts.iter().all(|text| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')));
    }
}
