//! How far a client is with its WebSocket message. tungstenite shows whole messages only, so the heads of frames
//! (RFC 6455 §5.2) are read once more as their bytes pass.

const MASKED: u8 = 0x80;
const FIN: u8 = 0x80;
/// Opcodes from here on are control frames, which may stand between the pieces of a message and are none.
const CONTROL: u8 = 0x8;

/// The pieces of the message under way.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    head: [u8; 14],
    /// So much of the head is there.
    have: usize,
    /// The frame's head is whole, and so many bytes of its payload are to come.
    payload: Option<u64>,
    count: usize,
    most: usize,
}

impl Pieces {
    /// Sees the next bytes, wherever they are cut.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            if let Some(left) = self.payload {
                let passed = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = &bytes[passed..];
                let left = left - passed as u64;
                self.payload = Some(left);
                if left > 0 {
                    return;
                }
                self.end_frame();
            }
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.head[self.have] = byte;
            self.have += 1;
            self.payload = payload(&self.head[..self.have]);
            if self.payload.is_some() && !self.is_control() {
                self.count += 1;
                self.most = self.most.max(self.count);
            }
        }
    }

    /// Whether a message or a frame was begun and is not there yet.
    pub(super) fn is_mid_message(&self) -> bool {
        self.have > 0 || self.count > 0
    }

    /// How many pieces the message with the most of them had.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn end_frame(&mut self) {
        if !self.is_control() && self.head[0] & FIN != 0 {
            self.count = 0;
        }
        (self.have, self.payload) = (0, None);
    }

    fn is_control(&self) -> bool {
        self.head[0] & 0x0F >= CONTROL
    }
}

/// The payload's length, once the head is whole.
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    let (length, bytes) = match second & !MASKED {
        126 => (u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(head.get(2..10)?.try_into().ok()?), 10),
        short => (short.into(), 2),
    };
    (head.len() == bytes + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with a payload of zeros.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=0xFFFF => bytes.extend([&[0xFE][..], &u16::try_from(length).unwrap().to_be_bytes()].concat()),
            _ => bytes.extend([&[0xFF][..], &(length as u64).to_be_bytes()].concat()),
        }
        bytes.extend(vec![0; 4 + length]);
        bytes
    }

    #[test]
    fn pieces_are_counted_wherever_their_bytes_are_cut() {
        let whole =
            [frame(0x81, 0), frame(0x01, 3), frame(0x89, 125), frame(0x00, 300), frame(0x00, 0), frame(0x80, 70_000), frame(0x82, 1)]
                .concat();
        for cut in [1, 2, 3, 7, 1000, whole.len()] {
            let mut pieces = Pieces::default();
            whole.chunks(cut).for_each(|bytes| pieces.pass(bytes));
            assert_eq!((pieces.most(), pieces.is_mid_message()), (4, false), "{cut}");
        }
    }

    #[test]
    fn every_byte_of_a_message_but_its_last_leaves_it_unfinished() {
        let whole = [frame(0x01, 1), frame(0x89, 2), frame(0x80, 200)].concat();
        let mut pieces = Pieces::default();
        for (index, byte) in whole.iter().enumerate() {
            pieces.pass(std::slice::from_ref(byte));
            assert_eq!(pieces.is_mid_message(), index + 1 < whole.len(), "{index}");
        }
    }

    #[test]
    fn no_length_is_too_large_to_pass() {
        let mut pieces = Pieces::default();
        pieces.pass(&[&[0x82, 0xFF], &u64::MAX.to_be_bytes()[..], &[0; 4], &[0; 5000]].concat());
        assert!(pieces.is_mid_message());
    }
}
