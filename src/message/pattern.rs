//! Patterns over destinations: `{name}` and `*` stand for one segment, `**` for any number; `/` and `.` divide
//! segments and must match themselves.

use std::fmt;
use std::sync::Arc;

use super::Destination;
use super::destination::allowed_in_segment;

/// A destination with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Arc<str>,
    segments: Arc<[(Separator, Segment)]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Separator {
    Slash,
    Dot,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    /// `*`, or `{name}` with its name.
    One(Option<Box<str>>),
    /// `**`, only as the last segment: it takes the rest, at least one segment.
    Rest,
}

impl Segment {
    fn unnamed(&self) -> Self {
        match self {
            Self::One(_) => Self::One(None),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(word) => out.write_str(word),
            Self::One(Some(name)) => write!(out, "{{{name}}}"),
            Self::One(None) => out.write_str("*"),
            Self::Rest => out.write_str("**"),
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Slash => "/",
            Self::Dot => ".",
        })
    }
}

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("A pattern begins with /topic/, /queue/, /app/ or /user/queue/, and a client's wildcard with /topic/ or /queue/.")]
    Prefix,
    #[error("A segment of a pattern is a plain word, *, ** or {{name}} as a whole, and none is empty.")]
    Segment,
    #[error("** stands for the rest of a destination, so it comes last.")]
    RestNotLast,
    #[error("A name in braces is used twice.")]
    RepeatedName,
}

/// What the named placeholders of a pattern stood for.
pub type Captures = Vec<(Box<str>, Box<str>)>;

