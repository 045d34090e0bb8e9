//! A record of ours as the bytes that go to Kafka.

use std::borrow::Cow;

use bytes::Bytes;

use super::{KNOWN, MESSAGE, OWN_SOURCE, REFUSED, SPEC_VERSION, header, rfc3339};
use crate::bus::kafka::size::{Limit, record_size};
use crate::bus::{Kind, Record, Topic};

#[derive(Debug)]
pub(in crate::bus::kafka) struct Encoded<'a> {
    pub(in crate::bus::kafka) key: &'a str,
    pub(in crate::bus::kafka) value: Bytes,
    pub(in crate::bus::kafka) headers: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
}

impl Encoded<'_> {
    /// Whether the topic and its readers will take it.
    pub(in crate::bus::kafka) fn fits(&self, topic: Topic) -> bool {
        let limit = Limit::of_ours(topic);
        self.headers.len() <= limit.headers && self.head_size() <= limit.head && self.size() <= limit.record
    }

    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| (&**name, Some(&**value)));
        record_size(Some(self.key.as_bytes()), Some(&self.value), headers)
    }

    fn head_size(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// `node` is this node's id. The first headers are those by which a reader tells whether anyone wants the record.
pub(in crate::bus::kafka) fn encode<'a>(record: &'a Record, node: &str) -> Encoded<'a> {
    let message = &*record.message;
    let destination = message.destination.as_str();
    let mut headers = Vec::with_capacity(14 + message.headers.len());
    let mut put = |name: &'static str, value: Cow<'a, str>| headers.push((Cow::Borrowed(name), bytes(value)));
    put(header::ID, message.id.to_string().into());
    put(header::SOURCE, format!("{OWN_SOURCE}{node}").into());
    put(header::SPEC_VERSION, SPEC_VERSION.into());
    match record.kind {
        Kind::Message => put(header::TYPE, MESSAGE.into()),
        Kind::Known => put(header::TYPE, KNOWN.into()),
        Kind::Refused(code) => {
            put(header::TYPE, REFUSED.into());
            put(header::CODE, code.as_str().into());
        }
    }
    put(header::TIME, rfc3339(message.timestamp_ms).into());
    put(header::SUBJECT, destination.into());
    if let Some(position) = message.position {
        put(header::SEQUENCE, position.sequence.to_string().into());
        put(header::EPOCH, position.epoch.to_string().into());
    }
    if let Some(sender) = &message.sender {
        put(header::SENDER, sender.as_str().into());
    }
    if let Some(session) = &message.session {
        put(header::SESSION, (&**session).into());
    }
    if let Some(content_type) = message.content_type.as_deref() {
        if is_structured(content_type) {
            // Readers of CloudEvents would take the body for the event itself, and believe what the client wrote there.
            put(header::CONTENT_TYPE, "application/octet-stream".into());
            put(header::STOMP_CONTENT_TYPE, content_type.into());
        } else {
            put(header::CONTENT_TYPE, content_type.into());
        }
    }
    for (name, value) in message.headers.iter() {
        // Kafka's clients in C end a name at its first NUL, so this one would come back as another.
        if !name.contains('\0') {
            headers.push((format!("{}{name}", header::STOMP).into(), Cow::Borrowed(value.as_bytes())));
        }
    }
    Encoded { key: destination, value: message.body.clone(), headers }
}

/// CloudEvents tells its structured mode by this content type alone.
fn is_structured(content_type: &str) -> bool {
    const STRUCTURED: &str = "application/cloudevents";
    content_type.trim_start().get(..STRUCTURED.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(STRUCTURED))
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
