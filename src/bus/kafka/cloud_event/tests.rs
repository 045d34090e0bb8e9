//! Both directions against each other, and the decoder against what others may write.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::encode::Encoded;
use super::{Place, View, decode, encode, header, peek};
use crate::bus::kafka::size::{Limit, record_size};
use crate::bus::partitioner::partition_of;
use crate::bus::{Kind, RawRecord, Record, Topic};
use crate::message::{Code, Destination, Epoch, Message, Position, RenderedOnce, UserName, foreign_id};

const PARTITIONS: u32 = 12;

fn reserved(name: &str) -> bool {
    name.eq_ignore_ascii_case("login") || name.eq_ignore_ascii_case("content-type")
}

fn place(key: &[u8], topic: Topic) -> Place {
    Place { topic, partition: partition_of(key, PARTITIONS), partitions: PARTITIONS, timestamp_ms: Some(77), reserved }
}

fn raw(record: &Record) -> RawRecord {
    let encoded = encode(record, "node-1");
    assert!(encoded.fits(Topic::Events) && encoded.fits(Topic::Broadcast));
    raw_of(&encoded)
}

fn raw_of(encoded: &Encoded<'_>) -> RawRecord {
    RawRecord {
        key: Some(Bytes::copy_from_slice(encoded.key.as_bytes())),
        value: Some(encoded.value.clone()),
        headers: encoded.headers.iter().map(|(name, value)| (name.to_string(), Some(Bytes::copy_from_slice(value)))).collect(),
    }
}

fn read(raw: &RawRecord, topic: Topic) -> Result<Record, String> {
    decode(&View::of_raw(raw), place(raw.key.as_deref().unwrap_or_default(), topic))
}

fn message() -> Message {
    Message {
        id: Uuid::from_u128(1),
        destination: Destination::parse("/topic/rooms.42").unwrap(),
        sender: Some(UserName::new("alice").unwrap()),
        session: Some("s-1".into()),
        timestamp_ms: 1_795_262_854_120,
        content_type: Some("text/plain".into()),
        headers: Arc::new([("color".into(), "red".into())]),
        body: Bytes::from_static(b"hello"),
        position: Some(Position { epoch: Epoch(0xab), sequence: 7 }),
        rendered: RenderedOnce::default(),
    }
}

fn set(raw: &mut RawRecord, name: &str, value: Option<&str>) {
    raw.headers.retain(|(other, _)| other != name);
    if let Some(value) = value {
        raw.headers.push((name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))));
    }
}

#[test]
fn the_headers_are_those_that_were_promised() {
    let raw = raw(&Record::message(Arc::new(message())));
    let headers: Vec<_> =
        raw.headers.iter().map(|(name, value)| (name.as_str(), str::from_utf8(value.as_deref().unwrap()).unwrap())).collect();
    assert_eq!(
        headers,
        [
            ("ce_id", "00000000-0000-0000-0000-000000000001"),
            ("ce_source", "footfall/node-1"),
            ("ce_specversion", "1.0"),
            ("ce_type", "footfall.message.v1"),
            ("ce_time", "2026-11-21T12:07:34.120Z"),
            ("ce_subject", "/topic/rooms.42"),
            ("ce_sequence", "7"),
            ("ce_epoch", "00000000000000ab"),
            ("ce_sender", "alice"),
            ("ce_session", "s-1"),
            ("content-type", "text/plain"),
            ("stomp_color", "red"),
        ]
    );
    assert_eq!(raw.key.as_deref(), Some(&b"/topic/rooms.42"[..]));
    assert_eq!(raw.value.as_deref(), Some(&b"hello"[..]));
}

#[test]
fn a_clients_content_type_does_not_make_it_a_structured_event() {
    for content_type in ["application/cloudevents+json", " Application/CloudEvents; charset=utf-8"] {
        let raw = raw(&Record::message(Arc::new(Message { content_type: Some(content_type.into()), ..message() })));
        let written = raw.headers.iter().find(|(name, _)| name == header::CONTENT_TYPE).unwrap();
        assert_eq!(written.1.as_deref(), Some(&b"application/octet-stream"[..]));
        assert_eq!(read(&raw, Topic::Broadcast).unwrap().message.content_type.as_deref(), Some(content_type));
    }
}

