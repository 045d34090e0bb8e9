//! What holds for every frame, every version and every way to cut a stream.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stomp_frames::{Command, Decoder, Frame, FrameWriter, Item, Limits, ParseError, RestWriter, Version, encode, message_head};

/// Fond of what a header can't simply contain.
fn text() -> impl Strategy<Value = String> {
    let odd = select(vec![':', '\\', '\n', '\r', '\0', ' ', '\t', 'n', 'c', 'r', 'a', 'ü', '\u{1f44b}', '\u{2028}']);
    vec(odd, 0..8).prop_map(String::from_iter)
}

fn version() -> impl Strategy<Value = Version> {
    select(Version::ALL.to_vec())
}

fn frame() -> impl Strategy<Value = Frame> {
    let command = select(Command::all().collect::<Vec<_>>());
    let byte = prop_oneof![Just(0), Just(b'\n'), any::<u8>()];
    (command, vec((text(), text()), 0..6), vec(byte, 0..40)).prop_map(|(command, headers, body)| Frame {
        command,
        headers: headers.into_iter().collect(),
        body: if command.may_have_body() { body.into() } else { Bytes::new() },
    })
}

/// The specification's words once more: can this version say this header in this frame?
fn can_say(version: Version, command: Command, name: &str, value: &str) -> bool {
    let escapes = match version {
        _ if matches!(command, Command::Connect | Command::Stomp | Command::Connected) => "",
        Version::V1_0 => "",
        Version::V1_1 => "\n:\\",
        Version::V1_2 => "\r\n:\\",
    };
    let trimmed = version == Version::V1_0 && command.is_escaped();
    let sayable = |text: &str, harmful: &str| {
        let harmless = text.chars().all(|c| !harmful.contains(c) || escapes.contains(c));
        harmless && !(trimmed && text != text.trim_matches([' ', '\t']))
    };
    !name.is_empty() && name != "content-length" && sayable(name, "\r\n\0:") && sayable(value, "\r\n\0")
}

/// The items of a stream pushed in these chunks, heart-beats in a row as one, and how it ends.
fn decode(limits: Limits, version: Version, chunks: &[&[u8]]) -> (Vec<Item>, Option<ParseError>) {
    let mut decoder = Decoder::new(limits);
    decoder.set_version(version);
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next_item() {
                Ok(Some(Item::HeartBeat)) if items.last() == Some(&Item::HeartBeat) => {}
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
        assert!(decoder.buffered() <= limits.frame, "{} bytes are held", decoder.buffered());
    }
    (items, None)
}

fn cut<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

