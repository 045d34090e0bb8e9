//! From a file and variables to any struct of settings, or to all that is wrong with them at once.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::problem::{Problem, SettingsError, Source};
use super::reader::{Failure, Kind, Reader};
use super::tree::{Node, PREFIX, Value};
use super::written::Written;

/// Enough to mend a file in one go; after that many, each is likely to be the consequence of another.
const MOST_PROBLEMS: usize = 20;

/// Variables with our prefix that are no settings: the file's own path, and what the build and the tests use.
const NOT_SETTINGS: &[&str] = &[
    "FOOTFALL_CONFIG",
    "FOOTFALL_SKIP_PAGE",
    "FOOTFALL_WRITE_DOCS",
    "FOOTFALL_TIER",
    "FOOTFALL_SEED",
    "FOOTFALL_URL",
    "FOOTFALL_DATA",
    "FOOTFALL_BIN",
    "FOOTFALL_SECRET",
    "FOOTFALL_COOKIE",
];

/// The environment, for [`load`]. What is not Unicode can't be a setting, but it can be somebody else's variable.
#[expect(clippy::disallowed_methods, reason = "settings are where the environment is read")]
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
}

/// Reads settings from `file`, if there is one, and variables `FOOTFALL_<TABLE>__<KEY>`, which win over it.
///
/// A variable's text is what the setting needs it to be: a string setting takes it as it is, others as TOML.
/// `FOOTFALL_AUTH__KEYS__0__SECRET` is a key of the first element of an array. A key or variable that no field
/// takes is an error, whether or not the struct denies it; so a struct must not use `#[serde(flatten)]`, which hides
/// its fields. A field's alias is a known key like its name.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<T, SettingsError> {
    let source = match file {
        Some(path) => Source::read(path)?,
        None => Source::none(),
    };
    load_source(source, env).map(|(settings, _)| settings)
}

/// The same from a text that the program brings; `name` stands in errors where a file's name would.
pub fn load_text<T: DeserializeOwned>(name: &str, text: &str, env: impl Iterator<Item = (String, String)>) -> Result<T, SettingsError> {
    load_source(Source::new(name, text), env).map(|(settings, _)| settings)
}

/// The same, and where everything was written.
pub(super) fn load_source<T: DeserializeOwned>(
    source: Source,
    env: impl Iterator<Item = (String, String)>,
) -> Result<(T, Written), SettingsError> {
    let mut tree = Node::parse(source.text()).map_err(|errors| {
        SettingsError::Invalid(errors.iter().take(MOST_PROBLEMS).map(|error| source.syntax(error.message(), error.span())).collect())
    })?;
    let variables = env.filter(|(name, _)| name.starts_with(PREFIX));
    let mut problems: Vec<Problem> =
        tree.overlay(variables).into_iter().map(|clash| Problem::new(clash.variable.as_ref(), clash.sentence)).collect();

    let mut removed: Vec<Vec<String>> = Vec::new();
    while problems.len() < MOST_PROBLEMS {
        match T::deserialize(Reader::new(&tree)) {
            Ok(settings) if problems.is_empty() => return Ok((settings, Written { source, tree })),
            Ok(_) => break,
            Err(failure) => {
                let place = failure.place();
                if !follows(&failure, &removed) && !is_reserved(&tree, &failure) {
                    problems.push(source.describe(&tree, &failure));
                }
                // Without the culprit the rest can be judged.
                if !tree.remove(&place) {
                    break;
                }
                removed.push(place);
            }
        }
    }
    problems.sort_by_key(Problem::offset);
    Err(SettingsError::Invalid(problems))
}

/// Whether a key is missing only because it was taken out for a problem of its own.
fn follows(failure: &Failure, removed: &[Vec<String>]) -> bool {
    let Kind::Missing(key) = &failure.kind else { return false };
    let mut missing = failure.path.clone();
    missing.push(key.clone());
    removed.iter().any(|gone| gone.starts_with(&missing))
}

fn is_reserved(tree: &Node, failure: &Failure) -> bool {
    let Kind::UnknownKey { .. } = failure.kind else { return false };
    let node = tree.nearest(&failure.place());
    matches!(node.value, Value::Text(_)) && node.origin.variable().is_some_and(|name| NOT_SETTINGS.contains(&name))
}
