//! Reads typed settings out of the tree, so that an error knows its path, and a variable's text becomes what is asked for.

use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::tree::{Entry, Node, Value};

/// What serde stopped at.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    UnknownKey { key: String, known: &'static [&'static str] },
    UnknownValue { found: String, known: &'static [&'static str] },
    Missing(String),
    Unexpected { found: String, expected: String },
    Other(String),
}

impl Failure {
    /// The path of what is to blame; for a missing key, of where it is missing.
    pub(super) fn place(&self) -> Vec<String> {
        let mut path = self.path.clone();
        if let Kind::UnknownKey { key, .. } = &self.kind {
            path.push(key.clone());
        }
        path
    }

    fn within(mut self, name: &str) -> Self {
        self.path.insert(0, name.to_owned());
        self
    }
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self { path: Vec::new(), kind }
    }
}

impl Display for Failure {
    /// For serde only; people read what `problem` makes of it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the settings are not as they should be")
    }
}

impl std::error::Error for Failure {}

impl Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Kind::Other(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            // It may be anything, also a secret in the wrong place; a file's line shows it where that is right.
            Unexpected::Str(_) => "a string".to_owned(),
            other => other.to_string(),
        };
        Kind::Unexpected { found, expected: expected.to_string() }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Kind::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Kind::UnknownValue { found: found.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Kind::Missing(key.to_owned()).into()
    }
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a Node);

impl<'a> Reader<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self(node)
    }

    /// A variable's text read as TOML by `read`, or else shown as a string to `visitor`, which will say what it expects.
    fn as_toml<'de, V, R>(self, visitor: V, read: R) -> Result<V::Value, Failure>
    where
        V: Visitor<'de>,
        R: FnOnce(Reader<'_>, V) -> Result<V::Value, Failure>,
    {
        let Value::Text(text) = &self.0.value else { return read(self, visitor) };
        match Node::parse_text(text, &self.0.origin) {
            Some(node) => read(Reader(&node), visitor),
            None => visitor.visit_str(text),
        }
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V, known: Option<&'static [&'static str]>) -> Result<V::Value, Failure> {
        match &self.0.value {
            Value::Text(text) | Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(*number),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(yes) => visitor.visit_bool(*yes),
            Value::Array(elements) => visitor.visit_seq(Elements(elements.iter())),
            Value::Table(entries) => visitor.visit_map(Fields { entries: entries.iter(), next: None, known }),
        }
    }
}

macro_rules! as_toml {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.as_toml(visitor, |reader, visitor| reader.visit(visitor, None))
        }
    )*};
}

macro_rules! as_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.visit(visitor, None)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    as_toml! {
        deserialize_any deserialize_bool deserialize_seq deserialize_map
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    as_text! {
        deserialize_str deserialize_string deserialize_char deserialize_bytes deserialize_byte_buf deserialize_identifier
        deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.visit(visitor, None)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        self.visit(visitor, None)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.as_toml(visitor, |reader, visitor| reader.visit(visitor, Some(fields)))
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        match &self.0.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Text(text) => match Node::parse_text(text, &self.0.origin) {
                Some(node) if matches!(node.value, Value::Table(_)) => Reader(&node).deserialize_enum("", &[], visitor),
                _ => visitor.visit_enum(text.as_str().into_deserializer()),
            },
            Value::Table(entries) if entries.len() == 1 => visitor.visit_enum(Variant(&entries[0])),
            Value::Table(_) => Err(Error::invalid_type(Unexpected::Map, &"one key, the name of a variant")),
            _ => self.visit(visitor, None),
        }
    }
}

struct Elements<'a>(std::slice::Iter<'a, Entry>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some(entry) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(&entry.node)).map(Some).map_err(|failure| failure.within(&entry.name))
    }
}

struct Fields<'a> {
    entries: std::slice::Iter<'a, Entry>,
    next: Option<&'a Entry>,
    known: Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        self.next = self.entries.next();
        let Some(entry) = self.next else { return Ok(None) };
        if let Some(known) = self.known.filter(|known| !known.contains(&entry.name.as_str())) {
            return Err(Error::unknown_field(&entry.name, known));
        }
        let key: StrDeserializer<'_, Failure> = entry.name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|failure| failure.within(&entry.name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let entry = self.next.take().ok_or_else(|| Failure::custom("a value was asked for before its key"))?;
        seed.deserialize(Reader(&entry.node)).map_err(|failure| failure.within(&entry.name))
    }
}

/// `{ variant = content }`.
struct Variant<'a>(&'a Entry);

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Failure;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), Failure> {
        let name: StrDeserializer<'_, Failure> = self.0.name.as_str().into_deserializer();
        Ok((seed.deserialize(name).map_err(|failure| failure.within(&self.0.name))?, Content(self.0)))
    }
}

struct Content<'a>(&'a Entry);

impl Content<'_> {
    fn reader(&self) -> Reader<'_> {
        Reader(&self.0.node)
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.0.node.entries() {
            [] => Ok(()),
            _ => Err(Failure::custom("this variant has no content").within(&self.0.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self.reader()).map_err(|failure| failure.within(&self.0.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Failure> {
        self.reader().deserialize_tuple(len, visitor).map_err(|failure| failure.within(&self.0.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.reader().deserialize_struct("", fields, visitor).map_err(|failure| failure.within(&self.0.name))
    }
}
