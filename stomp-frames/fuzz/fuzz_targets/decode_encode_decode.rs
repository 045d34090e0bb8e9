//! What was read can be written, and reads back as the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stomp_frames::{Decoder, Frame, Item, Limits, Version, encode};

fn frames(version: Version, stream: Bytes) -> Vec<Frame> {
    let mut decoder = Decoder::new(Limits { frame: usize::MAX, head: usize::MAX, header_line: usize::MAX, ..Limits::AFTER_CONNECT });
    decoder.set_version(version);
    decoder.push(stream);
    let mut frames = Vec::new();
    while let Ok(Some(item)) = decoder.next_item() {
        if let Item::Frame(frame) = item {
            frames.push(frame);
        }
    }
    frames
}

/// Without the header that the encoder writes anew, at the end.
fn said(frame: &Frame) -> Frame {
    let headers = frame.headers.iter().filter(|(name, _)| *name != "content-length");
    Frame { headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(), ..frame.clone() }
}

fuzz_target!(|input: &[u8]| {
    let [choice, stream @ ..] = input else { return };
    let version = Version::ALL[usize::from(choice % 3)];
    for frame in frames(version, Bytes::copy_from_slice(stream)) {
        // One line more than was read: the encoder counts every body.
        if frame.headers.len() >= Limits::AFTER_CONNECT.header_count {
            continue;
        }
        let again = frames(version, encode(&frame, version));
        assert_eq!(again.len(), 1);
        assert_eq!(said(&again[0]), said(&frame));
    }
});
