//! Kafka's bytes as a record, or a sentence that says why they are none. The sentences quote nothing: what a record
//! holds is its sender's.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::time::parse as parse_time;
use super::{KNOWN, MAX_ID, MAX_SOURCE, MESSAGE, OWN_SOURCE, REFUSED, SPEC_VERSION, View, header};
use crate::bus::kafka::size::{Limit, record_size};
use crate::bus::partitioner::partition_of;
use crate::bus::{Kind, Record, Topic};
use crate::message::{ClientHeaders, Code, Destination, Message, Position, RenderedOnce, UserName, foreign_id};

/// Where a record was found.
#[derive(Debug, Clone, Copy)]
pub(in crate::bus::kafka) struct Place {
    pub(in crate::bus::kafka) topic: Topic,
    pub(in crate::bus::kafka) partition: u32,
    /// How many the topic has.
    pub(in crate::bus::kafka) partitions: u32,
    /// Kafka's time, for a record that says none.
    pub(in crate::bus::kafka) timestamp_ms: Option<i64>,
    /// Header names that no sender may choose.
    pub(in crate::bus::kafka) reserved: fn(&str) -> bool,
}

type Reason = String;

/// By what a record is dropped that nobody on this node wants: its key and the id of its message. None if that can't
/// be told, as of a record that is none of ours.
pub(in crate::bus::kafka) fn peek<'a>(view: &View<'a>) -> Option<(&'a str, Uuid)> {
    let key = str::from_utf8(view.key?).ok()?;
    let first = |wanted| view.headers.iter().find(|(name, _)| *name == wanted).and_then(|(_, value)| str::from_utf8((*value)?).ok());
    let source = first(header::SOURCE)?;
    let id = first(header::ID)?;
    let id = if source.starts_with(OWN_SOURCE) { own_id(id)? } else { foreign_id(source, &Destination::from_record(key).ok()?, id) };
    Some((key, id))
}

pub(in crate::bus::kafka) fn decode(view: &View<'_>, place: Place) -> Result<Record, Reason> {
    check_size(view, place.topic)?;
    let known = Attributes::find(view)?;
    if known.spec_version != Some(SPEC_VERSION) {
        return Err("It has no header ce_specversion with the value 1.0, so it is no CloudEvents record in binary mode.".into());
    }
    let destination = destination(view, &known, place)?;
    let source = known.source.filter(|source| !source.is_empty() && source.len() <= MAX_SOURCE);
    let source = source.ok_or("It has no ce_source, or one that is too long.")?;
    let is_own = source.starts_with(OWN_SOURCE);
    let kind = kind(&known, place.topic, is_own)?;
    let id = known.id.filter(|id| !id.is_empty() && id.len() <= MAX_ID).ok_or("It has no ce_id, or one that is too long.")?;
    let id = if is_own { own_id(id).ok_or("Its ce_id is no UUID, as footfall's are.")? } else { foreign_id(source, &destination, id) };
    let sender = known.sender.map(UserName::new).transpose().map_err(|_| "Its ce_sender can't be a user name.")?;
    if known.session.is_some_and(|session| session.len() > MAX_ID) {
        return Err("Its ce_session is too long.".into());
    }
    Ok(Record {
        kind,
        message: Arc::new(Message {
            id,
            sender,
            session: known.session.map(Into::into),
            timestamp_ms: timestamp(&known, is_own, place.timestamp_ms)?,
            content_type: known.stomp_content_type.or(known.content_type).map(Into::into),
            headers: client_headers(view, place.reserved)?,
            body: Bytes::copy_from_slice(view.value.unwrap_or_default()),
            // Sequences are given where events are stored, and by footfall only.
            position: if place.topic == Topic::Broadcast && is_own { position(&known)? } else { None },
            destination,
            rendered: RenderedOnce::default(),
        }),
    })
}

/// Of *events* only what can be sent on, with what *broadcast* adds: a compressed batch may hold far larger records than
/// the topic takes.
fn check_size(view: &View<'_>, topic: Topic) -> Result<(), Reason> {
    let limit = Limit::of(topic);
    if view.bad_names {
        return Err("The name of a header is no UTF-8.".into());
    }
    if view.headers.len() > limit.headers || view.head_size() > limit.head {
        return Err(format!("It has more than {} headers, or more than {} bytes of them.", limit.headers, limit.head));
    }
    if record_size(view.key, view.value, view.headers.iter().copied()) > limit.record {
        return Err(format!("It has more than {} bytes, which could not be sent on to all nodes.", limit.record));
    }
    Ok(())
}

