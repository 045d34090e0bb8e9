//! Destinations: the addresses in frames, checked once where they enter, compared byte by byte ever after.

use std::fmt;
use std::sync::Arc;

use super::{BadPattern, Pattern, UserName};

/// The address of one sequence of messages.
///
/// Either what a client may name (`/topic/rooms.42`, `/queue/jobs`, `/app/chat/42`), or a user's private queue in
/// the form `/user/<name, percent-encoded>/queue/x`, which only footfall can make.
/// Routing and authorization look at the same value, so no spelling can pass one and miss the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Arc<str>);

/// A text that is no destination. Holds no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    #[error("A destination has at most {} characters.", Destination::MAX_CHARS)]
    TooLong,
    #[error("A destination begins with /topic/, /queue/, /app/ or /user/.")]
    Prefix,
    #[error("A destination has letters, digits and - _ ~ : @ ! $ & ' ( ) + , ; = in segments divided by / or .")]
    Character,
    #[error("A destination has no empty segments.")]
    EmptySegment,
    #[error("A user destination has the form /user/queue/name, or /user/{{user}}/queue/name to send to one user.")]
    User,
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

/// What SUBSCRIBE may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscribeTo {
    /// `/topic/…` or `/queue/…`
    Destination(Destination),
    /// A wildcard, kept apart from destinations: it is authorized as a pattern, never by one of its matches.
    Pattern(Pattern),
    /// `/user/queue/…`, here as the `/queue/…` part.
    OwnQueue(Destination),
    /// `/app/…`
    Application(Destination),
}

/// What SEND may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTo {
    Destination(Destination),
    /// `/user/{name}/queue/…`, here as the user and the `/queue/…` part.
    User(UserName, Destination),
    Application(Destination),
}

impl Destination {
    pub const MAX_CHARS: usize = 200;

    /// A destination that a client may name, wildcards and user destinations excepted.
    pub fn parse(text: &str) -> Result<Self, BadDestination> {
        check_length(text)?;
        let rest = ["/topic/", "/queue/", "/app/"].iter().find_map(|prefix| text.strip_prefix(prefix)).ok_or(BadDestination::Prefix)?;
        check_segments(rest)?;
        Ok(Self(text.into()))
    }

    /// The private queue of one user. `queue` is the `/queue/…` part.
    pub fn user_queue(user: &UserName, queue: &Self) -> Self {
        Self(format!("/user/{}{queue}", PercentEncoded(user.as_str())).into())
    }

    /// A destination that a store or a record holds, private queues included. Such a text was made by footfall or
    /// by a backend, so a user's name may make it longer than a client's could be.
    pub fn from_record(text: &str) -> Result<Self, BadDestination> {
        let Some(rest) = text.strip_prefix("/user/") else { return Self::parse(text) };
        let (user, queue) = split_user(rest)?;
        Ok(Self::user_queue(&user, &queue))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What clients see: a private queue without its user, everything else as it is.
    pub fn shown(&self) -> std::borrow::Cow<'_, str> {
        match self.queue_of_user() {
            Some(queue) => format!("/user{queue}").into(),
            None => (&*self.0).into(),
        }
    }

    /// The `/queue/…` part of a private queue.
    fn queue_of_user(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("/user/")?;
        // The name is percent-encoded, so the first slash ends it.
        rest.find('/').map(|slash| &rest[slash..])
    }

    pub fn is_user_queue(&self) -> bool {
        self.0.starts_with("/user/")
    }
}

/// So that a text can be looked up among destinations: equal and hashed as its text.
impl std::borrow::Borrow<str> for Destination {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl SubscribeTo {
    pub fn parse(text: &str) -> Result<Self, BadDestination> {
        check_length(text)?;
        if let Some(queue) = text.strip_prefix("/user") {
            let queue = Destination::parse(queue).map_err(|_| BadDestination::User)?;
            return if queue.as_str().starts_with("/queue/") { Ok(Self::OwnQueue(queue)) } else { Err(BadDestination::User) };
        }
        if text.contains(['*', '{', '}']) {
            return Ok(Self::Pattern(Pattern::wildcard(text)?));
        }
        let destination = Destination::parse(text)?;
        Ok(if text.starts_with("/app/") { Self::Application(destination) } else { Self::Destination(destination) })
    }
}

impl SendTo {
    pub fn parse(text: &str) -> Result<Self, BadDestination> {
        check_length(text)?;
        if let Some(rest) = text.strip_prefix("/user/") {
            let (user, queue) = split_user(rest)?;
            return Ok(Self::User(user, queue));
        }
        let destination = Destination::parse(text)?;
        Ok(if text.starts_with("/app/") { Self::Application(destination) } else { Self::Destination(destination) })
    }
}

/// `alice/queue/x` → the user and `/queue/x`.
fn split_user(rest: &str) -> Result<(UserName, Destination), BadDestination> {
    let slash = rest.find('/').ok_or(BadDestination::User)?;
    let (name, queue) = rest.split_at(slash);
    let name = percent_decode(name).ok_or(BadDestination::User)?;
    let user = UserName::new(&name).map_err(|_| BadDestination::User)?;
    if !queue.starts_with("/queue/") {
        return Err(BadDestination::User);
    }
    Ok((user, Destination::parse(queue)?))
}

fn check_length(text: &str) -> Result<(), BadDestination> {
    // Every character has at least one byte: a cheap bound before counting.
    if text.len() > 4 * Destination::MAX_CHARS || text.chars().count() > Destination::MAX_CHARS {
        return Err(BadDestination::TooLong);
    }
    Ok(())
}

fn check_segments(rest: &str) -> Result<(), BadDestination> {
    for segment in rest.split(['/', '.']) {
        if segment.is_empty() {
            return Err(BadDestination::EmptySegment);
        }
        if !segment.chars().all(allowed_in_segment) {
            return Err(BadDestination::Character);
        }
    }
    Ok(())
}

/// Letters and digits of any script, and the marks that URLs allow in a segment, except `.`, which divides segments,
/// and `*` and `%`, which other systems take for wildcards and escapes. Whatever is invisible, combines with its
/// neighbour or controls is no letter or digit.
pub(super) fn allowed_in_segment(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '-' | '_' | '~' | ':' | '@' | '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | ';' | '=')
}

/// A user's name with everything encoded that could end it or be taken for something else.
struct PercentEncoded<'a>(&'a str);

