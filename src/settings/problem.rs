//! What is wrong with the settings, as an operator reads it: where, what, and what was meant. Never the value of a secret.

use std::fmt::{self, Write};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::check::Wrong;
use super::reader::{Failure, Kind};
use super::suggest::nearest;
use super::tree::{Node, Origin, PREFIX, Value};

/// Words in a key's name that make all under it a secret; better one key too many.
const SECRET_WORDS: &[&str] = &["secret", "passw", "passcode", "passphrase", "token", "private", "credential"];

/// So many known keys are worth listing when none is near.
const MOST_KNOWN: usize = 16;

/// Of longer lines the part around the mark is shown.
const LONGEST_LINE: usize = 160;

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings file {} can't be read", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// At least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong; shown as `place: sentence`, and the line if it comes from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `footfall.toml:3:1`, or the name of a variable.
    pub place: String,
    pub sentence: String,
    /// The line with its number, and a line that marks the part.
    excerpt: Option<String>,
    /// Where in the file; variables come last.
    offset: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.sentence)?;
        self.excerpt.iter().try_for_each(|excerpt| write!(out, "\n{excerpt}"))
    }
}

impl Problem {
    /// A problem without a line: `place` is a variable, or the key that a later check found wrong.
    pub fn new(place: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { place: place.into(), sentence: sentence.into(), excerpt: None, offset: usize::MAX }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

/// The file, for showing parts of it.
pub(super) struct Source {
    name: String,
    text: String,
}

impl Source {
    pub(super) fn none() -> Self {
        Self { name: "settings".to_owned(), text: String::new() }
    }

    pub(super) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned() }
    }

