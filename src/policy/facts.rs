//! What a rule sees, looked up only when the rule names it: nothing is prepared for a rule that asks for nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value as Json;

use crate::message::{User, UserName};

/// How many elements a list or object has at most that a rule may see. With loops nested at most twice (see
/// `inspect`) this bounds the work of one rule; what is larger is not there, so the rule denies.
pub(super) const MAX_ELEMENTS: usize = 2_048;
/// How many values and 64-byte pieces of text one run of a rule may look up, loops included.
pub(super) const BUDGET: usize = 100_000;

/// A message that someone wants to send, as rules see it.
#[derive(Clone, Copy)]
pub struct OutgoingMessage<'a> {
    /// The client's own headers, each name once.
    pub headers: &'a [(Box<str>, Box<str>)],
    pub body: &'a [u8],
    /// Rules find it as `message.headers['content-type']`.
    pub content_type: Option<&'a str>,
}

// Bodies and headers are not for logs.
impl fmt::Debug for OutgoingMessage<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OutgoingMessage").field("size", &self.body.len()).finish_non_exhaustive()
    }
}

/// The values of one run of one rule.
pub(super) struct Facts<'a> {
    user: &'a User,
    now_s: u64,
    params: &'a [(Box<str>, Box<str>)],
    /// `params.user`: whose private queue it is.
    owner: Option<&'a UserName>,
    /// None for a wildcard, which is no destination: a rule that compares it must not be true for all its matches
    /// because it is true for the text of the pattern.
    destination: Option<&'a str>,
    message: Option<&'a OutgoingMessage<'a>>,
    /// None inside: the body is no JSON.
    json: OnceLock<Option<Json>>,
    spent: AtomicUsize,
}

impl<'a> Facts<'a> {
    pub(super) fn new(user: &'a User, now_s: u64, params: &'a [(Box<str>, Box<str>)]) -> Self {
        Self { user, now_s, params, owner: None, destination: None, message: None, json: OnceLock::new(), spent: AtomicUsize::new(0) }
    }

    pub(super) fn owner(self, owner: Option<&'a UserName>) -> Self {
        Self { owner, ..self }
    }

    pub(super) fn destination(self, destination: &'a str) -> Self {
        Self { destination: Some(destination), ..self }
    }

    pub(super) fn message(self, message: Option<&'a OutgoingMessage<'a>>) -> Self {
        Self { message, ..self }
    }

