//! Which partition a key belongs to: murmur2 as Kafka's Java client computes it (librdkafka: `murmur2_random`), so
//! that a record from any producer lands where all others of its destination are.

/// The partition of a key among `partitions` (at least one).
pub(super) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    // Java's `Utils.toPositive`: the sign bit is dropped, not the sign.
    (murmur2(key) & 0x7fff_ffff) % partitions
}

// Kafka's `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    const SEED: u32 = 0x9747_b28c;
    // Java's lengths are 32 bits, and the hash is over that number.
    #[expect(clippy::cast_possible_truncation, reason = "as in Java, whose arrays have 32-bit lengths")]
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vectors of Kafka's own UtilsTest.testMurmur2.
    #[test]
    fn as_java_hashes() {
        #[expect(clippy::cast_sign_loss, reason = "Java prints its hashes signed")]
        for (key, expected) in [
            ("21", -973_932_308_i32 as u32),
            ("foobar", -790_332_482_i32 as u32),
            ("a-little-bit-long-string", -985_981_536_i32 as u32),
            ("a-little-bit-longer-string", -1_486_304_829_i32 as u32),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971_i32 as u32),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_partition_is_one_of_those_there_are() {
        for number in 0..1000 {
            assert!(partition_of(format!("/topic/rooms.{number}").as_bytes(), 7) < 7);
        }
    }
}