    pub(super) fn read(path: &Path) -> Result<Self, SettingsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { name: path.display().to_string(), text }),
            Err(source) => Err(SettingsError::Read { path: path.to_owned(), source }),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A problem of the syntax, where nothing is known yet about which key a line belongs to.
    pub(super) fn syntax(&self, message: &str, span: Option<Range<usize>>) -> Problem {
        let span = span.unwrap_or(self.text.len()..self.text.len());
        let line = self.line(span.start);
        let quoted = self.text[line.start..span.start.min(line.end)].contains(['"', '\'']);
        let start = if quoted { span.start } else { line.start };
        let excerpt = self.shows_no_secret(&line).then(|| self.excerpt(&span, start..line.end, "")).flatten();
        Problem { place: self.place(span.start), sentence: message.to_owned(), excerpt, offset: span.start }
    }

    pub(super) fn describe(&self, tree: &Node, failure: &Failure) -> Problem {
        let place = failure.place();
        let node = tree.nearest(&place);
        let secret = place.iter().any(|name| is_secret(name)) || node.origin.variable().is_some_and(is_secret);
        let sentence = sentence(tree, failure, secret || holds_secret(node));
        match &node.origin {
            Origin::Everything => Problem { place: self.name.clone(), sentence, excerpt: None, offset: 0 },
            Origin::Variable(name) => Problem::new(name.as_ref(), variable_sentence(tree, failure, sentence)),
            Origin::File { key, value } => {
                let unknown = matches!(failure.kind, Kind::UnknownKey { .. });
                let (span, end, rest) = match key {
                    // A misspelt key may be a secret's, so its value is not shown.
                    Some(key) if unknown => (key, key.end, self.after_key(key.end)),
                    _ => (value, value.end, ""),
                };
                let line = self.line(span.start);
                let shown = !secret && !is_secret(&self.text[line.clone()]);
                // What stands before the span could be a secret whose key was misspelt, if it holds a text.
                let quoted = self.text[line.start..span.start.min(line.end)].contains(['"', '\'']);
                let start = if quoted { span.start } else { line.start };
                let excerpt = shown.then(|| self.excerpt(span, start..end, rest)).flatten();
                let sentence = match path_text(tree, &failure.path) {
                    path if matches!(failure.kind, Kind::UnknownKey { .. } | Kind::Missing(_)) || path.is_empty() => sentence,
                    path => format!("`{path}`: {sentence}"),
                };
                Problem { place: self.place(span.start), sentence, excerpt, offset: span.start }
            }
        }
    }

    fn place(&self, offset: usize) -> String {
        let line = self.line(offset);
        let number = self.text[..line.start].matches('\n').count() + 1;
        let column = self.text[line.start..offset.min(line.end)].chars().count() + 1;
        format!("{}:{number}:{column}", self.name)
    }

    /// The line around this offset, without its end.
    fn line(&self, offset: usize) -> Range<usize> {
        let offset = offset.min(self.text.len());
        let start = self.text[..offset].rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length);
        start..end
    }

    /// Closes a header, or stands for the value.
    fn after_key(&self, end: usize) -> &'static str {
        match self.text[end..].trim_start_matches(['"', '\'', ' ']).chars().next() {
            Some(']') => "]",
            Some('=') => " = …",
            _ => "",
        }
    }

    /// What a later check found. All keys are known by now, so no secret stands under a misspelt one.
    pub(super) fn locate(&self, tree: &Node, wrong: &Wrong) -> Problem {
        let path: Vec<String> = wrong.path.split(['.', '[', ']']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let node = tree.nearest(&path);
        let sentence = format!("`{}`: {}", wrong.path, wrong.sentence);
        match &node.origin {
            Origin::Everything => Problem { place: self.name.clone(), sentence, excerpt: None, offset: 0 },
            Origin::Variable(name) if variable_name(&path) == name.to_uppercase() => Problem::new(name.as_ref(), wrong.sentence.clone()),
            Origin::Variable(name) => Problem::new(name.as_ref(), sentence),
            Origin::File { key, value } => {
                let inner = wrong.within.and_then(|(line, column)| self.within(node, value, line, column));
                // The place says it better than the sentence, which counts from the text's own begin.
                let sentence = if inner.is_some() { sentence.replacen(&position_text(wrong.within), "", 1) } else { sentence };
                let span = inner.map_or_else(|| value.clone(), |offset| offset..offset);
                let excerpt = self.located_excerpt(&path, node, key.as_ref(), value, &span);
                Problem { place: self.place(span.start), sentence, excerpt, offset: span.start }
            }
        }
    }

    fn located_excerpt(
        &self,
        path: &[String],
        node: &Node,
        key: Option<&Range<usize>>,
        value: &Range<usize>,
        span: &Range<usize>,
    ) -> Option<String> {
        let line = self.line(span.start);
        let start = key.map_or(value.start, |key| key.start);
        if matches!(node.value, Value::Table(_)) && self.text[line.clone()].trim_start().starts_with('[') {
            // A header, which holds nothing but names.
            self.excerpt(value, value.clone(), "")
        } else if path.iter().any(|name| is_secret(name)) || holds_secret(node) {
            key.and_then(|key| self.excerpt(&(value.start..value.start), key.start..value.start, "…"))
        } else if is_secret(&self.text[line.clone()]) {
            // Its neighbours on the line may be secret.
            self.excerpt(span, start.max(line.start)..value.end, "")
        } else {
            self.excerpt(span, line, "")
        }
    }

    /// Where in the file a line and column of a text are, if the file has the text as it is, without escapes.
    fn within(&self, node: &Node, span: &Range<usize>, line: usize, column: usize) -> Option<usize> {
        let Value::String(text) = &node.value else { return None };
        let start = span.start + self.text.get(span.clone())?.find(text.as_str())?;
        let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
        let on_line: usize = text.get(before..)?.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
        Some(start + before + on_line)
    }

    /// A part of a line, then `rest`, and below it a mark under the span; what is too far from the span is cut off.
    fn excerpt(&self, span: &Range<usize>, part: Range<usize>, rest: &str) -> Option<String> {
        let line = self.line(span.start);
        let printable = |text: &str| text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect::<Vec<_>>();
        let mut shown = printable(self.text.get(part.start..part.end.min(line.end))?);
        let mut indent = self.text.get(part.start..span.start)?.chars().count();
        let mut width = self.text.get(span.start..span.end.min(line.end))?.chars().count().max(1);
        if shown.len() > LONGEST_LINE {
            let cut = indent.saturating_sub(LONGEST_LINE / 2);
            if cut > 0 {
                shown.splice(..=cut, ['…']);
                indent -= cut;
            }
            if shown.len() > LONGEST_LINE {
                shown.splice(LONGEST_LINE.., ['…']);
            }
            width = width.min((LONGEST_LINE + 1).saturating_sub(indent).max(1));
        }
        let shown: String = shown.into_iter().collect();
        let number = (self.text[..line.start].matches('\n').count() + 1).to_string();
        let mut excerpt = String::new();
        // Writing to a String can't fail.
        writeln!(excerpt, "  {number} | {}{rest}", if rest.is_empty() { shown.trim_end() } else { &shown }).ok()?;
        write!(excerpt, "  {:1$} | {2:3$}{4}", "", number.len(), "", indent, "^".repeat(width)).ok()?;
        Some(excerpt)
    }

    /// Whether no secret can be on this line, as far as a file shows that can't be parsed: none is named between the
    /// last header and the line, and the line is not inside a text of several lines.
    fn shows_no_secret(&self, line: &Range<usize>) -> bool {
        let before = &self.text[..line.start];
        let header = before.rfind("\n[").or_else(|| before.starts_with('[').then_some(0)).unwrap_or(0);
        let in_text = before.matches("\"\"\"").count() % 2 == 1 || before.matches("'''").count() % 2 == 1;
        !in_text && !is_secret(&self.text[header..line.end])
    }
}

