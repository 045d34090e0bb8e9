//! Who may subscribe and send, and what a destination is: patterns with rules, the first that fits decides.
//!
//! Judges what it is given and does no IO: it knows no connection, no bus and no store. A grant can only be made
//! here, so whoever demands one in an argument can't be reached past the rules.

mod compile;
mod error;
mod facts;
mod grant;
#[cfg(test)]
mod hostile;
mod inspect;
#[cfg(test)]
mod refused;
mod rule;
mod settings;
mod target;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tricks;

use std::sync::Arc;
use std::time::Duration;

use crate::message::{Destination, Pattern};
pub use error::{List, PolicyError, Problem, RuleError};
pub use facts::OutgoingMessage;
pub use grant::{SendGrant, SubscribeGrant, SubscribeTarget};
use rule::Rule;
pub use settings::{ApplicationSettings, DestinationSettings, Receipt, Refusals, RetentionSettings};
use target::Target;

/// What the first fitting `[[destinations]]` entry gives a destination.
#[derive(Debug)]
pub struct Policy {
    pub pattern: Pattern,
    pub store: bool,
    pub receipt: Receipt,
    /// What is kept of a stored destination.
    pub retention: Retention,
    /// Whether clients may subscribe with wildcards.
    pub wildcard: bool,
    /// Whether refused and failed requests are answered on `/user/queue/errors` instead of closing the connection.
    pub notify: bool,
    subscribe: Option<Rule>,
    send: Option<Rule>,
}

/// Which stored messages stay; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub count: Option<u64>,
    pub age: Option<Duration>,
}

/// All policies, in order, and the `/app/…` destinations.
#[derive(Debug)]
pub struct Policies {
    destinations: Box<[Arc<Policy>]>,
    applications: Box<[Application]>,
    /// For what no policy covers.
    notify: bool,
}

#[derive(Debug)]
struct Application {
    pattern: Pattern,
    target: Target,
    send: Option<Rule>,
}

impl Policies {
    /// Compiles all entries, or names the first thing that is wrong with each bad one. `refusals` is for entries that say nothing of it,
    /// and for destinations that no entry covers.
    pub fn compile(
        destinations: &[DestinationSettings],
        applications: &[ApplicationSettings],
        refusals: Refusals,
    ) -> Result<Self, Vec<PolicyError>> {
        compile::compile(destinations, applications, refusals)
    }

    /// The policy of a destination, private queues included; none if nobody may use it.
    pub fn policy_of(&self, destination: &Destination) -> Option<&Arc<Policy>> {
        self.first_fit(&destination.shown())
    }

    /// Whether a refusal that concerns no destination leaves the connection alive.
    pub fn notifies(&self) -> bool {
        self.notify
    }

    /// All policies in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.destinations.iter()
    }

    /// There are some dozens, and a pattern that doesn't fit ends at its first other segment without allocating.
    fn first_fit(&self, shown: &str) -> Option<&Arc<Policy>> {
        self.destinations.iter().find(|policy| policy.pattern.fits(shown))
    }
}