    fn look_up<'b>(&'b self, name: &str) -> Option<Box<dyn Val + 'b>> {
        let (root, path) = name.split_once('.').map_or((name, None), |(root, path)| (root, Some(path)));
        match (root, path) {
            ("user", None) => Some(map([("name", self.text(self.user.name.as_str())?), ("roles", self.roles()?)])),
            ("user", Some("name")) => self.text(self.user.name.as_str()),
            ("user", Some("roles")) => self.roles(),
            ("claims", path) => self.json(at_path(&self.user.claims, path)?),
            ("params", None) => {
                let owner = self.owner.map(|owner| ("user", owner.as_str()));
                self.texts(self.params.iter().map(|(name, word)| (&**name, &**word)).chain(owner))
            }
            ("params", Some("user")) if self.owner.is_some() => self.text(self.owner?.as_str()),
            ("params", Some(name)) => self.text(&self.params.iter().find(|(known, _)| **known == *name)?.1),
            ("destination", None) => self.text(self.destination?),
            // Members are kept by a later version; until then nobody is one.
            ("member", None) => Some(Box::new(CelBool::from(false))),
            ("now", None) => Some(Box::new(CelInt::from(i64::try_from(self.now_s).ok()?))),
            ("message", path) => self.look_up_message(self.message?, path),
            _ => None,
        }
    }

    fn look_up_message<'b>(&'b self, message: &'b OutgoingMessage<'b>, path: Option<&str>) -> Option<Box<dyn Val + 'b>> {
        let size = || Box::new(CelInt::from(i64::try_from(message.body.len()).unwrap_or(i64::MAX)));
        let Some(path) = path else {
            let mut fields: Vec<(&str, Box<dyn Val + 'b>)> = vec![("size", size()), ("headers", self.headers(message)?)];
            if let Some(json) = self.body(message) {
                fields.push(("json", self.json(json)?));
            }
            return Some(map(fields));
        };
        match path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest))) {
            ("size", None) => Some(size()),
            ("headers", None) => self.headers(message),
            ("headers", Some(name)) => self.text(&message.headers.iter().find(|(known, _)| **known == *name)?.1),
            ("json", path) => self.json(at_path(self.body(message)?, path)?),
            _ => None,
        }
    }

    fn roles<'b>(&'b self) -> Option<Box<dyn Val + 'b>> {
        if self.user.roles.len() > MAX_ELEMENTS {
            return None;
        }
        let roles: Option<Vec<_>> = self.user.roles.iter().map(|role| self.text(role)).collect();
        Some(Box::new(CelList::from(roles?)))
    }

    fn headers<'b>(&'b self, message: &'b OutgoingMessage<'b>) -> Option<Box<dyn Val + 'b>> {
        let content_type = message.content_type.map(|content_type| ("content-type", content_type));
        self.texts(message.headers.iter().map(|(name, value)| (&**name, &**value)).chain(content_type))
    }

    fn body(&self, message: &OutgoingMessage<'_>) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(message.body).ok()).as_ref()
    }

    /// Counts what is about to be handed to a rule.
    fn spend(&self, count: usize) -> Option<()> {
        (self.spent.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= BUDGET).then_some(())
    }

    fn text<'b>(&self, text: &'b str) -> Option<Box<dyn Val + 'b>> {
        self.spend(1 + text.len() / 64)?;
        Some(Box::new(CelString::from(text)))
    }

    fn texts<'b>(&self, pairs: impl Iterator<Item = (&'b str, &'b str)>) -> Option<Box<dyn Val + 'b>> {
        let pairs: Option<Vec<_>> = pairs.map(|(name, text)| Some((name, self.text(text)?))).collect();
        Some(map(pairs?))
    }

    /// Whole numbers are ints, so that rules can count with them; what doesn't fit is a double.
    fn json<'b>(&self, json: &'b Json) -> Option<Box<dyn Val + 'b>> {
        self.spend(1)?;
        Some(match json {
            Json::Null => Box::new(CelNull),
            Json::Bool(value) => Box::new(CelBool::from(*value)),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Box::new(CelInt::from(number)),
                None => Box::new(CelDouble::from(number.as_f64()?)),
            },
            Json::String(text) => self.text(text)?,
            Json::Array(elements) if elements.len() <= MAX_ELEMENTS => {
                let elements: Option<Vec<_>> = elements.iter().map(|element| self.json(element)).collect();
                Box::new(CelList::from(elements?))
            }
            Json::Object(fields) if fields.len() <= MAX_ELEMENTS => {
                let fields: Option<Vec<_>> = fields.iter().map(|(name, value)| Some((name.as_str(), self.json(value)?))).collect();
                map(fields?)
            }
            Json::Array(_) | Json::Object(_) => return None,
        })
    }
}

impl VariableResolver for Facts<'_> {
    /// CEL asks for the longest name first: for `claims.a.b`, then `claims.a`, then `claims`. So only what a rule
    /// names is converted. What is not there is asked for up to its root, where CEL then finds no such key.
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        self.look_up(variable).map(CowVal::Owned)
    }
}

/// Identifiers have no dots, so a path has one reading.
fn at_path<'a>(json: &'a Json, path: Option<&str>) -> Option<&'a Json> {
    path.map_or(Some(json), |path| path.split('.').try_fold(json, |json, name| json.as_object()?.get(name)))
}

fn map<'b>(fields: impl IntoIterator<Item = (&'b str, Box<dyn Val + 'b>)>) -> Box<dyn Val + 'b> {
    let fields: HashMap<CelMapKey<'b>, Box<dyn Val + 'b>> = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Box::new(CelMap::from(fields))
}
