//! What decoding and encoding cost. The figures of one run are in the README.
#![allow(missing_docs, reason = "the macros of criterion make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use stomp_frames::{Decoder, Limits, RestWriter, Version, message_head};

/// A SEND as a browser's client sends it, 160 bytes in all.
fn send() -> Vec<u8> {
    let head = "SEND\ndestination:/topic/room.42\ncontent-type:application/json\nreceipt:message-17\ncontent-length:58\n\n";
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(159 - head.len() - 11));
    let frame = format!("{}{body}\0", head.replace("58", &body.len().to_string()));
    assert_eq!(frame.len(), 160);
    frame.into_bytes()
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits { frame: 128 * 1024, ..Limits::AFTER_CONNECT });
    decoder.set_version(Version::V1_2);
    decoder
}

/// Pushes the chunks, one after the other, into a decoder that lives as long as a connection.
fn decode(c: &mut Criterion, name: &str, frames: u64, chunks: &[Bytes]) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(frames));
    let mut decoder = decoder();
    group.bench_function(name, |b| {
        b.iter_batched_ref(
            || chunks.to_vec(),
            |chunks| {
                let mut items = 0;
                for chunk in chunks.drain(..) {
                    decoder.push(chunk);
                    while let Some(item) = decoder.next_item().unwrap() {
                        black_box(item);
                        items += 1;
                    }
                }
                assert_eq!(items, frames);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn decoding(c: &mut Criterion) {
    let small = send();
    let body = "x".repeat(65_536);
    let large = format!("SEND\ndestination:/topic/room.42\ncontent-length:65536\n\n{body}\0").into_bytes();
    let until_nul = format!("SEND\ndestination:/topic/room.42\n\n{body}\0").into_bytes();
    let cut = |bytes: &[u8], size| bytes.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    decode(c, "send of 160 bytes", 1, &cut(&small, 160));
    decode(c, "16 of them in one chunk", 16, &cut(&small.repeat(16), 16 * 160));
    decode(c, "one of them in 4 chunks", 1, &cut(&small, 40));
    decode(c, "one of them byte by byte", 1, &cut(&small, 1));
    decode(c, "counted body of 64 KiB", 1, &cut(&large, large.len()));
    decode(c, "body of 64 KiB up to its NUL", 1, &cut(&until_nul, until_nul.len()));
    decode(c, "counted body of 64 KiB in 8 KiB chunks", 1, &cut(&large, 8192));
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let body = "x".repeat(60);
    group.bench_function("shared rest of a message", |b| {
        b.iter(|| {
            let mut rest = RestWriter::new(Version::V1_2);
            rest.header("message-id", black_box("0198c0de-0000-7000-8000-000000000001"));
            rest.header("destination", black_box("/topic/room.42"));
            rest.header("content-type", black_box("application/json"));
            rest.header("sender", black_box("alice"));
            rest.header("timestamp", black_box("1765000000000"));
            rest.finish(black_box(body.as_bytes()))
        });
    });
    group.bench_function("one escaped header and nothing else", |b| {
        b.iter(|| {
            let mut rest = RestWriter::new(Version::V1_2);
            rest.header("destination", black_box("/topic/room:42"));
            rest.finish(b"")
        });
    });
    group.bench_function("message head", |b| b.iter(|| message_head(black_box("sub-7"), Version::V1_2)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = decoding, encoding
}
criterion_main!(benches);