#[test]
fn a_backends_own_record_gets_an_id_of_its_own_and_no_sequence() {
    let mut foreign = raw(&Record::message(Arc::new(Message { sender: None, session: None, ..message() })));
    set(&mut foreign, "ce_source", Some("/billing"));
    set(&mut foreign, "ce_id", Some("invoice 1"));
    for topic in [Topic::Events, Topic::Broadcast] {
        let record = read(&foreign, topic).unwrap();
        assert_eq!(record.message.id, foreign_id("/billing", &message().destination, "invoice 1"));
        assert_eq!(record.message.position, None);
        assert_eq!((&record.message.sender, record.message.timestamp_ms), (&None, message().timestamp_ms));
        assert_eq!(peek(&View::of_raw(&foreign)), Some(("/topic/rooms.42", record.message.id)));
    }
    set(&mut foreign, "ce_time", None);
    assert_eq!(read(&foreign, Topic::Events).unwrap().message.timestamp_ms, 77);
}

#[test]
fn a_sequence_on_events_is_ignored() {
    let raw = raw(&Record::message(Arc::new(message())));
    assert_eq!(read(&raw, Topic::Events).unwrap().message.position, None);
    assert_eq!(read(&raw, Topic::Broadcast).unwrap().message.position, message().position);
}

#[test]
fn of_repeated_client_headers_the_first_counts_and_reserved_ones_never() {
    let mut raw = raw(&Record::message(Arc::new(message())));
    for (name, value) in [("stomp_color", "blue"), ("stomp_LOGIN", "me"), ("stomp_", "nothing"), ("unknown", "x"), ("ce_unknown", "x")] {
        raw.headers.push((name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))));
    }
    raw.headers.push(("stomp_null".to_owned(), None));
    let record = read(&raw, Topic::Broadcast).unwrap();
    assert_eq!(*record.message.headers, [("color".into(), "red".into())]);
}

/// A record that grows as much as any on the way from *events* to *broadcast*.
fn smallest(headers: usize, size: usize) -> RawRecord {
    let key = "/topic/a";
    let own = [
        ("ce_id", "1"),
        ("ce_source", "a"),
        ("ce_specversion", "1.0"),
        ("ce_type", "footfall.message.v1"),
        ("ce_subject", key),
        ("content-type", "application/cloudevents"),
    ];
    let mut raw = RawRecord { key: Some(key.into()), ..RawRecord::default() };
    raw.headers.extend(own.map(|(name, value)| (name.to_owned(), Some(value.into()))));
    raw.headers.extend((own.len()..headers).map(|number| (format!("stomp_{number}"), Some(Bytes::new()))));
    let headers = raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let room = size - record_size(raw.key.as_deref(), None, headers);
    raw.value = Some(vec![0; room].into());
    raw
}

#[test]
fn what_events_take_broadcast_takes_with_all_that_it_adds() {
    let (events, broadcast) = (Limit::of(Topic::Events), Limit::of(Topic::Broadcast));
    let position = Position { epoch: Epoch(u64::MAX), sequence: i64::MAX as u64 };
    let longest = Code::ALL.iter().copied().max_by_key(|code| code.as_str().len()).unwrap();
    for (headers, size, good) in [
        (10, events.record, true),
        (10, events.record + 1, false),
        (events.headers, 4000, true),
        (events.headers + 1, 4000, false),
        (events.headers, events.record, true),
    ] {
        let raw = smallest(headers, size);
        let read = read(&raw, Topic::Events);
        assert_eq!(read.is_ok(), good, "{headers} headers, {size} bytes");
        let Ok(record) = read else { continue };
        for message in [Arc::new(record.message.at(position)), Arc::clone(&record.message)] {
            for record in
                [Record::message(Arc::clone(&message)), Record::known(Arc::clone(&message)), Record::refused(Arc::clone(&message), longest)]
            {
                let node = "n".repeat(64);
                let encoded = encode(&record, &node);
                assert!(encoded.fits(Topic::Broadcast), "{} of {}, {} headers", encoded.size(), broadcast.record, encoded.headers.len());
                assert!(encoded.size() <= size + 1024 && encoded.headers.len() <= headers + 8, "{} of {size}", encoded.size());
            }
        }
    }
}

