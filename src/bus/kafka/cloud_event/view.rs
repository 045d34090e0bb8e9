//! A record before it is understood: key, value and headers, borrowed from wherever they lie.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use smallvec::SmallVec;

use crate::bus::RawRecord;

/// What stands in for the name of a header that is no UTF-8.
const NOT_UTF8: &str = "\u{fffd}";

/// A name and what stands there; a header without a value is not one with an empty value.
pub(in crate::bus::kafka) type Header<'a> = (&'a str, Option<&'a [u8]>);

#[derive(Debug, Default, Clone)]
pub(in crate::bus::kafka) struct View<'a> {
    pub(in crate::bus::kafka) key: Option<&'a [u8]>,
    pub(in crate::bus::kafka) value: Option<&'a [u8]>,
    pub(in crate::bus::kafka) headers: SmallVec<[Header<'a>; 20]>,
    /// A header has a name that is no UTF-8; it stands as U+FFFD without a value.
    pub(in crate::bus::kafka) bad_names: bool,
}

impl<'a> View<'a> {
    pub(in crate::bus::kafka) fn of(message: &'a BorrowedMessage<'_>) -> Self {
        let mut view = Self { key: message.key(), value: message.payload(), ..Self::default() };
        let Some(headers) = message.headers() else { return view };
        // rdkafka panics at a name that is not UTF-8, which anyone who may produce can write. The others are kept.
        if let Ok(all) = catch_unwind(AssertUnwindSafe(|| headers.iter().map(|header| (header.key, header.value)).collect())) {
            view.headers = all;
            return view;
        }
        view.bad_names = true;
        for index in 0..headers.count() {
            let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
            let header = header.ok().flatten().map(|header| (header.key, header.value));
            view.headers.push(header.unwrap_or((NOT_UTF8, None)));
        }
        view
    }

    #[cfg(test)]
    pub(super) fn of_raw(raw: &'a RawRecord) -> Self {
        Self {
            key: raw.key.as_deref(),
            value: raw.value.as_deref(),
            headers: raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
            bad_names: false,
        }
    }

    pub(in crate::bus::kafka) fn to_raw(&self) -> RawRecord {
        let header = |(name, value): &Header<'_>| ((*name).to_owned(), value.map(Bytes::copy_from_slice));
        RawRecord {
            key: self.key.map(Bytes::copy_from_slice),
            value: self.value.map(Bytes::copy_from_slice),
            headers: self.headers.iter().map(header).collect(),
        }
    }

    /// About how much memory it takes.
    pub(in crate::bus::kafka) fn size(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        length(self.key) + length(self.value) + self.head_size()
    }

    pub(super) fn head_size(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum()
    }
}
