//! What a message from the node is, told from its first and last bytes, without reading its headers.

use memchr::memmem;

use crate::clock::stamp_of;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A MESSAGE made by this run, with the time it carries.
    Delivery(u64),
    /// A RECEIPT with the number that was asked for.
    Receipt(u64),
    HeartBeat,
    /// An ERROR, as text.
    Refused(String),
    /// None of these; counting on would be guessing.
    Strange(String),
}

/// `body_size` is the size of every body in this run: that places the body at the end, wherever the headers stop.
pub(crate) fn hear(payload: &[u8], body_size: usize) -> Heard {
    delivery(payload, body_size).or_else(|| receipt(payload)).unwrap_or_else(|| rare(payload))
}

fn delivery(payload: &[u8], body_size: usize) -> Option<Heard> {
    let frame = payload.strip_prefix(b"MESSAGE\n")?.strip_suffix(b"\0")?;
    let (head, body) = frame.split_at_checked(frame.len().checked_sub(body_size)?)?;
    head.ends_with(b"\n\n").then(|| stamp_of(body).map(Heard::Delivery))?
}

fn receipt(payload: &[u8]) -> Option<Heard> {
    let frame = payload.strip_prefix(b"RECEIPT\n")?;
    let start = memmem::find(frame, b"receipt-id:")? + "receipt-id:".len();
    let digits = frame[start..].split(|byte| *byte == b'\n').next()?;
    Some(Heard::Receipt(str::from_utf8(digits).ok()?.parse().ok()?))
}

fn rare(payload: &[u8]) -> Heard {
    if payload.iter().all(|byte| matches!(byte, b'\n' | b'\r')) {
        return Heard::HeartBeat;
    }
    let text = String::from_utf8_lossy(payload);
    let text = text.trim_end_matches('\0').replace('\n', " | ");
    if payload.starts_with(b"ERROR\n") { Heard::Refused(text) } else { Heard::Strange(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::stamped_body;

    fn message(body: &[u8]) -> Vec<u8> {
        [b"MESSAGE\nsubscription:0\ndestination:/topic/bench.0\ncontent-length:100\n\n", body, b"\0"].concat()
    }

    #[test]
    fn deliveries_receipts_and_beats() {
        assert_eq!(hear(&message(&stamped_body(77, 100)), 100), Heard::Delivery(77));
        assert_eq!(hear(b"RECEIPT\nposition:1:2\nreceipt-id:41\n\n\0", 100), Heard::Receipt(41));
        assert_eq!(hear(b"\n", 100), Heard::HeartBeat);
    }

    #[test]
    fn an_error_is_told_in_one_line() {
        let heard = hear(b"ERROR\ncode:send-denied\nmessage:no\n\n\0", 100);
        assert!(matches!(&heard, Heard::Refused(text) if text.contains("code:send-denied | message:no")), "{heard:?}");
    }

    #[test]
    fn nothing_else_counts_as_a_delivery() {
        let two_frames = [message(&stamped_body(1, 100)), message(b"short")].concat();
        for payload in [message(&stamped_body(1, 99)), message(&[b'.'; 100]), two_frames, b"MESSAGE\n\0".to_vec()] {
            assert!(matches!(hear(&payload, 100), Heard::Strange(_)), "{payload:?}");
        }
    }
}
