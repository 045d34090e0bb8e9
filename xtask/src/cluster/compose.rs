//! `compose.yaml` as far as it is understood here: a key that is not in these types is an error with its path.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use thiserror::Error;

use super::variables::{VariableError, fill_in};

/// Why a compose file was not understood.
#[derive(Debug, Error)]
pub(crate) enum ComposeError {
    #[error("{file} can't be read: {error}")]
    File { file: String, error: std::io::Error },
    #[error("{file} is no YAML: {error}")]
    Yaml { file: String, error: String },
    #[error("{path}: {error}")]
    Variable { path: String, error: VariableError },
    #[error("{path}: {error}")]
    Key { path: String, error: String },
}

/// A whole file, with its variables filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compose {
    pub(crate) name: String,
    pub(crate) services: BTreeMap<String, Service>,
    /// Named volumes.
    #[serde(default)]
    pub(crate) volumes: BTreeMap<String, Option<NoSettings>>,
}

/// A volume could have a driver and more. None of it has a meaning for a folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoSettings {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) image: String,
    pub(crate) build: Option<Build>,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
    #[serde(default)]
    pub(crate) ports: Vec<String>,
    #[serde(default)]
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    pub(crate) deploy: Deploy,
    pub(crate) healthcheck: Option<HealthCheck>,
    #[serde(default, deserialize_with = "optional_duration")]
    pub(crate) stop_grace_period: Option<Duration>,
    #[serde(default)]
    pub(crate) restart: Restart,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    pub(crate) context: String,
    pub(crate) dockerfile: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deploy {
    #[serde(deserialize_with = "number")]
    pub(crate) replicas: usize,
}

impl Default for Deploy {
    fn default() -> Self {
        Self { replicas: 1 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Condition {
    #[serde(rename = "service_started")]
    Started,
    #[serde(rename = "service_healthy")]
    Healthy,
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    pub(crate) test: Vec<String>,
    /// How often, how long: here we look all the time, so these are only checked for being times.
    #[serde(default, rename = "interval", deserialize_with = "optional_duration")]
    _interval: Option<Duration>,
    #[serde(default, rename = "timeout", deserialize_with = "optional_duration")]
    _timeout: Option<Duration>,
    #[serde(default, rename = "retries")]
    _retries: u32,
    #[serde(default, rename = "start_interval", deserialize_with = "optional_duration")]
    _start_interval: Option<Duration>,
    /// How long it may take to get healthy.
    #[serde(default, deserialize_with = "optional_duration")]
    pub(crate) start_period: Option<Duration>,
}

/// Nothing is started again here, whatever the file says: a test wants to see what ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Restart {
    #[default]
    #[serde(rename = "no")]
    No,
    #[serde(rename = "unless-stopped")]
    UnlessStopped,
}

/// Reads a file and fills in its variables.
pub(crate) fn read(file: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Compose, ComposeError> {
    let name = || file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| ComposeError::File { file: name(), error })?;
    parse(&text, variable).map_err(|error| match error {
        ComposeError::Yaml { error, .. } => ComposeError::Yaml { file: name(), error },
        other => other,
    })
}

fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Compose, ComposeError> {
    let mut value: Value =
        serde_saphyr::from_str(text).map_err(|error| ComposeError::Yaml { file: "the text".to_owned(), error: error.to_string() })?;
    if let Value::Object(top) = &mut value {
        // Extensions: fragments that the rest of the file has taken in by now.
        top.retain(|key, _| !key.starts_with("x-"));
    }
    fill_in_all(&mut value, "", variable)?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| ComposeError::Key { path: error.path().to_string(), error: error.inner().to_string() })
}

fn fill_in_all(value: &mut Value, path: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), ComposeError> {
    match value {
        Value::String(text) => {
            *text = fill_in(text, variable).map_err(|error| ComposeError::Variable { path: path.to_owned(), error })?;
        }
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                fill_in_all(value, &format!("{path}[{index}]"), variable)?;
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fill_in_all(value, &path, variable)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// What a process gets is text, whatever YAML takes it for.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        // Compose wants them in quotes, because YAML has too many words for them.
        other => Err(D::Error::custom(format!("the value of {key} must be text or a number, and is {other}"))),
    };
    values.into_iter().map(text).collect()
}

/// A number, also if it came from a variable.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number"))),
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is no time; it is written as 90s, 2m or 500ms")))
}

fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (count, unit) = text.split_at(end);
    let count: u64 = count.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Compose, ComposeError> {
        parse(text, &|name| (name == "THREE").then(|| "3".to_owned()))
    }

    fn problem(text: &str) -> String {
        parsed(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_known_is_read() {
        let compose = parsed(
            "name: x\n\
             x-shared: &shared\n  image: a\n  environment: { A: 1, B: '${THREE:-2}', C: '${NONE:-0.0.0.0}' }\n\
             services:\n\
             \x20 one:\n    <<: *shared\n    deploy: { replicas: '${THREE}' }\n    restart: \"no\"\n\
             \x20   healthcheck: { test: [CMD, a], start_period: 2m }\n\
             \x20   depends_on: { two: { condition: service_completed_successfully } }\n\
             \x20 two:\n    image: b\n    deploy: { replicas: 2 }\n    stop_grace_period: 500ms\n\
             volumes:\n  data:\n",
        )
        .unwrap();
        let (one, two) = (&compose.services["one"], &compose.services["two"]);
        assert_eq!((one.deploy.replicas, two.deploy.replicas), (3, 2));
        assert_eq!(one.image, "a");
        let environment: Vec<_> = one.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(environment, [("A", "1"), ("B", "3"), ("C", "0.0.0.0")]);
        assert_eq!(one.depends_on["two"].condition, Condition::Completed);
        assert_eq!(one.healthcheck.as_ref().unwrap().start_period, Some(Duration::from_mins(2)));
        assert_eq!(two.stop_grace_period, Some(Duration::from_millis(500)));
        assert!(compose.volumes.contains_key("data"));
    }

    #[test]
    fn what_is_not_known_fails_with_its_path() {
        let service = |lines: &str| format!("name: x\nservices:\n  one:\n    image: a\n{lines}");
        let cases = [
            ("name: x\nservices: {}\nnetworks: {}\n".to_owned(), "networks"),
            (service("    container_name: a\n"), "services.one.container_name"),
            (service("    deploy: { mode: global, replicas: 1 }\n"), "services.one.deploy.mode"),
            (service("    healthcheck: { test: [CMD, a], disable: true }\n"), "services.one.healthcheck.disable"),
            (service("    depends_on: { two: { condition: service_nice } }\n"), "services.one.depends_on.two.condition"),
            (service("    depends_on: [two]\n"), "services.one.depends_on"),
            (service("    restart: always\n"), "services.one.restart"),
            (service("    environment: { A: true }\n"), "services.one.environment"),
            (service("    environment: { A: }\n"), "services.one.environment"),
            (service("    stop_grace_period: 5\n"), "services.one.stop_grace_period"),
            (service("    stop_grace_period: 5 minutes\n"), "services.one.stop_grace_period"),
            (service("    deploy: { replicas: '${NONE}' }\n"), "services.one.deploy.replicas"),
            (service("    environment: { A: '${NONE:?a secret}' }\n"), "services.one.environment.A"),
            (service("    command: [a, '$b']\n"), "services.one.command[1]"),
            ("name: x\nservices: { one: { image: a } }\nvolumes: { data: { driver: local } }\n".to_owned(), "volumes.data.driver"),
        ];
        for (text, path) in cases {
            let said = problem(&text);
            assert!(said.starts_with(&format!("{path}: ")), "{text}\n{said}");
        }
    }

    #[test]
    fn a_key_twice_is_a_mistake() {
        assert!(problem("name: x\nname: y\nservices: {}\n").contains("name"));
    }
}
