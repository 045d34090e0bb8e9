//! `[[destinations]]` and `[[applications]]` as they stand in the settings, not yet compiled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::HumanDuration;

/// What the destinations that fit a pattern are and who may use them. The first entry that fits a destination counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationSettings {
    /// Which destinations: `/topic/rooms.{room}`, `/queue/**`, or `/user/queue/{name}` for users' private queues.
    /// `{name}` and `*` stand for one segment, `**` for the rest.
    pub pattern: String,
    /// Who may subscribe: a CEL expression that is true for them. Without it nobody may.
    #[serde(default)]
    pub subscribe: Option<String>,
    /// Who may send to the destination directly: a CEL expression that is true for them. Without it nobody may.
    #[serde(default)]
    pub send: Option<String>,
    /// Whether messages are stored and numbered; others reach whoever is subscribed and are gone.
    #[serde(default)]
    pub store: bool,
    /// Whether clients may subscribe to these destinations with `*` and `**`.
    #[serde(default)]
    pub wildcard: bool,
    /// What the RECEIPT of a SEND means.
    #[serde(default)]
    pub receipt: Receipt,
    /// How long stored messages are kept.
    #[serde(default)]
    pub retention: RetentionSettings,
    /// What becomes of the connection when a request is refused; without it, what the settings say for all.
    #[serde(default)]
    pub refusals: Option<Refusals>,
}

/// Where SENDs to an `/app/…` destination go and who may make them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationSettings {
    /// Which destinations: `/app/chat/{room}`.
    pub pattern: String,
    /// Where the messages go: `/topic/rooms.{room}`, `/queue/…`, or `/user/{user}/queue/…`, with names from the pattern.
    pub target: String,
    /// Who may send: a CEL expression that is true for them. It alone decides; the `send` of the target's own entry
    /// is for those who send there directly. Without it nobody may.
    #[serde(default)]
    pub send: Option<String>,
}

/// What the RECEIPT of a SEND means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Receipt {
    /// The bus has the message and won't lose it.
    #[default]
    Bus,
    /// The message is stored and has its place in the sequence.
    Stored,
}

/// What becomes of the connection when a SUBSCRIBE or SEND is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refusals {
    /// ERROR, then it is closed, as STOMP demands.
    #[default]
    Close,
    /// A MESSAGE on `/user/queue/errors`, if the session listens there, and it lives on.
    Notify,
}

/// Which stored messages are kept: the newest `count` that are younger than `age`. A limit that is not named is no
/// limit; without the whole table it is `{ count = 10000, age = "30d" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// How many of the newest messages are kept, at least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub count: Option<u64>,
    /// How old a kept message may get.
    #[serde(default)]
    pub age: Option<HumanDuration>,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { count: Some(10_000), age: Some(HumanDuration::from_secs(30 * 86_400)) }
    }
}
