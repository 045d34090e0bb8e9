//! How large records may be, topic by topic. Each hop takes what the one before it took with all that it adds itself:
//! otherwise a record could be stored and be told to nobody, or be unreadable and be put away nowhere, and its partition
//! would wait for ever.

use super::cloud_event::Header;
use crate::bus::Topic;

/// What a batch of *events* has at most (the topic's `max.message.bytes`): Kafka's own default, which backends expect.
pub(super) const EVENTS_BATCH: usize = 1_048_588;

/// The same of *broadcast* and of dead letters.
pub(super) const ONWARD_BATCH: usize = 1_179_648;

/// What a record has at most that footfall writes (`message.max.bytes`). A batch has 61 bytes more.
pub(super) const WRITTEN: usize = 1_114_112;

/// A batch of several records is never larger (`batch.size`, and librdkafka's default of it), so that none of them is
/// refused because of its neighbours.
pub(super) const SEVERAL: usize = 1_000_000;

/// What one record may have. Sizes are those that librdkafka compares with `message.max.bytes`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Of all of it.
    pub(super) record: usize,
    /// How many headers, and the bytes of their names and values.
    pub(super) headers: usize,
    pub(super) head: usize,
}

impl Limit {
    const BROADCAST: Self = Self { record: WRITTEN, headers: 256, head: 128 * 1024 };

    /// What *broadcast* adds: at most five headers (time, sequence, epoch, code, and the content type in two places), and
    /// longer values of what names a record's source and id. 400 bytes, were all of it at its longest.
    const ADDED: Self = Self { record: 1024, headers: 8, head: 1024 };

    /// Of records of *events*, whoever wrote them. Whatever lies in the topic uncompressed is below it.
    const EVENTS: Self = Self {
        record: EVENTS_BATCH,
        headers: Self::BROADCAST.headers - Self::ADDED.headers,
        head: Self::BROADCAST.head - Self::ADDED.head,
    };

    /// What is read as a record.
    pub(super) fn of(topic: Topic) -> Self {
        match topic {
            Topic::Events => Self::EVENTS,
            Topic::Broadcast => Self::BROADCAST,
        }
    }

    /// What is written as one: to *events* a little less than others may write, since a single record is a batch, too.
    pub(super) fn of_ours(topic: Topic) -> Self {
        match topic {
            Topic::Events => Self { record: SEVERAL, ..Self::EVENTS },
            Topic::Broadcast => Self::BROADCAST,
        }
    }
}

const _: () =
    assert!(Limit::EVENTS.record + Limit::ADDED.record <= WRITTEN && WRITTEN + 61 <= ONWARD_BATCH && SEVERAL + 61 <= EVENTS_BATCH);

/// What a record takes, as `rd_kafka_msg_max_wire_size` counts: the longest forms of its fixed fields are 36 bytes.
pub(super) fn record_size<'a>(key: Option<&[u8]>, value: Option<&[u8]>, headers: impl IntoIterator<Item = Header<'a>>) -> usize {
    let headers: usize = headers.into_iter().map(header_size).sum();
    36 + length(key) + length(value) + headers
}

pub(super) fn header_size((name, value): Header<'_>) -> usize {
    prefixed(name.len()) + prefixed(length(value))
}

fn length(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, <[u8]>::len)
}

/// With its length before it: zigzag, seven bits a byte.
fn prefixed(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    length + bits.div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_kafka_writes_them() {
        for (length, written) in [(0, 1), (1, 1), (63, 1), (64, 2), (8191, 2), (8192, 3), (1_048_575, 3), (1_048_576, 4)] {
            assert_eq!(prefixed(length) - length, written, "{length}");
        }
        assert_eq!(record_size(Some(b"key"), None, [("a", Some(&b"bc"[..])), ("d", None)]), 36 + 3 + 5 + 3);
    }
}
