//! Settings before they have types: what the file says, with variables laid over it, and where each part came from.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error};

pub(super) const PREFIX: &str = "FOOTFALL_";
const SEPARATOR: &str = "__";

/// A value and where it was written.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Debug)]
pub(super) enum Value {
    /// A variable's text, which is a string, a number or TOML, as its reader likes.
    Text(String),
    String(String),
    /// Every integer of TOML fits.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Array(Vec<Entry>),
    Table(Vec<Entry>),
}

/// A key of a table, or an element of an array under its index, so that a path is just names.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) node: Node,
}

#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The whole file, or nothing.
    Everything,
    File {
        key: Option<Range<usize>>,
        value: Range<usize>,
    },
    Variable(Arc<str>),
}

impl Origin {
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Everything | Self::File { .. } => None,
        }
    }
}

/// A variable that can't be laid over the rest.
#[derive(Debug)]
pub(super) struct Clash {
    pub(super) variable: Arc<str>,
    pub(super) sentence: String,
}

impl Node {
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Error>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors);
        }
        let entries = table.into_inner().into_iter().map(|(key, value)| entry(key, value, None)).collect();
        Ok(Self { value: Value::Table(entries), origin: Origin::Everything })
    }

    /// What a variable's text is if it is read as TOML, and if it is TOML.
    pub(super) fn parse_text(text: &str, origin: &Origin) -> Option<Self> {
        DeValue::parse(text.trim()).ok().map(|value| node(None, value, Some(origin)))
    }

    /// Lays variables over the file. What clashes is left out.
    pub(super) fn overlay(&mut self, variables: impl Iterator<Item = (String, String)>) -> Vec<Clash> {
        let mut variables: Vec<_> = variables.collect();
        variables.sort();
        let mut clashes = Vec::new();
        let mut over = Self { value: Value::Table(Vec::new()), origin: Origin::Everything };
        for (variable, text) in variables {
            let variable: Arc<str> = variable.into();
            let path: Vec<String> = variable[PREFIX.len()..].split(SEPARATOR).map(str::to_lowercase).collect();
            if path.iter().any(String::is_empty) {
                clashes.push(Clash { variable, sentence: "not the name of a setting".to_owned() });
            } else if let Err(other) = over.insert(&path, &variable, text) {
                clashes.push(Clash { variable, sentence: format!("{other} sets the same; keep one of them") });
            }
        }
        self.merge(over, &mut clashes);
        clashes
    }

    /// Or the name of the variable that is in the way.
    fn insert(&mut self, path: &[String], variable: &Arc<str>, text: String) -> Result<(), String> {
        let Some((name, rest)) = path.split_first() else {
            return Err(self.origin.variable().unwrap_or_default().to_owned());
        };
        let Value::Table(entries) = &mut self.value else {
            return Err(self.origin.variable().unwrap_or_default().to_owned());
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.name == *name) {
            return entry.node.insert(rest, variable, text);
        }
        let origin = Origin::Variable(Arc::clone(variable));
        let mut node = Self { value: Value::Text(text), origin: origin.clone() };
        for name in rest.iter().rev() {
            node = Self { value: Value::Table(vec![Entry { name: name.clone(), node }]), origin: origin.clone() };
        }
        entries.push(Entry { name: name.clone(), node });
        Ok(())
    }

    fn merge(&mut self, over: Self, clashes: &mut Vec<Clash>) {
        match (&mut self.value, over.value) {
            (Value::Table(mine), Value::Table(over)) => {
                for Entry { name, node } in over {
                    match mine.iter_mut().find(|entry| entry.name == name) {
                        Some(entry) => entry.node.merge(node, clashes),
                        None => mine.push(Entry { name, node: node.settled(clashes) }),
                    }
                }
            }
            (Value::Array(mine), Value::Table(over)) if indexes(&over).is_some() => {
                for (index, node) in indexes(&over).unwrap_or_default().into_iter().zip(in_order(over)) {
                    match mine.get_mut(index) {
                        Some(entry) => entry.node.merge(node, clashes),
                        None => append(mine, index, node, clashes),
                    }
                }
            }
            (_, value) => *self = Self { value, origin: over.origin }.settled(clashes),
        }
    }

    /// Tables of variables whose keys are numbers are arrays.
    fn settled(mut self, clashes: &mut Vec<Clash>) -> Self {
        let Value::Table(entries) = self.value else { return self };
        self.value = match indexes(&entries) {
            Some(indexes) => {
                let mut elements = Vec::new();
                for (index, node) in indexes.into_iter().zip(in_order(entries)) {
                    append(&mut elements, index, node, clashes);
                }
                Value::Array(elements)
            }
            None => Value::Table(entries.into_iter().map(|Entry { name, node }| Entry { name, node: node.settled(clashes) }).collect()),
        };
        self
    }

    /// The node at this path, or the last one on the way to it.
    pub(super) fn nearest(&self, path: &[String]) -> &Self {
        let Some((name, rest)) = path.split_first() else { return self };
        match self.entries().iter().find(|entry| entry.name == *name) {
            Some(entry) => entry.node.nearest(rest),
            None => self,
        }
    }

    /// Takes out the node at this path, or the last one on the way to it; not the root.
    pub(super) fn remove(&mut self, path: &[String]) -> bool {
        let Some((name, rest)) = path.split_first() else { return false };
        let (Value::Array(entries) | Value::Table(entries)) = &mut self.value else { return false };
        let Some(index) = entries.iter().position(|entry| entry.name == *name) else { return false };
        if !entries[index].node.remove(rest) {
            entries.remove(index);
        }
        true
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Array(entries) | Value::Table(entries) => entries,
            _ => &[],
        }
    }
}