impl fmt::Display for PercentEncoded<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'@') {
                write!(out, "{}", char::from(byte))?;
            } else {
                write!(out, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_may_name() {
        for text in ["/topic/rooms.42", "/queue/jobs", "/topic/a/b.c", "/app/chat/42", "/topic/räume.ü", "/topic/a:b@c"] {
            assert_eq!(Destination::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn tricks_are_no_destinations() {
        for text in [
            "",
            "/",
            "topic/a",
            "/topic",
            "/topic/",
            "/topic//a",
            "/topic/a/",
            "/topic/a.",
            "/topic/..",
            "/topic/a..b",
            "/topic/../queue/a",
            "/topic/./a",
            "/TOPIC/a",
            "/topics/a",
            "/topic/%2e",
            "/topic/a%2fb",
            "/topic/a\\b",
            "/topic/a\0",
            "/topic/a\r",
            "/topic/a\n",
            "/topic/a b",
            "/topic/a>",
            "/topic/#",
            "/topic/a?",
            "/topic/\u{200b}a",
            "/topic/\u{feff}a",
            "/topic/a\u{301}",
            "/topic/\u{202e}a",
            "/topic/<a>",
            "/user/alice/queue/x",
            "/user/queue/x",
            "//topic/a",
            " /topic/a",
            "/topic/a\u{85}",
            "/exchange/a",
        ] {
            assert!(Destination::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Destination::parse(&format!("/topic/{}", "a".repeat(194))), Err(BadDestination::TooLong));
        assert!(Destination::parse(&format!("/topic/{}", "a".repeat(193))).is_ok());
    }

    #[test]
    fn a_private_queue_has_one_spelling_and_shows_no_name() {
        let queue = Destination::parse("/queue/notices").unwrap();
        let user = UserName::new("a/b%c d").unwrap();
        let private = Destination::user_queue(&user, &queue);
        assert_eq!(private.as_str(), "/user/a%2Fb%25c%20d/queue/notices");
        assert_eq!(private.shown(), "/user/queue/notices");
        assert_eq!(Destination::from_record(private.as_str()).unwrap(), private);
        for spelling in ["/user/a%2Fb%25c%20d/queue/notices", "/user/a%2fb%25c%20d/queue/notices", "/user/a%2Fb%25c d/queue/notices"] {
            assert_eq!(SendTo::parse(spelling), Ok(SendTo::User(user.clone(), queue.clone())), "{spelling}");
        }
    }

    #[test]
    fn nobody_subscribes_to_a_named_users_queue() {
        assert_eq!(SubscribeTo::parse("/user/queue/x"), Ok(SubscribeTo::OwnQueue(Destination::parse("/queue/x").unwrap())));
        for text in [
            "/user/alice/queue/x",
            "/user/",
            "/user/queue",
            "/user/queue/",
            "/user/topic/x",
            "/user/queue/*",
            "/user/**",
            "/user//queue/x",
            "/user/queue/../alice/queue/x",
            "/user/app/x",
            "/user/queue/{x}",
            "/*/queue/x",
            "/**",
            "/user*/queue/x",
            "/{user}/queue/x",
        ] {
            assert!(SubscribeTo::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_user_named_queue_can_be_written_to() {
        let queue = Destination::parse("/queue/x").unwrap();
        assert_eq!(SendTo::parse("/user/queue/queue/x"), Ok(SendTo::User(UserName::new("queue").unwrap(), queue)));
        assert_eq!(SendTo::parse("/user/queue/x"), Err(BadDestination::User));
    }
}
