//! The headers of one frame, in their order, with their repetitions.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::text::Text;

/// Names whose values are left out of `Debug`, so that a frame in a log line carries no secret.
const SECRET: [&str; 3] = ["passcode", "authorization", "cookie"];

/// An ordered list of names and values. A repeated name is kept, and its first value is the one that counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(Text, Text)>,
}

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    pub(crate) fn with_capacity(count: usize) -> Self {
        Self { entries: Vec::with_capacity(count) }
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.entries.push((name.into(), value.into()));
    }

    /// The value that counts: "only the first header entry SHOULD be used as the value of header entry".
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Every value of a name, first to last.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Text> {
        self.entries.iter().filter(move |(n, _)| n == name).map(|(_, value)| value)
    }

    /// Every header line, repetitions too.
    pub fn iter(&self) -> Iter<'_> {
        Iter { inner: self.entries.iter() }
    }

    /// One entry for each name: the first, which is the one that counts.
    pub fn first_occurrences(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.entries.iter().enumerate().filter_map(|(index, (name, value))| {
            let repeated = self.entries[..index].iter().any(|(earlier, _)| earlier == name);
            (!repeated).then_some((name, value))
        })
    }

    /// How many header lines there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There is no header line.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same headers in one buffer of their own, so that the chunk of input they came in can go.
    pub fn detached(&self) -> Self {
        let size = self.entries.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut buffer = BytesMut::with_capacity(size);
        for (name, value) in &self.entries {
            buffer.extend_from_slice(name.as_bytes());
            buffer.extend_from_slice(value.as_bytes());
        }
        let mut buffer: Bytes = buffer.freeze();
        let mut cut = |text: &Text| Text::from_checked(buffer.split_to(text.as_bytes().len()));
        Self { entries: self.entries.iter().map(|(name, value)| (cut(name), cut(value))).collect() }
    }
}

/// Iterates over every header line of a frame.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    inner: std::slice::Iter<'a, (Text, Text)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a Text, &'a Text);

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|(name, value)| (name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a Text, &'a Text);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: Into<Text>, V: Into<Text>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self {
            let lower = name.to_ascii_lowercase();
            if SECRET.contains(&lower.as_str()) || lower.contains("token") {
                map.entry(name, &format_args!("[{} bytes]", value.as_bytes().len()));
            } else {
                map.entry(name, value);
            }
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated() -> Headers {
        Headers::from_iter([("foo", "World"), ("bar", "1"), ("foo", "Hello")])
    }

    #[test]
    fn the_first_value_counts_and_the_others_are_kept() {
        let headers = repeated();
        assert_eq!(headers.get("foo").unwrap(), "World");
        assert_eq!(headers.get("Foo"), None);
        assert_eq!(headers.get_all("foo").count(), 2);
        assert_eq!(headers.len(), 3);
        let first: Vec<_> = headers.first_occurrences().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(first, [("foo", "World"), ("bar", "1")]);
    }

    #[test]
    fn detached_headers_are_the_same_headers() {
        assert_eq!(repeated().detached(), repeated());
    }

    #[test]
    fn debug_keeps_secrets_to_itself() {
        let headers = Headers::from_iter([("Authorization", "Bearer x"), ("passcode", "y"), ("X-Token", "z"), ("id", "7")]);
        let text = format!("{headers:?}");
        assert!(!text.contains("Bearer") && !text.contains("\"y\"") && !text.contains("\"z\""), "{text}");
        assert!(text.contains("\"id\": \"7\""), "{text}");
    }
}
