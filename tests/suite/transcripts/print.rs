//! Effects as lines of a transcript.

use std::time::Duration;

use footfall::message::{AckMode, SendTo, SubscribeTo};
use footfall::session::{From, HeartBeats, Request, Send, Subscribe};
use stomp_frames::Version;

/// A frame as the lines that the client gets.
pub(super) fn frame(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace('\0', "^@").replace('\r', "^M");
    text.lines().map(|line| if line.is_empty() { "<".to_owned() } else { format!("< {line}") }).collect()
}

pub(super) fn negotiated(version: Version, HeartBeats { send, expect }: HeartBeats) -> String {
    let every = |interval: Option<Duration>| interval.map_or_else(|| "never".to_owned(), |interval| format!("every {interval:?}"));
    format!("= negotiated {version}, sends {}, expects {}", every(send), every(expect))
}

pub(super) fn asked(request: &Request) -> String {
    match request {
        Request::Connect(connect) => {
            let shown = |name: &str, value: Option<&str>| value.map(|value| format!(" {name}={value}")).unwrap_or_default();
            let authorization = shown("authorization", connect.authorization.as_deref());
            format!("? CONNECT{authorization}{}", shown("passcode", connect.passcode.as_deref()))
        }
        Request::Send(ticket, Send { to, content_type, headers, idempotency_key, body }) => {
            let to = match to {
                SendTo::Destination(to) | SendTo::Application(to) => to.to_string(),
                SendTo::User(user, queue) => format!("user {user} {queue}"),
            };
            let key = idempotency_key.as_deref().map(|key| format!(" key={key}")).unwrap_or_default();
            let content_type = content_type.as_deref().map(|content_type| format!(" type={content_type}")).unwrap_or_default();
            let headers: Vec<String> = headers.iter().map(|(name, value)| format!(" {name}={}", value.escape_debug())).collect();
            format!("? {} SEND {to}{key}{content_type}{} {:?}", ticket.0, headers.concat(), String::from_utf8_lossy(body))
        }
        Request::Refresh(ticket, refresh) => {
            let authorization = refresh.authorization.as_deref().map(|value| format!(" authorization={value}")).unwrap_or_default();
            format!("? {} REFRESH{authorization} {:?}", ticket.0, String::from_utf8_lossy(&refresh.body))
        }
        Request::Subscribe(ticket, Subscribe { to, from, tag, receipt }) => {
            let to = match to {
                SubscribeTo::Destination(to) | SubscribeTo::Application(to) => to.to_string(),
                SubscribeTo::Pattern(pattern) => format!("pattern {pattern}"),
                SubscribeTo::OwnQueue(queue) => format!("own {queue}"),
            };
            let ack = match tag.ack {
                AckMode::Auto => "",
                AckMode::Client => " ack=client",
                AckMode::ClientIndividual => " ack=client-individual",
            };
            let from = match from {
                From::Now => String::new(),
                From::History(number) => format!(" history={number}"),
                From::After(position) => format!(" after={position}"),
            };
            let receipt = if *receipt { " with receipt" } else { "" };
            format!("? {} SUBSCRIBE {to} id={}{ack}{from}{receipt}", ticket.0, tag.id.escape_debug())
        }
        Request::Unsubscribe(ticket, tag) => format!("? {} UNSUBSCRIBE id={}", ticket.0, tag.id.escape_debug()),
    }
}