/// As a rule's error begins.
fn position_text(position: Option<(usize, usize)>) -> String {
    position.map(|(line, column)| format!("Line {line}, column {column}: ")).unwrap_or_default()
}

fn is_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    SECRET_WORDS.iter().any(|word| text.contains(word))
}

/// An error of a table that serde read as a whole may be about any part of it.
fn holds_secret(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => is_secret(text),
        _ => node.entries().iter().any(|entry| is_secret(&entry.name) || holds_secret(&entry.node)),
    }
}

fn sentence(tree: &Node, failure: &Failure, secret: bool) -> String {
    match &failure.kind {
        Kind::UnknownKey { key, known } => {
            let path = path_text(tree, &failure.path);
            let within = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
            format!("unknown key `{key}`{within}{}", meant(key, known))
        }
        Kind::Missing(key) => {
            let mut path = failure.path.clone();
            path.push(key.clone());
            let whole = match path_text(tree, &failure.path) {
                whole if whole.is_empty() => "the settings lack".to_owned(),
                whole => format!("`{whole}` lacks"),
            };
            format!("{whole} the key `{key}` (variable {})", variable_name(&path))
        }
        Kind::UnknownValue { .. } | Kind::Other(_) if secret => {
            "this value is not accepted (it is not shown, since it may be a secret)".to_owned()
        }
        Kind::UnknownValue { found, known } => format!("unknown value `{}`{}", found.escape_debug(), meant(found, known)),
        Kind::Unexpected { expected, .. } if secret => {
            format!("expected {} (what was found is not shown, since it may be a secret)", plain(expected))
        }
        Kind::Unexpected { found, expected } => format!("expected {}, found {found}", plain(expected)),
        Kind::Other(sentence) => sentence.clone(),
    }
}

/// The same for a variable: its name is the place, so the path is only said where the variable holds more than one value.
fn variable_sentence(tree: &Node, failure: &Failure, sentence: String) -> String {
    let place = failure.place();
    let node = tree.nearest(&place);
    let Some(variable) = node.origin.variable() else { return sentence };
    let inside = matches!(node.value, Value::Text(_)) && variable_name(&place) != variable.to_uppercase();
    match &failure.kind {
        Kind::UnknownKey { key, known } if !inside => match nearest(key, known) {
            Some(name) => {
                let mut path = failure.path.clone();
                path.push(name.to_owned());
                format!("no such setting; did you mean {}?", variable_name(&path))
            }
            None => format!("no such setting{}", meant(key, known)),
        },
        Kind::UnknownKey { .. } | Kind::Missing(_) => sentence,
        _ if inside => format!("`{}`: {sentence}", path_text(tree, &place)),
        _ => sentence,
    }
}

fn meant(found: &str, known: &[&str]) -> String {
    match nearest(found, known) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if known.is_empty() || known.len() > MOST_KNOWN => String::new(),
        None => format!("; known here: `{}`", known.join("`, `")),
    }
}

/// serde's names of Rust's types, for people who set up a server.
fn plain(expected: &str) -> String {
    match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array such as [\"a\", \"b\"]".to_owned(),
        "a map" => "a table".to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "a table".to_owned(),
            None => other.to_owned(),
        },
    }
}

/// `auth.keys[0].id`.
fn path_text(tree: &Node, path: &[String]) -> String {
    let mut text = String::new();
    let mut node = Some(tree);
    for name in path {
        // Inside a variable's text the tree knows no arrays; a number is an index there, too.
        let index = match node {
            Some(Node { value: Value::Table(_), .. }) => false,
            Some(Node { value: Value::Array(_), .. }) => true,
            _ => name.parse::<usize>().is_ok(),
        };
        node = node.and_then(|node| node.entries().iter().find(|entry| entry.name == *name)).map(|entry| &entry.node);
        text = match (index, text.is_empty()) {
            (true, _) => format!("{text}[{name}]"),
            (false, true) => name.clone(),
            (false, false) => format!("{text}.{name}"),
        };
    }
    text
}

fn variable_name(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").to_uppercase())
}
