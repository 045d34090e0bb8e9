//! From the bytes of a head to a command and headers. The decoder has found its end and checked its size.

use bytes::Bytes;
use memchr::memchr;
use nom::bytes::complete::{tag, take_until};
use nom::combinator::rest;
use nom::error::{ErrorKind, ParseError as NomError};
use nom::sequence::{separated_pair, terminated};
use nom::{IResult, Parser};

use crate::command::Command;
use crate::error::{ParseError, quoted};
use crate::escape::{BadSequence, Escaping};
use crate::headers::Headers;
use crate::text::Text;
use crate::version::Version;

/// What stands before the body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) command: Command,
    pub(crate) headers: Headers,
    pub(crate) content_length: Option<usize>,
}

/// Parses everything up to and including the blank line.
///
/// Both line ends are taken in every version: 1.1 has only LF, but a CR before it is a sloppy client's line end and
/// not the last byte of a value. A CR anywhere else could be a line end to the next reader, so it is refused.
pub(crate) fn head(bytes: &Bytes, header_count: usize, version: Option<Version>) -> Result<Head, ParseError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ParseError::NotUtf8)?;
    // Most peers end their lines with LF alone, and then no line needs to be searched.
    let has_cr = memchr(b'\r', bytes).is_some();
    let (mut remaining, name) = line(bytes, has_cr)?;
    let command = Command::from_bytes(name).ok_or_else(|| ParseError::UnknownCommand { command: word(name) })?;
    let escaping = Escaping::of_head(command, version, bytes);
    let mut headers = Headers::with_capacity(header_count);
    loop {
        let (after, text) = line(remaining, has_cr)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = header(bytes, text, headers.len() + 1, escaping)?;
        headers.push(name, value);
        remaining = after;
    }
    let content_length = content_length(&headers)?;
    Ok(Head { command, headers, content_length })
}

/// The word that a line begins with: the rest of `GET /?token=…` is nobody's business.
fn word(line: &[u8]) -> String {
    let length = line.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    quoted(&line[..length]) + if length < line.len() { "…" } else { "" }
}

fn line(input: &[u8], has_cr: bool) -> Result<(&[u8], &[u8]), ParseError> {
    let ended: IResult<_, _, NoLine> = terminated(take_until("\n"), tag("\n")).parse(input);
    let (remaining, text) = ended.map_err(|_| ParseError::NulInHead)?;
    if !has_cr {
        return Ok((remaining, text));
    }
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if memchr(b'\r', text).is_some() {
        return Err(ParseError::BareCarriageReturn);
    }
    Ok((remaining, text))
}

fn header(head: &Bytes, text: &[u8], line: usize, escaping: Escaping) -> Result<(Text, Text), ParseError> {
    // The first colon divides: `\c` is how later ones should be written, but many clients send `host:example.org:80`.
    let divided: IResult<_, _, NoLine> = separated_pair(take_until(":"), tag(":"), rest).parse(text);
    let (_, (name, value)) = divided.map_err(|_| ParseError::NoColon { line })?;
    let read = |part| {
        let bad = |BadSequence { sequence, version }| ParseError::BadEscape { line, sequence, version };
        escaping.read(head.slice_ref(part)).map_err(bad)
    };
    let name = read(name)?;
    if name.as_bytes().is_empty() {
        return Err(ParseError::EmptyHeaderName { line });
    }
    Ok((name, read(value)?))
}

/// "The first header entry SHOULD be used", but two lengths mean that somebody else may read another stream out of
/// the same bytes, so all must agree.
fn content_length(headers: &Headers) -> Result<Option<usize>, ParseError> {
    let mut lengths = headers.get_all("content-length").map(|value| decimal(value.as_bytes()));
    let Some(first) = lengths.next() else { return Ok(None) };
    let first = first.ok_or(ParseError::BadContentLength)?;
    for other in lengths {
        if other.ok_or(ParseError::BadContentLength)? != first {
            return Err(ParseError::ContentLengthConflict);
        }
    }
    Ok(Some(first))
}

/// Stricter than `str::parse`, which takes `+5`.
fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Where nom would say what it expected: here each rule has a single way to fail, which its caller names.
struct NoLine;

impl NomError<&[u8]> for NoLine {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &'static str) -> Result<Head, ParseError> {
        head(&Bytes::from_static(text.as_bytes()), 4, Some(Version::V1_2))
    }

    #[test]
    fn only_digits_are_a_length() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(usize::MAX));
        for wrong in ["", "+5", "-1", " 5", "5 ", "5.0", "0x5", "५", "18446744073709551616"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn the_first_colon_divides() {
        let head = check("CONNECT\nhost:a:b\nempty:\n\n").unwrap();
        assert_eq!(head.headers.get("host").unwrap(), "a:b");
        assert_eq!(head.headers.get("empty").unwrap(), "");
    }

    #[test]
    fn header_lines_that_are_none() {
        assert_eq!(check("SEND\na:b\nno colon\n\n").unwrap_err(), ParseError::NoColon { line: 2 });
        assert_eq!(check("SEND\n:b\n\n").unwrap_err(), ParseError::EmptyHeaderName { line: 1 });
        assert_eq!(check("SEND\na:b\rc:d\n\n").unwrap_err(), ParseError::BareCarriageReturn);
        assert_eq!(check("SEND\na:b\r\r\n\n").unwrap_err(), ParseError::BareCarriageReturn);
    }
}