impl Pattern {
    /// A pattern in the settings; `/user/queue/…` is matched against what clients see of a private queue.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if !["/topic/", "/queue/", "/app/", "/user/queue/"].iter().any(|prefix| text.len() > prefix.len() && text.starts_with(prefix)) {
            return Err(BadPattern::Prefix);
        }
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let divided = split(text);
        let last = divided.len() - 1;
        for (index, (separator, word)) in divided.into_iter().enumerate() {
            let segment = match word {
                "*" => Segment::One(None),
                "**" if index == last => Segment::Rest,
                "**" => return Err(BadPattern::RestNotLast),
                _ => match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                    Some(name) => {
                        let plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
                            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                        if !plain {
                            return Err(BadPattern::Segment);
                        }
                        if names.contains(&name) {
                            return Err(BadPattern::RepeatedName);
                        }
                        names.push(name);
                        Segment::One(Some(name.into()))
                    }
                    None if !word.is_empty() && word.chars().all(allowed_in_segment) => Segment::Literal(word.into()),
                    None => return Err(BadPattern::Segment),
                },
            };
            segments.push((separator, segment));
        }
        Ok(Self { text: text.into(), segments: segments.into() })
    }

    /// A wildcard in a client's SUBSCRIBE. It can't reach `/user/…` or `/app/…`.
    /// Its placeholders lose their names, which nobody asks for: so all that mean the same are the same.
    pub fn wildcard(text: &str) -> Result<Self, BadPattern> {
        if !text.starts_with("/topic/") && !text.starts_with("/queue/") {
            return Err(BadPattern::Prefix);
        }
        let named = Self::parse(text)?;
        let segments: Vec<_> = named.segments.iter().map(|(separator, segment)| (*separator, segment.unnamed())).collect();
        let mut text = String::new();
        for (separator, segment) in &segments {
            text.push_str(&separator.to_string());
            text.push_str(&segment.to_string());
        }
        Ok(Self { text: text.into(), segments: segments.into() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this text, the shown form of a destination, fits.
    pub fn fits(&self, shown: &str) -> bool {
        self.walk(shown, |_, _| ())
    }

    /// Whether this text, the shown form of a destination, fits; with what the named placeholders stood for.
    pub fn captures(&self, shown: &str) -> Option<Captures> {
        let mut captures = Captures::new();
        self.walk(shown, |name, word| captures.push((name.into(), word.into()))).then_some(captures)
    }

    pub fn matches(&self, destination: &Destination) -> bool {
        // A private queue is matched by nobody's wildcard, whatever the pattern says.
        !destination.is_user_queue() && self.walk(destination.as_str(), |_, _| ())
    }

    /// Whether every destination that `other` matches is matched by this pattern too.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        for (separator, mine) in self.segments.iter() {
            let Some((their_separator, their)) = theirs.next() else { return false };
            if separator != their_separator {
                return false;
            }
            match (mine, their) {
                (Segment::Rest, _) => return true,
                (Segment::One(_), Segment::One(_) | Segment::Literal(_)) => {}
                (Segment::Literal(mine), Segment::Literal(their)) if mine == their => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some destination is matched by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        for (separator, mine) in self.segments.iter() {
            let Some((their_separator, their)) = theirs.next() else { return false };
            if separator != their_separator {
                return false;
            }
            match (mine, their) {
                // Each takes at least one segment, and the other has one here.
                (Segment::Rest, _) | (_, Segment::Rest) => return true,
                (Segment::Literal(mine), Segment::Literal(their)) if mine != their => return false,
                _ => {}
            }
        }
        theirs.next().is_none()
    }

    /// What stands for the named placeholders of `other`'s text when a pattern is authorized: only words, never wildcards.
    pub fn captures_of(&self, other: &Self) -> Option<Captures> {
        if !self.covers(other) {
            return None;
        }
        let named = self.segments.iter().zip(other.segments.iter()).filter_map(|((_, mine), (_, their))| match (mine, their) {
            (Segment::One(Some(name)), Segment::Literal(word)) => Some((name.clone(), word.clone())),
            _ => None,
        });
        Some(named.collect())
    }

    /// The destination that this pattern describes once its placeholders are replaced.
    pub fn fill(&self, captures: &Captures) -> Option<String> {
        let mut text = String::new();
        for (separator, segment) in self.segments.iter() {
            text.push_str(&separator.to_string());
            match segment {
                Segment::Literal(word) => text.push_str(word),
                Segment::One(Some(name)) => text.push_str(&captures.iter().find(|(known, _)| known == name)?.1),
                Segment::One(None) | Segment::Rest => return None,
            }
        }
        Some(text)
    }

    /// The names of the placeholders, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|(_, segment)| match segment {
            Segment::One(Some(name)) => Some(&**name),
            _ => None,
        })
    }

    fn walk<'a>(&'a self, text: &'a str, mut captured: impl FnMut(&'a str, &'a str)) -> bool {
        let mut words = split_iter(text);
        for (separator, segment) in self.segments.iter() {
            let Some((found, word)) = words.next() else { return false };
            if found != *separator {
                return false;
            }
            match segment {
                Segment::Literal(literal) if **literal == *word => {}
                Segment::Literal(_) => return false,
                Segment::One(Some(name)) => captured(name, word),
                Segment::One(None) => {}
                Segment::Rest => return true,
            }
        }
        words.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn split(text: &str) -> Vec<(Separator, &str)> {
    split_iter(text).collect()
}

/// `/topic/rooms.42` → `/ topic`, `/ rooms`, `. 42`.
fn split_iter(text: &str) -> impl Iterator<Item = (Separator, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let separator = match rest.bytes().next()? {
            b'/' => Separator::Slash,
            _ => Separator::Dot,
        };
        let after = &rest[1..];
        let end = memchr_separator(after);
        rest = &after[end..];
        Some((separator, &after[..end]))
    })
}

