//! Any bytes, cut anywhere: no panic, bounded memory, and the cuts change nothing.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stomp_frames::{Decoder, Item, Limits, ParseError, Version};

/// Small, so that the fuzzer finds their edges.
const LIMITS: Limits = Limits { frame: 256, command: 12, header_count: 4, header_line: 40, head: 120 };

fn decode(version: Version, chunks: impl Iterator<Item = Bytes>) -> (Vec<Item>, Option<ParseError>) {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_version(version);
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_item() {
                Ok(Some(Item::HeartBeat)) if items.last() == Some(&Item::HeartBeat) => {}
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().chars().any(char::is_control));
                    return (items, Some(error));
                }
            }
        }
        assert!(decoder.buffered() <= LIMITS.frame);
    }
    (items, None)
}

fuzz_target!(|input: &[u8]| {
    let [choice, stream @ ..] = input else { return };
    let version = Version::ALL[usize::from(choice % 3)];
    let size = usize::from(choice / 3) + 1;
    let whole = decode(version, std::iter::once(Bytes::copy_from_slice(stream)));
    assert_eq!(decode(version, stream.chunks(size).map(Bytes::copy_from_slice)), whole);
});
