//! As much of RFC 6455 as a load generator needs, by hand.
//!
//! Why not a WebSocket library: at fan-out the node and this program share the machine's cores, and each message the
//! node writes once is read here a thousand times over. A library copies, validates UTF-8 and wakes a task for each
//! message; here a chunk from the socket is walked by its frame lengths where it lies.

use anyhow::{Result, bail};

/// What the node sends is at most a message of 60 kB and its headers; more is a misread length.
const LONGEST: u64 = 1 << 20;

/// A frame from the node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Data(&'a [u8]),
    Close {
        code: u16,
        reason: &'a [u8],
    },
    /// A ping or a pong. STOMP has heart-beats of its own, so the node is not expected to send any.
    Control,
}

/// Cuts chunks of the stream into frames.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The frame that the last chunk ended in; empty most of the time, so that an idle connection holds nothing.
    partial: Vec<u8>,
}

impl Scanner {
    pub(crate) fn scan(&mut self, chunk: &[u8], mut found: impl FnMut(Frame<'_>) -> Result<()>) -> Result<()> {
        if self.partial.is_empty() {
            let used = whole_frames(chunk, &mut found)?;
            self.partial.extend_from_slice(&chunk[used..]);
            return Ok(());
        }
        self.partial.extend_from_slice(chunk);
        let used = whole_frames(&self.partial, &mut found)?;
        self.partial.drain(..used);
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        Ok(())
    }
}

/// Calls `found` for each complete frame; returns where the incomplete one begins.
fn whole_frames(bytes: &[u8], found: &mut impl FnMut(Frame<'_>) -> Result<()>) -> Result<usize> {
    let mut start = 0;
    while let Some((head, length)) = head(&bytes[start..])? {
        let Some(payload) = bytes.get(start + head..start + head + length) else { break };
        found(frame(bytes[start], payload)?)?;
        start += head + length;
    }
    Ok(start)
}

/// The lengths of a frame's head and of its payload, once the head is complete.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let [_, second, rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 != 0 {
        bail!("The node sent a masked frame, which RFC 6455 forbids.");
    }
    let (head, length) = match second {
        126 => match rest {
            [a, b, ..] => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        length => (2, u64::from(*length)),
    };
    match usize::try_from(length) {
        Ok(small) if length <= LONGEST => Ok(Some((head, small))),
        _ => bail!("The node sent a frame of {length} bytes."),
    }
}

fn frame(first: u8, payload: &[u8]) -> Result<Frame<'_>> {
    Ok(match first {
        0x81 | 0x82 => Frame::Data(payload),
        0x88 => match payload {
            [a, b, reason @ ..] => Frame::Close { code: u16::from_be_bytes([*a, *b]), reason },
            _ => Frame::Close { code: 1005, reason: &[] },
        },
        0x89 | 0x8a => Frame::Control,
        // A fragmented message would be counted as several or none, so it is better to stop.
        other => bail!("The node sent a WebSocket frame that begins with {other:#04x}, which is not understood here."),
    })
}

/// Adds a client's text frame. The mask is zero: RFC 6455 wants it unpredictable to protect proxies, of which there
/// are none here; the node unmasks all the same, so its cost is measured.
pub(crate) fn put_text_frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x81);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 + 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(0x80 + 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(u8::try_from(length).unwrap()),
            length @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_of_every_length_survive_any_cut() {
        let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 300, 70_000].map(|size| vec![b'x'; size]).into();
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| server_frame(0x81, payload)).collect();
        for size in [1, 2, 3, 7, 64, 1000, stream.len()] {
            let mut scanner = Scanner::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                let found = |frame: Frame<'_>| {
                    let Frame::Data(payload) = frame else { bail!("{frame:?}") };
                    seen.push(payload.to_vec());
                    Ok(())
                };
                scanner.scan(chunk, found).unwrap();
            }
            assert!(seen == payloads, "chunks of {size}");
            assert!(scanner.partial.is_empty());
        }
    }

    #[test]
    fn a_close_says_why() {
        let mut bytes = 1012_u16.to_be_bytes().to_vec();
        bytes.extend_from_slice(b"draining");
        let mut seen = false;
        let found = |frame: Frame<'_>| {
            assert_eq!(frame, Frame::Close { code: 1012, reason: b"draining" });
            seen = true;
            Ok(())
        };
        Scanner::default().scan(&server_frame(0x88, &bytes), found).unwrap();
        assert!(seen);
    }

    #[test]
    fn what_would_be_miscounted_is_refused() {
        for bytes in [&[0x01, 0][..], &[0x80, 0], &[0xc1, 0], &[0x81, 0x80, 0, 0, 0, 0], &[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(Scanner::default().scan(bytes, |_| Ok(())).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn client_frames_have_the_length_they_say() {
        for (size, head) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut out = Vec::new();
            put_text_frame(&mut out, &vec![b'y'; size]);
            assert_eq!(out.len(), head + size);
            assert_eq!(out[1] & 0x80, 0x80, "a client masks");
        }
    }
}
