//! What must hold between settings that read well, and what can be known only by loading keys and compiling rules.

use std::fmt;

use super::{BusKind, LogSettings, Mode, NodeSettings, RegistryKind, Settings, StoreKind, StoreSettings};
use crate::auth::{AuthError, Issuer, TokenVerifier};
use crate::message::HumanDuration;
use crate::policy::{Policies, PolicyError};
use crate::telemetry;

/// Retention walks through all destinations; more often would do nothing else.
const LEAST_INTERVAL: HumanDuration = HumanDuration::from_secs(1);

/// Settings that a node can start with.
#[derive(Debug)]
pub struct Checked {
    pub settings: Settings,
    pub verifier: TokenVerifier,
    pub policies: Policies,
}

/// A setting that reads well and is no good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// As `destinations[1].send`.
    pub path: String,
    pub sentence: String,
    /// Line and column inside a text of its own kind, from 1; the sentence begins with them.
    pub within: Option<(usize, usize)>,
}

impl Wrong {
    fn new(path: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { path: path.into(), sentence: sentence.into(), within: None }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.sentence)
    }
}

impl From<PolicyError> for Wrong {
    fn from(error: PolicyError) -> Self {
        let PolicyError { list, index, key, problem } = error;
        Self { path: format!("{}[{index}].{key}", list.name()), sentence: problem.to_string(), within: problem.position() }
    }
}

/// All that is wrong with settings that were read; at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BadSettings(pub Vec<Wrong>);

impl Settings {
    /// Compiles and loads what can be wrong only together. In development mode a key is there by now.
    pub fn check(self) -> Result<Checked, BadSettings> {
        let mut wrong = self.wrong();
        let verifier = TokenVerifier::new(&self.auth);
        if verifier.is_err() {
            let problems = TokenVerifier::problems(&self.auth);
            wrong.extend(problems.iter().map(AuthError::parts).map(|(path, sentence)| Wrong::new(path, sentence)));
        }
        // Without a secret nobody could get a token from `POST /dev/token`.
        if self.mode == Mode::Development
            && verifier.is_ok()
            && let Err(error) = Issuer::new(&self.auth)
        {
            let (path, sentence) = error.parts();
            wrong.push(Wrong::new(path, sentence));
        }
        let policies = Policies::compile(&self.destinations, &self.applications, self.refusals);
        match (verifier, policies) {
            (Ok(verifier), Ok(policies)) if wrong.is_empty() => Ok(Checked { settings: self, verifier, policies }),
            (_, policies) => {
                wrong.extend(policies.err().into_iter().flatten().map(Wrong::from));
                Err(BadSettings(wrong))
            }
        }
    }

    fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        wrong.extend(self.server.problems().into_iter().map(|(key, sentence)| Wrong::new(format!("server.{key}"), sentence)));
        wrong.extend(self.session.problems().into_iter().map(|(key, sentence)| Wrong::new(format!("session.{key}"), sentence)));
        if self.auth.cookie.is_some()
            && let Some(index) = self.server.allowed_origins.iter().position(|origin| origin == "*")
        {
            let sentence = "\"*\" lets every page use its visitors' cookies, so auth.cookie can't be set with it.";
            wrong.push(Wrong::new(format!("server.allowed_origins[{index}]"), sentence));
        }
        if self.auth.cookie.as_ref() == Some(&self.server.session_cookie.name) {
            wrong.push(Wrong::new("server.session_cookie.name", "auth.cookie has this name; a token and a session cookie need two."));
        }
        wrong.extend(self.cluster_wrong());
        wrong.extend(self.store.wrong());
        wrong.extend(self.log.wrong());
        if self.metrics.address().is_some_and(|address| address.port() != 0 && address == self.server.address()) {
            wrong.push(Wrong::new("metrics.port", "Clients come to this port (server.port); metrics have one of their own."));
        }
        wrong
    }
}

impl Settings {
    /// What a cluster needs, and one process must not have.
    fn cluster_wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if !self.node.is_good() {
            wrong.push(Wrong::new("node.id", format!("It has letters, digits and - . _, and at most {} of them.", NodeSettings::MAX_ID)));
        }
        if self
            .node
            .address
            .as_ref()
            .is_some_and(|address| address.is_empty() || address.len() > 256 || address.chars().any(char::is_control))
        {
            wrong.push(Wrong::new("node.address", "It is host:port or a URL, in one line."));
        }
        match (self.bus.kind, self.store.kind) {
            (BusKind::Kafka, StoreKind::Sqlite) => {
                wrong.push(Wrong::new(
                    "store.kind",
                    "A file can't be shared by several nodes: with bus.kind = \"kafka\" it is \"postgres\".",
                ));
            }
            (BusKind::Memory, StoreKind::Postgres) => {
                let sentence =
                    "A bus in memory is for one process, whose store is \"sqlite\"; with bus.kind = \"kafka\" it is \"postgres\".";
                wrong.push(Wrong::new("store.kind", sentence));
            }
            (BusKind::Memory, StoreKind::Sqlite) | (BusKind::Kafka, StoreKind::Postgres) => {}
        }
        match (self.bus.kind, self.registry.kind) {
            (BusKind::Kafka, RegistryKind::Memory) => {
                let sentence = "A cluster's nodes agree in Redis on whose tokens count: with bus.kind = \"kafka\" it is \"redis\".";
                wrong.push(Wrong::new("registry.kind", sentence));
            }
            (BusKind::Memory, RegistryKind::Redis) => {
                let sentence = "One process has nobody to agree with: it is \"memory\"; with bus.kind = \"kafka\" it is \"redis\".";
                wrong.push(Wrong::new("registry.kind", sentence));
            }
            (BusKind::Memory, RegistryKind::Memory) | (BusKind::Kafka, RegistryKind::Redis) => {}
        }
        if self.registry.kind == RegistryKind::Redis {
            wrong.extend(self.registry.redis.wrong().map(|(key, sentence)| Wrong::new(format!("registry.redis.{key}"), sentence)));
        }
        if self.bus.kind == BusKind::Kafka {
            wrong.extend(self.bus.kafka.problems().into_iter().map(|(key, sentence)| Wrong::new(format!("bus.kafka.{key}"), sentence)));
        }
        if self.store.kind == StoreKind::Postgres {
            wrong.extend(self.store.postgres.wrong().map(|(key, sentence)| Wrong::new(format!("store.postgres.{key}"), sentence)));
        }
        wrong
    }
}

impl StoreSettings {
    fn wrong(&self) -> Option<Wrong> {
        (self.retention_interval < LEAST_INTERVAL).then(|| Wrong::new("store.retention_interval", "It is at least 1s."))
    }
}

impl LogSettings {
    fn wrong(&self) -> Option<Wrong> {
        telemetry::check_filter(&self.filter)
            .err()
            .map(|_| Wrong::new("log.filter", "A filter is of the form info or info,footfall=debug."))
    }
}