fn memchr_separator(text: &str) -> usize {
    text.bytes().position(|byte| byte == b'/' || byte == b'.').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, text: &str) -> Option<String> {
        let captures = Pattern::parse(pattern).unwrap().captures(text)?;
        Some(captures.iter().map(|(name, word)| format!("{name}={word}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn placeholders_stand_for_segments() {
        for (pattern, text, expected) in [
            ("/topic/rooms.{room}", "/topic/rooms.42", Some("room=42")),
            ("/topic/rooms.{room}", "/topic/rooms/42", None),
            ("/topic/rooms.{room}", "/topic/rooms.42.typing", None),
            ("/topic/rooms.{room}", "/topic/rooms", None),
            ("/topic/{a}/{b}", "/topic/x/y", Some("a=x b=y")),
            ("/topic/*", "/topic/a", Some("")),
            ("/topic/*", "/topic/a.b", None),
            ("/topic/**", "/topic/a.b/c", Some("")),
            ("/topic/a.**", "/topic/a", None),
            ("/topic/a.**", "/topic/a.b.c", Some("")),
            ("/topic/a", "/topic/ab", None),
            ("/user/queue/{name}", "/user/queue/errors", Some("name=errors")),
        ] {
            assert_eq!(captures(pattern, text).as_deref(), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "/topic/",
            "/topic",
            "/topic/a*",
            "/topic/**/a",
            "/topic/{}",
            "/topic/{a b}",
            "/topic/{a}.{a}",
            "/topic//a",
            "/user/alice/queue/x",
            "/x/*",
            "/topic/{1}",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn wildcards_that_mean_the_same_are_the_same() {
        let wildcard = |text| Pattern::wildcard(text).unwrap();
        assert_eq!(wildcard("/topic/rooms.{a}"), wildcard("/topic/rooms.*"));
        assert_eq!(wildcard("/topic/{a}/b.{c}").as_str(), "/topic/*/b.*");
        assert_eq!(wildcard("/topic/**").as_str(), "/topic/**");
        assert!(Pattern::wildcard("/user/queue/*").is_err());
    }

    #[test]
    fn a_pattern_covers_narrower_ones_only() {
        for (mine, other, expected) in [
            ("/topic/rooms.*", "/topic/rooms.*", true),
            ("/topic/rooms.{room}", "/topic/rooms.*", true),
            ("/topic/**", "/topic/rooms.*", true),
            ("/topic/rooms.*", "/topic/**", false),
            ("/topic/rooms.*", "/topic/rooms.**", false),
            ("/topic/rooms.a", "/topic/rooms.*", false),
            ("/topic/rooms.*", "/topic/*.*", false),
            ("/topic/rooms.**", "/topic/rooms.a.*", true),
            ("/topic/*", "/topic/a.*", false),
        ] {
            assert_eq!(Pattern::parse(mine).unwrap().covers(&Pattern::parse(other).unwrap()), expected, "{mine} {other}");
        }
    }

    #[test]
    fn patterns_overlap_if_one_destination_fits_both() {
        for (mine, other, expected) in [
            ("/topic/rooms.*", "/topic/*.42", true),
            ("/topic/rooms.*", "/topic/rooms.42", true),
            ("/topic/rooms.41", "/topic/rooms.42", false),
            ("/topic/rooms.*", "/topic/rooms/*", false),
            ("/topic/**", "/topic/rooms.*", true),
            ("/topic/a.**", "/topic/a", false),
            ("/topic/a.**", "/topic/*", false),
            ("/topic/a.**", "/topic/*.b.*", true),
            ("/topic/a.**", "/topic/**", true),
            ("/topic/a/**", "/topic/a.**", false),
            ("/topic/*", "/queue/*", false),
            ("/topic/{a}", "/topic/{b}.{c}", false),
        ] {
            let (mine, other) = (Pattern::parse(mine).unwrap(), Pattern::parse(other).unwrap());
            assert_eq!(mine.overlaps(&other), expected, "{mine} {other}");
            assert_eq!(other.overlaps(&mine), expected, "{other} {mine}");
        }
    }

    #[test]
    fn a_target_is_filled_from_captures() {
        let captures = Pattern::parse("/app/chat/{room}").unwrap().captures("/app/chat/42").unwrap();
        assert_eq!(Pattern::parse("/topic/rooms.{room}").unwrap().fill(&captures).as_deref(), Some("/topic/rooms.42"));
        assert_eq!(Pattern::parse("/topic/rooms.{other}").unwrap().fill(&captures), None);
    }
}