/// The indexes that these names are, rising, if they all are.
fn indexes(entries: &[Entry]) -> Option<Vec<usize>> {
    let mut indexes: Vec<usize> = entries.iter().map(|entry| entry.name.parse().ok()).collect::<Option<_>>()?;
    indexes.sort_unstable();
    (!indexes.is_empty()).then_some(indexes)
}

/// The nodes of entries whose names are indexes.
fn in_order(mut entries: Vec<Entry>) -> impl Iterator<Item = Node> {
    // By name alone 10 would stand before 2.
    entries.sort_by_key(|entry| entry.name.parse::<usize>().unwrap_or(usize::MAX));
    entries.into_iter().map(|entry| entry.node)
}

fn append(elements: &mut Vec<Entry>, index: usize, node: Node, clashes: &mut Vec<Clash>) {
    let next = elements.len();
    if index == next {
        elements.push(Entry { name: index.to_string(), node: node.settled(clashes) });
    } else if let Origin::Variable(variable) = node.origin {
        clashes.push(Clash { variable, sentence: format!("the element before this one, {next}, is missing") });
    }
}

fn entry(key: Spanned<DeString<'_>>, value: Spanned<DeValue<'_>>, origin: Option<&Origin>) -> Entry {
    let span = key.span();
    Entry { name: key.into_inner().into_owned(), node: node(Some(span), value, origin) }
}

/// `origin` is that of a variable whose text this was a part of; spans into it would mean nothing to anyone.
fn node(key: Option<Range<usize>>, value: Spanned<DeValue<'_>>, origin: Option<&Origin>) -> Node {
    let origin_here = origin.cloned().unwrap_or_else(|| Origin::File { key, value: value.span() });
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::String(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::String(number.to_string()),
        },
        DeValue::Boolean(yes) => Value::Boolean(yes),
        // No setting is a date; who wants one reads the text.
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(elements) => {
            let elements = elements.into_iter().enumerate();
            Value::Array(elements.map(|(index, value)| Entry { name: index.to_string(), node: node(None, value, origin) }).collect())
        }
        DeValue::Table(entries) => Value::Table(entries.into_iter().map(|(key, value)| entry(key, value, origin)).collect()),
    };
    Node { value, origin: origin_here }
}
