//! The headers of a SEND that are not the sender's to give to readers. One table.

/// Compared without regard to case: what differs in case only would be taken for the same by many a reader.
/// An own header of the client's that has one of these names is dropped, its MESSAGE lives on without it.
const RESERVED: [&str; 25] = [
    // Secrets, which Spring forwards to every subscriber.
    "authorization",
    "proxy-authorization",
    "cookie",
    "login",
    "passcode",
    // What STOMP itself says of a SEND or a MESSAGE.
    "destination",
    "content-type",
    "content-length",
    "receipt",
    "receipt-id",
    "transaction",
    "ack",
    "subscription",
    "message-id",
    // Who somebody is.
    "session",
    "user-name",
    // What footfall says of a message.
    "idempotency-key",
    "sender",
    "sender-session",
    "timestamp",
    "position",
    "recovered",
    "retained",
    "code",
    "message",
];

/// Whether a sender's header of this name is dropped.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}