proptest! {
    // More of them with PROPTEST_CASES.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(512), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_reads_back_as_what_the_version_can_say(frame in frame(), version in version()) {
        let said = frame.headers.iter().filter(|(name, value)| can_say(version, frame.command, name, value));
        let mut expected = Frame { headers: said.map(|(n, v)| (n.clone(), v.clone())).collect(), ..frame.clone() };
        if frame.command.may_have_body() {
            expected = expected.with_header("content-length", frame.body.len().to_string());
        }
        let bytes = encode(&frame, version);
        prop_assert_eq!(decode(Limits::AFTER_CONNECT, version, &[&bytes]), (vec![Item::Frame(expected)], None));
    }

    #[test]
    fn what_was_read_once_is_read_again(frame in frame(), version in version()) {
        let (first, _) = decode(Limits::AFTER_CONNECT, version, &[&encode(&frame, version)]);
        let Item::Frame(read) = &first[0] else { panic!("{first:?}") };
        prop_assert_eq!(decode(Limits::AFTER_CONNECT, version, &[&encode(read, version)]).0, first);
    }

    #[test]
    fn chunks_do_not_matter(
        frames in vec((frame(), select(vec!["", "\n", "\r\n", "\n\n\r\n"])), 1..5),
        flips in vec((any::<Index>(), select(b"\0\n\r:\\5\xff".to_vec())), 0..3),
        cuts in vec(any::<Index>(), 0..9),
        version in version(),
        limits in prop_oneof![
            Just(Limits::AFTER_CONNECT),
            Just(Limits { frame: 90, command: 9, header_count: 3, header_line: 20, head: 60 }),
            Just(Limits { frame: 50, command: 9, header_count: 3, header_line: 20, head: 60 }),
        ],
    ) {
        let mut stream = Vec::new();
        for (frame, ends) in &frames {
            stream.extend_from_slice(&encode(frame, version));
            stream.extend_from_slice(ends.as_bytes());
        }
        for (at, byte) in flips {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let whole = decode(limits, version, &[&stream]);
        prop_assert_eq!(&decode(limits, version, &cut(&stream, &cuts)), &whole);
        prop_assert_eq!(&decode(limits, version, &stream.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in vec(prop_oneof![any::<u8>(), select(b"\0\n\r:\\SEND".to_vec())], 0..200),
        head in select(vec!["", "SEND\n", "MESSAGE\ncontent-length:9\n", "\r\nSEND\n\n"]),
        version in version(),
    ) {
        let limits = Limits { frame: 64, command: 8, header_count: 3, header_line: 16, head: 48 };
        let stream = [head.as_bytes(), &bytes].concat();
        let whole = decode(limits, version, &[&stream]);
        prop_assert_eq!(&decode(limits, version, &stream.chunks(1).collect::<Vec<_>>()), &whole);
        if let Some(error) = whole.1 {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn no_text_adds_a_line(frame in frame(), id in text(), version in version()) {
        let mut writer = FrameWriter::new(frame.command, version);
        let written = frame.headers.iter().filter(|(name, value)| writer.header(name, value)).count();
        prop_assert_eq!(written + writer.left_out(), frame.headers.len());
        let lines = written + usize::from(frame.command.may_have_body()) + 2;
        let head = writer.finish(b"");
        prop_assert_eq!(head.split(|byte| *byte == b'\n').count(), lines + 1);
        prop_assert!(!head.contains(&b'\r'));
        prop_assert_eq!(head.iter().position(|byte| *byte == 0), Some(head.len() - 1));

        let mut rest = RestWriter::new(version);
        prop_assert!(rest.header("destination", "/topic/a"));
        let message = [message_head(&id, version), rest.finish(b"body")].concat();
        let (items, error) = decode(Limits::AFTER_CONNECT, version, &[&message]);
        prop_assert_eq!(error, None);
        let Some(Item::Frame(read)) = items.first() else { panic!("{items:?}") };
        prop_assert_eq!(read.header("destination"), Some("/topic/a"));
        let subscription = can_say(version, Command::Message, "subscription", &id).then_some(id.as_str());
        prop_assert_eq!(read.header("subscription"), subscription);
    }

    #[test]
    fn a_limit_is_exact(
        header in 3_usize..40,
        count in 1_usize..6,
        body in 0_usize..60,
        counted in any::<bool>(),
        bytewise in any::<bool>(),
    ) {
        let line = format!("k:{}\n", "v".repeat(header - 2));
        let length = if counted { format!("content-length:{body}\n") } else { String::new() };
        let head = format!("MESSAGE\n{}{length}\n", line.repeat(count));
        let stream = format!("{head}{}\0", "b".repeat(body));
        let exact = Limits {
            frame: stream.len() - 1,
            command: 7,
            header_count: count + usize::from(counted),
            header_line: header.max(length.len().saturating_sub(1)),
            head: head.len(),
        };
        let chunks: Vec<_> = stream.as_bytes().chunks(if bytewise { 1 } else { stream.len() }).collect();
        let with = |limits| decode(limits, Version::V1_2, &chunks);
        let (items, error) = with(exact);
        prop_assert_eq!((items.len(), error), (1, None));

        let refused = |limits| with(limits).1.unwrap();
        let limit = exact.header_count - 1;
        prop_assert_eq!(refused(Limits { header_count: limit, ..exact }), ParseError::TooManyHeaders { limit });
        let limit = exact.header_line - 1;
        prop_assert_eq!(refused(Limits { header_line: limit, ..exact }), ParseError::HeaderTooLong { limit });
        prop_assert_eq!(refused(Limits { command: 6, ..exact }), ParseError::CommandTooLong { limit: 6 });
        let limit = exact.frame - 1;
        prop_assert_eq!(refused(Limits { frame: limit, ..exact }), ParseError::FrameTooLarge { limit });
        let limit = exact.head - 1;
        prop_assert_eq!(refused(Limits { head: limit, ..exact }), ParseError::HeadTooLarge { limit });
    }
}
