//! Message ids: time-ordered for new messages, derived for those that may be sent again.

use uuid::Uuid;

use super::{Destination, UserName};

/// The namespace of ids that are derived from an idempotency key; part of the wire contract, never changed.
const KEYED: Uuid = Uuid::from_u128(0x5d0c_8a36_0f1e_4b7c_9a44_7c1b_8f0e_6d21);

/// The id of a message that nobody will send again (UUIDv7, RFC 9562 §5.7).
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The id of a message with an `idempotency-key`: the same for the same sender, destination and key
/// (UUIDv5, RFC 9562 §5.5), so that a retry through any node is recognised.
pub fn keyed_id(sender: &UserName, destination: &Destination, key: &str) -> Uuid {
    let (sender, destination) = (sender.as_str(), destination.as_str());
    // Lengths first: no choice of sender and destination can spell another pair.
    let name = format!("{}:{sender}{}:{destination}{key}", sender.len(), destination.len());
    Uuid::new_v5(&KEYED, name.as_bytes())
}

/// The namespace of ids of messages that a backend produced itself; part of the wire contract, never changed.
const FOREIGN: Uuid = Uuid::from_u128(0x8e1f_27b4_6c0a_4d53_b5d2_91e4_3a7f_c08d);

/// The id of a message that a backend produced: CloudEvents promises that source and id together name one event, so the
/// same event produced again is recognised (UUIDv5).
pub fn foreign_id(source: &str, destination: &Destination, id: &str) -> Uuid {
    let destination = destination.as_str();
    let name = format!("{}:{source}{}:{destination}{id}", source.len(), destination.len());
    Uuid::new_v5(&FOREIGN, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_id_depends_on_source_destination_and_id() {
        let id = |source: &str, destination: &str, id: &str| foreign_id(source, &Destination::parse(destination).unwrap(), id);
        let first = id("/billing", "/topic/a", "1");
        assert_eq!(first, id("/billing", "/topic/a", "1"));
        for other in [
            id("/billin", "/topic/a", "1"),
            id("/billing", "/topic/b", "1"),
            id("/billing", "/topic/a", "2"),
            id("/billing", "/topic/a1", ""),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(first, keyed_id(&UserName::new("/billing").unwrap(), &Destination::parse("/topic/a").unwrap(), "1"));
    }

    #[test]
    fn a_keyed_id_depends_on_sender_destination_and_key() {
        let id = |sender: &str, destination: &str, key: &str| {
            keyed_id(&UserName::new(sender).unwrap(), &Destination::parse(destination).unwrap(), key)
        };
        let first = id("alice", "/topic/a", "1");
        assert_eq!(first, id("alice", "/topic/a", "1"));
        for other in [id("bob", "/topic/a", "1"), id("alice", "/topic/b", "1"), id("alice", "/topic/a", "2"), id("alice", "/topic/a1", "")]
        {
            assert_ne!(first, other);
        }
    }
}