/// The headers that mean something, each at most once: readers differ in whether the first or the last one counts.
#[derive(Default)]
struct Attributes<'a> {
    spec_version: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    kind: Option<&'a str>,
    time: Option<&'a str>,
    subject: Option<&'a str>,
    sequence: Option<&'a str>,
    epoch: Option<&'a str>,
    sender: Option<&'a str>,
    session: Option<&'a str>,
    code: Option<&'a str>,
    content_type: Option<&'a str>,
    stomp_content_type: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn find(view: &View<'a>) -> Result<Self, Reason> {
        let mut found = Self::default();
        for (name, value) in &view.headers {
            let Some(place) = found.place(name) else { continue };
            // A header without a value is as good as none.
            let Some(value) = value else { continue };
            let value = str::from_utf8(value).map_err(|_| format!("The value of its header {name} is no UTF-8."))?;
            if place.replace(value).is_some() {
                return Err(format!("It has more than one header {name}."));
            }
        }
        Ok(found)
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            header::SPEC_VERSION => &mut self.spec_version,
            header::ID => &mut self.id,
            header::SOURCE => &mut self.source,
            header::TYPE => &mut self.kind,
            header::TIME => &mut self.time,
            header::SUBJECT => &mut self.subject,
            header::SEQUENCE => &mut self.sequence,
            header::EPOCH => &mut self.epoch,
            header::SENDER => &mut self.sender,
            header::SESSION => &mut self.session,
            header::CODE => &mut self.code,
            header::CONTENT_TYPE => &mut self.content_type,
            header::STOMP_CONTENT_TYPE => &mut self.stomp_content_type,
            _ => return None,
        })
    }
}

/// The key, if it is one, and all else agrees with it: a destination whose records lay in two partitions, or under two
/// spellings, would have no order.
fn destination(view: &View<'_>, known: &Attributes<'_>, place: Place) -> Result<Destination, Reason> {
    let key = view.key.filter(|key| !key.is_empty()).ok_or("It has no key; the key is the destination.")?;
    let key_text = str::from_utf8(key).map_err(|_| "Its key is no UTF-8.")?;
    let destination = Destination::from_record(key_text).ok().filter(|destination| destination.as_str() == key_text);
    let destination = destination.ok_or("Its key is no destination of footfall.")?;
    if known.subject != Some(key_text) {
        return Err("Its ce_subject is not its key.".into());
    }
    let right = partition_of(key, place.partitions);
    if right != place.partition {
        return Err(format!(
            "It lies in partition {}, and records with its key belong in {right} (murmur2, as Java does it).",
            place.partition
        ));
    }
    Ok(destination)
}

fn kind(known: &Attributes<'_>, topic: Topic, is_own: bool) -> Result<Kind, Reason> {
    let kind = match known.kind {
        Some(MESSAGE) => return Ok(Kind::Message),
        Some(KNOWN) => Kind::Known,
        Some(REFUSED) => {
            let code = Code::ALL.iter().copied().find(|code| known.code == Some(code.as_str()));
            // A newer node may have codes that this one has not; that it was refused is what counts.
            Kind::Refused(code.unwrap_or(Code::Internal))
        }
        None => return Err("It has no ce_type.".into()),
        Some(other) if other.starts_with("footfall.") => return Err("Its ce_type is of a version that this footfall does not know.".into()),
        Some(_) => return Err(format!("Its ce_type is not {MESSAGE}.")),
    };
    if topic == Topic::Events || !is_own {
        return Err("Its ce_type is for footfall's own answers on the broadcast topic.".into());
    }
    Ok(kind)
}

/// As footfall writes it; a UUID has other spellings, but an id has one.
fn own_id(text: &str) -> Option<Uuid> {
    // Of 32, 36, 38 and 45 characters, the second.
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

fn timestamp(known: &Attributes<'_>, is_own: bool, kafkas: Option<i64>) -> Result<u64, Reason> {
    match known.time {
        Some(time) => parse_time(time).ok_or_else(|| "Its ce_time is no time as RFC 3339 has it, or one before 1970.".into()),
        None if is_own => Err("It has no ce_time.".into()),
        None => Ok(kafkas.and_then(|time| u64::try_from(time).ok()).unwrap_or_default()),
    }
}

fn position(known: &Attributes<'_>) -> Result<Option<Position>, Reason> {
    let (sequence, epoch) = match (known.sequence, known.epoch) {
        (None, None) => return Ok(None),
        (Some(sequence), Some(epoch)) => (sequence, epoch),
        _ => return Err("It has one of ce_sequence and ce_epoch; they come together.".into()),
    };
    let position = format!("{epoch}:{sequence}").parse::<Position>().ok().filter(|position| position.sequence > 0);
    position.map(Some).ok_or_else(|| "Its ce_epoch is not 16 hex digits, or its ce_sequence is no number from 1.".into())
}

/// STOMP's rule for repeated headers: the first one counts.
fn client_headers(view: &View<'_>, reserved: fn(&str) -> bool) -> Result<ClientHeaders, Reason> {
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (name, value) in &view.headers {
        let Some(name) = name.strip_prefix(header::STOMP) else { continue };
        let Some(value) = value else { continue };
        if name.is_empty() || reserved(name) || headers.iter().any(|(earlier, _)| **earlier == *name) {
            continue;
        }
        let value = str::from_utf8(value).map_err(|_| "The value of a client's header is no UTF-8.")?;
        headers.push((name.into(), value.into()));
    }
    Ok(headers.into())
}
