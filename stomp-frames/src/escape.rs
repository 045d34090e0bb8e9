//! Escaping of header names and values, which differs by version.

use bytes::Bytes;
use memchr::{memchr, memchr2, memchr3};

use crate::command::Command;
use crate::error::quoted;
use crate::text::Text;
use crate::version::Version;

/// The rules for one frame's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// As it stands: CONNECT, STOMP and CONNECTED, and every frame before a version is chosen.
    Verbatim,
    /// STOMP 1.0: no escapes either, but the specification's own examples pad (`destination: /queue/a`).
    Trimmed,
    /// STOMP 1.1: `\n`, `\c` and `\\`.
    WithoutCr,
    /// STOMP 1.2: `\r`, `\n`, `\c` and `\\`.
    WithCr,
}

/// A backslash that begins no escape sequence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSequence {
    pub(crate) sequence: String,
    pub(crate) version: Version,
}

enum Form {
    AsItIs,
    Escaped,
    Impossible,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Value,
}

impl Escaping {
    pub(crate) const fn of(command: Command, version: Option<Version>) -> Self {
        match version {
            Some(version) if command.is_escaped() => match version {
                Version::V1_0 => Self::Trimmed,
                Version::V1_1 => Self::WithoutCr,
                Version::V1_2 => Self::WithCr,
            },
            _ => Self::Verbatim,
        }
    }

    /// For the names and values of this head: one look at all of it spares a look at each of them.
    pub(crate) fn of_head(command: Command, version: Option<Version>, head: &[u8]) -> Self {
        match Self::of(command, version) {
            Self::WithoutCr | Self::WithCr if memchr(b'\\', head).is_none() => Self::Verbatim,
            escaping => escaping,
        }
    }

    /// A name or value from its form on the wire, which must be UTF-8.
    pub(crate) fn read(self, raw: Bytes) -> Result<Text, BadSequence> {
        let version = match self {
            Self::Verbatim => return Ok(Text::from_checked(raw)),
            Self::Trimmed => return Ok(Text::from_checked(raw.slice_ref(trimmed(&raw)))),
            Self::WithoutCr => Version::V1_1,
            Self::WithCr => Version::V1_2,
        };
        let Some(mut at) = memchr(b'\\', &raw) else { return Ok(Text::from_checked(raw)) };
        let mut text = Vec::with_capacity(raw.len());
        let mut rest = &raw[..];
        loop {
            text.extend_from_slice(&rest[..at]);
            text.push(match rest.get(at + 1) {
                Some(b'n') => b'\n',
                Some(b'c') => b':',
                Some(b'\\') => b'\\',
                Some(b'r') if self == Self::WithCr => b'\r',
                // "Undefined escape sequences such as \t MUST be treated as a fatal protocol error."
                _ => return Err(BadSequence { sequence: described(&rest[at..]), version }),
            });
            rest = &rest[at + 2..];
            match memchr(b'\\', rest) {
                Some(next) => at = next,
                None => break,
            }
        }
        text.extend_from_slice(rest);
        Ok(Text::from_checked(text.into()))
    }

    /// Writes one header line, or nothing and `false` when these rules have no way to write it.
    pub(crate) fn write(self, out: &mut Vec<u8>, name: &str, value: &str) -> bool {
        let forms = (self.form(name.as_bytes(), Part::Name), self.form(value.as_bytes(), Part::Value));
        let (Form::AsItIs | Form::Escaped, Form::AsItIs | Form::Escaped) = &forms else { return false };
        out.reserve(name.len() + value.len() + 2);
        put(out, name.as_bytes(), &forms.0);
        out.push(b':');
        put(out, value.as_bytes(), &forms.1);
        out.push(b'\n');
        true
    }

    fn form(self, text: &[u8], part: Part) -> Form {
        let impossible = match self {
            _ if part == Part::Name && text.is_empty() => true,
            Self::Trimmed if trimmed(text).len() != text.len() => true,
            _ if !has_special(text) => return Form::AsItIs,
            Self::Verbatim | Self::Trimmed => {
                let splits_elsewhere = part == Part::Name && memchr(b':', text).is_some();
                splits_elsewhere || memchr3(b'\n', b'\r', 0, text).is_some()
            }
            // 1.1 has no sequence for CR, and a reader may take a bare one for a line's end.
            Self::WithoutCr => memchr2(b'\r', 0, text).is_some(),
            Self::WithCr => memchr(0, text).is_some(),
        };
        match self {
            _ if impossible => Form::Impossible,
            Self::Verbatim | Self::Trimmed => Form::AsItIs,
            Self::WithoutCr | Self::WithCr => Form::Escaped,
        }
    }
}