#[test]
fn what_is_written_can_be_read_and_nothing_larger_is_written() {
    for topic in [Topic::Events, Topic::Broadcast] {
        let limit = Limit::of_ours(topic).record;
        let empty = message();
        let empty = Record::message(Arc::new(Message { body: Bytes::new(), ..empty }));
        let rest = limit - encode(&empty, "node-1").size();
        for (length, fits) in [(rest - 60, true), (rest, true), (rest + 1, false), (rest + 60, false)] {
            let record = Record::message(Arc::new(Message { body: vec![0; length].into(), ..message() }));
            let encoded = encode(&record, "node-1");
            assert_eq!(encoded.fits(topic), fits, "{length}");
            assert!(!fits || read(&raw_of(&encoded), topic).is_ok());
        }
    }
}

type Change = fn(&mut RawRecord);

#[test]
fn what_is_no_record_of_ours_has_a_reason() {
    let good = raw(&Record::message(Arc::new(message())));
    let cases: [(&str, Change); 27] = [
        ("ce_specversion", |raw| set(raw, "ce_specversion", None)),
        ("ce_specversion", |raw| set(raw, "ce_specversion", Some("2.0"))),
        ("version", |raw| set(raw, "ce_type", Some("footfall.message.v2"))),
        ("ce_type", |raw| set(raw, "ce_type", Some("com.example.paid"))),
        ("ce_type", |raw| set(raw, "ce_type", None)),
        ("ce_subject", |raw| set(raw, "ce_subject", Some("/topic/rooms.43"))),
        ("ce_subject", |raw| set(raw, "ce_subject", None)),
        ("no key", |raw| raw.key = None),
        ("no key", |raw| raw.key = Some(Bytes::new())),
        ("key is no UTF-8", |raw| raw.key = Some(Bytes::from_static(b"/topic/\xff"))),
        ("no destination", |raw| {
            raw.key = Some(Bytes::from_static(b"/topic/a*"));
            set(raw, "ce_subject", Some("/topic/a*"));
        }),
        // Another spelling of a private queue would be another key with an order of its own.
        ("no destination", |raw| raw.key = Some(Bytes::from_static(b"/user/%61lice/queue/x"))),
        ("ce_id", |raw| set(raw, "ce_id", None)),
        ("no UUID", |raw| set(raw, "ce_id", Some("00000000000000000000000000000001"))),
        ("ce_source", |raw| set(raw, "ce_source", None)),
        ("ce_source", |raw| set(raw, "ce_source", Some(""))),
        ("no ce_time", |raw| set(raw, "ce_time", None)),
        ("RFC 3339", |raw| set(raw, "ce_time", Some("now"))),
        ("ce_sender", |raw| set(raw, "ce_sender", Some("a\nb"))),
        ("ce_session", |raw| set(raw, "ce_session", Some(&"x".repeat(257)))),
        ("come together", |raw| set(raw, "ce_epoch", None)),
        ("ce_sequence", |raw| set(raw, "ce_sequence", Some("0"))),
        ("ce_sequence", |raw| set(raw, "ce_sequence", Some("9223372036854775808"))),
        ("more than one header ce_subject", |raw| raw.headers.push(("ce_subject".into(), Some(Bytes::from_static(b"/topic/rooms.42"))))),
        ("no UTF-8", |raw| raw.headers.push(("stomp_x".into(), Some(Bytes::from_static(b"\xff"))))),
        ("headers", |raw| (0..300).for_each(|_| raw.headers.push(("x".into(), None)))),
        ("bytes", |raw| raw.value = Some(Bytes::from(vec![0; 1_114_112]))),
    ];
    assert!(read(&good, Topic::Broadcast).is_ok());
    for (word, change) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let reason = read(&bad, Topic::Broadcast).expect_err(word);
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let elsewhere =
        Place { partition: (partition_of(b"/topic/rooms.42", PARTITIONS) + 1) % PARTITIONS, ..place(b"/topic/rooms.42", Topic::Events) };
    assert!(decode(&View::of_raw(&good), elsewhere).unwrap_err().contains("partition"));
    let mut unnamed = View::of_raw(&good);
    unnamed.bad_names = true;
    assert!(decode(&unnamed, place(b"/topic/rooms.42", Topic::Events)).unwrap_err().contains("name of a header"));
}

#[test]
fn answers_are_footfalls_own_and_on_broadcast_only() {
    for record in [Record::known(Arc::new(message())), Record::refused(Arc::new(message()), Code::SendDenied)] {
        let raw = raw(&record);
        assert_eq!(read(&raw, Topic::Broadcast).unwrap().kind, record.kind);
        assert!(read(&raw, Topic::Events).is_err());
        let mut foreign = raw;
        set(&mut foreign, "ce_source", Some("/billing"));
        assert!(read(&foreign, Topic::Broadcast).is_err());
    }
    let mut newer = raw(&Record::refused(Arc::new(message()), Code::SendDenied));
    set(&mut newer, "ce_code", Some("of-tomorrow"));
    assert_eq!(read(&newer, Topic::Broadcast).unwrap().kind, Kind::Refused(Code::Internal));
}

