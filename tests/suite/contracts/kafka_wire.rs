//! One record in Kafka's own bytes, for what no client library would send.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Produces a record with these headers (API `Produce`, version 3), and panics if the broker refuses it.
pub(super) fn produce(broker: &str, topic: &str, partition: u32, key: &[u8], headers: &[(&[u8], &[u8])]) {
    let batch = batch(&record(key, headers));
    let mut request = Vec::new();
    for part in [0_i16, 3] {
        request.extend(part.to_be_bytes());
    }
    request.extend(7_i32.to_be_bytes());
    // No client id, and no transaction; all replicas, within 5 s.
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(5_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    request.extend(length(&batch));
    request.extend(batch);

    let mut broker = TcpStream::connect(broker).unwrap();
    broker.write_all(&length(&request)).unwrap();
    broker.write_all(&request).unwrap();
    // Length, correlation id, count of topics, topic, count of partitions, partition.
    let mut answer = vec![0; 4 + 4 + 4 + 2 + topic.len() + 4 + 4];
    broker.read_exact(&mut answer).unwrap();
    let mut error = [0; 2];
    broker.read_exact(&mut error).unwrap();
    assert_eq!(i16::from_be_bytes(error), 0, "the broker refused it");
}

fn length(bytes: &[u8]) -> [u8; 4] {
    i32::try_from(bytes.len()).unwrap().to_be_bytes()
}

/// Record batch, magic 2.
fn batch(record: &[u8]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes());
    checked.extend(0_i32.to_be_bytes());
    checked.extend(0_i64.to_be_bytes());
    checked.extend(0_i64.to_be_bytes());
    // No producer id, epoch or sequence.
    checked.extend((-1_i64).to_be_bytes());
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(1_i32.to_be_bytes());
    checked.extend(record);
    let mut batch = 0_i64.to_be_bytes().to_vec();
    batch.extend(i32::try_from(4 + 1 + 4 + checked.len()).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn record(key: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = vec![0];
    varint(&mut body, 0);
    varint(&mut body, 0);
    sized(&mut body, key);
    sized(&mut body, b"hello");
    varint(&mut body, headers.len());
    for (name, value) in headers {
        sized(&mut body, name);
        sized(&mut body, value);
    }
    let mut record = Vec::new();
    sized(&mut record, &body);
    record
}

fn sized(into: &mut Vec<u8>, bytes: &[u8]) {
    varint(into, bytes.len());
    into.extend(bytes);
}

/// Zigzag, seven bits a byte.
fn varint(into: &mut Vec<u8>, number: usize) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        into.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    into.push(u8::try_from(rest).unwrap());
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