/// Some version may have to do something about this text. Nearly no text has it, and most are too short for memchr
/// to pay: without a way out of the loop the compiler compares many bytes at once.
fn has_special(text: &[u8]) -> bool {
    text.iter().fold(false, |any, byte| any | matches!(byte, 0 | b'\n' | b'\r' | b':' | b'\\'))
}

fn put(out: &mut Vec<u8>, text: &[u8], form: &Form) {
    if !matches!(form, Form::Escaped) {
        out.extend_from_slice(text);
        return;
    }
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b':' => out.extend_from_slice(b"\\c"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(byte),
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let padding = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = text.iter().position(|byte| !padding(byte)) else { return &[] };
    let end = text.iter().rposition(|byte| !padding(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The backslash at the start of `rest` and the character behind it.
fn described(rest: &[u8]) -> String {
    let next = String::from_utf8_lossy(&rest[1..]).chars().next();
    format!("\\{}", next.map(|character| quoted(character.encode_utf8(&mut [0; 4]).as_bytes())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: Version, raw: &'static str) -> Result<Text, BadSequence> {
        Escaping::of(Command::Send, Some(version)).read(Bytes::from_static(raw.as_bytes()))
    }

    fn written(command: Command, version: Version, name: &str, value: &str) -> Option<String> {
        let mut out = Vec::new();
        let fits = Escaping::of(command, Some(version)).write(&mut out, name, value);
        assert!(fits || out.is_empty());
        fits.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn sequences_by_version() {
        assert_eq!(read(Version::V1_0, "\\n\\c").unwrap(), "\\n\\c");
        assert_eq!(read(Version::V1_1, "a\\nb\\cc\\\\n").unwrap(), "a\nb:c\\n");
        assert_eq!(read(Version::V1_2, "\\r\\n\\c\\\\").unwrap(), "\r\n:\\");
        assert_eq!(read(Version::V1_2, "ü\\cä").unwrap(), "ü:ä");
    }

    #[test]
    fn what_is_no_sequence_is_named() {
        let bad = |version, sequence: &str| Err(BadSequence { sequence: sequence.into(), version });
        assert_eq!(read(Version::V1_1, "a\\r"), bad(Version::V1_1, "\\r"));
        assert_eq!(read(Version::V1_2, "a\\t"), bad(Version::V1_2, "\\t"));
        assert_eq!(read(Version::V1_2, "a\\"), bad(Version::V1_2, "\\"));
        assert_eq!(read(Version::V1_2, "a\\\u{1b}"), bad(Version::V1_2, "\\\\u{1b}"));
    }

    #[test]
    fn padding_is_kept_except_in_1_0() {
        assert_eq!(read(Version::V1_0, " /queue/a\t").unwrap(), "/queue/a");
        assert_eq!(read(Version::V1_0, "  ").unwrap(), "");
        assert_eq!(read(Version::V1_1, " a ").unwrap(), " a ");
        assert_eq!(written(Command::Send, Version::V1_0, "a", " b"), None);
        assert_eq!(written(Command::Send, Version::V1_2, "a", " b").unwrap(), "a: b\n");
    }

    #[test]
    fn what_can_be_written_by_version() {
        let send = |version, value| written(Command::Send, version, "k", value);
        assert_eq!(send(Version::V1_0, "a:b\\").unwrap(), "k:a:b\\\n");
        assert_eq!(send(Version::V1_0, "a\nb"), None);
        assert_eq!(send(Version::V1_1, "a:\nb\\").unwrap(), "k:a\\c\\nb\\\\\n");
        assert_eq!(send(Version::V1_1, "a\rb"), None);
        assert_eq!(send(Version::V1_2, "a\r\nb").unwrap(), "k:a\\r\\nb\n");
        for version in Version::ALL {
            assert_eq!(send(version, "a\0b"), None);
            assert_eq!(written(Command::Connected, version, "user-name", "bob\nrole:admin"), None);
            assert_eq!(written(Command::Connected, version, "a:b", "c"), None);
            assert_eq!(written(Command::Connected, version, "a", "b:c\\").unwrap(), "a:b:c\\\n");
            assert_eq!(written(Command::Send, version, "", "c"), None);
        }
        assert_eq!(written(Command::Send, Version::V1_0, "a:b", "c"), None);
        assert_eq!(written(Command::Send, Version::V1_1, "a:b", "c").unwrap(), "a\\cb:c\n");
    }
}