fn destinations() -> impl Strategy<Value = Destination> {
    let segment = "[a-zA-Z0-9_~:@!$&'()+,;=\u{e4}\u{fc}-]{1,12}";
    let plain = ("(topic|queue)", proptest::collection::vec(segment, 1..4), "[./]")
        .prop_map(|(kind, segments, mark)| Destination::parse(&format!("/{kind}/{}", segments.join(&mark))).unwrap());
    let private = ("[^\\p{Cc}]{1,20}", segment).prop_map(|(user, queue)| {
        Destination::user_queue(&UserName::new(&user).unwrap(), &Destination::parse(&format!("/queue/{queue}")).unwrap())
    });
    prop_oneof![plain, private]
}

prop_compose! {
    fn records()(
        id in any::<u128>(),
        destination in destinations(),
        sender in proptest::option::of("[^\\p{Cc}]{1,40}"),
        session in proptest::option::of(".{0,40}"),
        timestamp_ms in 0..253_402_300_800_000_u64,
        content_type in proptest::option::of("(application/[a-z]{1,10}|.{0,30}|application/cloudevents.{0,5})"),
        headers in proptest::collection::btree_map("[^\\x00]{1,20}", ".{0,40}", 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        position in proptest::option::of((any::<u64>(), 1..=i64::MAX as u64)),
        kind in prop_oneof![Just(Kind::Message), Just(Kind::Known), (0..Code::ALL.len()).prop_map(|index| Kind::Refused(Code::ALL[index]))],
    ) -> Record {
        let headers: Vec<(Box<str>, Box<str>)> =
            headers.into_iter().filter(|(name, _)| !reserved(name)).map(|(name, value)| (name.into(), value.into())).collect();
        Record { kind, message: Arc::new(Message {
            id: Uuid::from_u128(id),
            destination,
            sender: sender.map(|sender| UserName::new(&sender).unwrap()),
            session: session.map(Into::into),
            timestamp_ms,
            content_type: content_type.map(Into::into),
            headers: headers.into(),
            body: body.into(),
            position: position.map(|(epoch, sequence)| Position { epoch: Epoch(epoch), sequence }),
            rendered: RenderedOnce::default(),
        }) }
    }
}

fn raws() -> impl Strategy<Value = RawRecord> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from));
    let names = prop_oneof![
        proptest::sample::select(vec![
            "ce_id",
            "ce_source",
            "ce_specversion",
            "ce_type",
            "ce_time",
            "ce_subject",
            "ce_sequence",
            "ce_epoch",
            "stomp_a"
        ])
        .prop_map(str::to_owned),
        ".{0,20}"
    ];
    (bytes(), bytes(), proptest::collection::vec((names, bytes()), 0..12)).prop_map(|(key, value, headers)| RawRecord {
        key,
        value,
        headers,
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(record in records()) {
        let raw = raw(&record);
        let view = View::of_raw(&raw);
        let again = decode(&view, place(view.key.unwrap(), Topic::Broadcast)).unwrap();
        prop_assert_eq!(again.kind, record.kind);
        prop_assert_eq!(format!("{:?}", again.message), format!("{:?}", record.message));
        prop_assert_eq!(peek(&view), Some((record.message.destination.as_str(), record.message.id)));
    }

    #[test]
    fn garbage_has_a_reason_and_never_panics(raw in raws()) {
        let view = View::of_raw(&raw);
        let _seen = peek(&view);
        for topic in [Topic::Events, Topic::Broadcast] {
            prop_assert!(decode(&view, place(raw.key.as_deref().unwrap_or_default(), topic)).is_err());
        }
        prop_assert_eq!(&view.to_raw(), &raw);
    }

    #[test]
    fn a_record_with_one_part_changed_never_panics(record in records(), index in any::<prop::sample::Index>(), value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut raw = raw(&record);
        let index = index.index(raw.headers.len());
        raw.headers[index].1 = Some(value.into());
        let view = View::of_raw(&raw);
        let _seen = peek(&view);
        let _read = decode(&view, place(view.key.unwrap(), Topic::Broadcast));
    }
}
