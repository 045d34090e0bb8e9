//! A dead letter as it goes to Kafka: the record with what is said of it, cut if all of that would not fit.

use std::borrow::Cow;

use bytes::Bytes;

use super::cloud_event::{encode, now, rfc3339};
use super::size::{WRITTEN, header_size, record_size};
use crate::bus::{Dead, DeadLetter, RawRecord};

/// Says what was cut.
const CUT: &str = "footfall_cut";

/// Of which a store's own words may be a part.
const LONGEST_REASON: usize = 4096;

/// For [`CUT`].
const ROOM_FOR_CUT: usize = 256;

/// What is produced. It always fits: a dead letter that nobody takes would hold up its partition for ever.
pub(super) fn write(letter: &DeadLetter, node: &str) -> RawRecord {
    let record = match &letter.record {
        Dead::Raw(raw) => raw.clone(),
        Dead::Record(record) => {
            let encoded = encode(record, node);
            RawRecord {
                key: Some(Bytes::copy_from_slice(encoded.key.as_bytes())),
                headers: encoded.headers.iter().map(|(name, value)| (name.to_string(), Some(Bytes::copy_from_slice(value)))).collect(),
                value: Some(encoded.value),
            }
        }
    };
    let own = said(letter, node).map(|(name, value)| (name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))));
    let (mut record, cut) = cut(record, WRITTEN - size(&own) - ROOM_FOR_CUT);
    // Last, so that whoever asks for the last header of a name gets these, whatever the record had.
    record.headers.extend(own);
    record.headers.extend(cut.map(|cut| (CUT.to_owned(), Some(cut.into()))));
    record
}

/// What a dead letter says of its record.
fn said<'a>(letter: &'a DeadLetter, node: &'a str) -> [(&'static str, Cow<'a, str>); 6] {
    let reason = &letter.reason[..letter.reason.floor_char_boundary(LONGEST_REASON)];
    [
        ("footfall_reason", Cow::Borrowed(reason)),
        ("footfall_topic", Cow::Borrowed(&*letter.partition.topic)),
        ("footfall_partition", letter.partition.number.to_string().into()),
        ("footfall_offset", letter.offset.to_string().into()),
        ("footfall_node", Cow::Borrowed(node)),
        ("footfall_time", rfc3339(now()).into()),
    ]
}

/// What of a record fits, and what does not in words: first the key, then headers, then as much of the value as there
/// is room for.
fn cut(record: RawRecord, room: usize) -> (RawRecord, Option<String>) {
    let RawRecord { key, value, headers } = record;
    let headers_before = headers.len();
    let mut room = room.saturating_sub(record_size(None, None, []));
    let mut fits = |size: usize| {
        let fits = size <= room;
        if fits {
            room -= size;
        }
        fits
    };
    let kept_key = key.clone().filter(|key| fits(key.len()));
    let kept_headers: Vec<_> = headers.into_iter().filter(|(name, value)| fits(header_size((name, value.as_deref())))).collect();
    let kept_value = value.as_ref().map(|value| value.slice(..value.len().min(room)));

    let mut words = Vec::new();
    if let (Some(before), Some(kept)) = (&value, &kept_value)
        && kept.len() < before.len()
    {
        words.push(format!("{} of {} bytes of the value", kept.len(), before.len()));
    }
    if kept_headers.len() < headers_before {
        words.push(format!("{} of {headers_before} headers", kept_headers.len()));
    }
    if let (Some(key), None) = (&key, &kept_key) {
        words.push(format!("nothing of the key of {} bytes", key.len()));
    }
    let cut = (!words.is_empty()).then(|| format!("Kept: {}.", words.join(", ")));
    (RawRecord { key: kept_key, value: kept_value, headers: kept_headers }, cut)
}

fn size(headers: &[(String, Option<Bytes>)]) -> usize {
    headers.iter().map(|(name, value)| header_size((name, value.as_deref()))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Partition;

    fn written(record: RawRecord, reason: &str) -> RawRecord {
        let partition = Partition { log: "c".into(), topic: "t".repeat(249).into(), number: u32::MAX };
        let letter = DeadLetter { partition, offset: u64::MAX, reason: reason.to_owned(), record: Dead::Raw(record) };
        let written = write(&letter, &"n".repeat(64));
        let headers = written.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let size = record_size(written.key.as_deref(), written.value.as_deref(), headers);
        assert!(size <= WRITTEN, "{size}");
        written
    }

    fn said(record: &RawRecord, name: &str) -> Option<String> {
        let (_, value) = record.headers.iter().rev().find(|(other, _)| other == name)?;
        Some(String::from_utf8(value.as_ref()?.to_vec()).unwrap())
    }

    fn zeros(count: usize) -> Option<Bytes> {
        Some(Bytes::from(vec![0; count]))
    }

    #[test]
    fn what_fits_is_kept_as_it_was() {
        let record = RawRecord { key: zeros(100), value: zeros(1_048_000), headers: vec![("a".into(), None), ("b".into(), zeros(9))] };
        let written = written(record.clone(), "For a test.");
        assert_eq!((&written.key, &written.value), (&record.key, &record.value));
        assert_eq!(written.headers[..2], record.headers);
        assert_eq!(said(&written, "footfall_reason").as_deref(), Some("For a test."));
        assert_eq!(said(&written, CUT), None);
    }

    #[test]
    fn what_does_not_is_cut_and_said() {
        let long = written(RawRecord { key: zeros(100), value: zeros(2_000_000), headers: vec![("a".into(), zeros(9))] }, "For a test.");
        let kept = long.value.as_ref().unwrap().len();
        assert!(kept > 1_100_000, "{kept}");
        assert_eq!(said(&long, CUT).unwrap(), format!("Kept: {kept} of 2000000 bytes of the value."));

        let headers = (0..300).map(|_| ("a".to_owned(), zeros(10_000))).collect();
        let many = written(RawRecord { key: zeros(2_000_000), value: zeros(1_000_000), headers }, &"\u{e4}".repeat(9000));
        assert!(many.key.is_none());
        let cut = said(&many, CUT).unwrap();
        assert!(cut.contains("of 300 headers, nothing of the key of 2000000 bytes."), "{cut}");
        assert!(said(&many, "footfall_reason").unwrap().len() <= LONGEST_REASON);
    }
}
