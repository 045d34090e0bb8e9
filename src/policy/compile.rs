//! From settings to policies, or to sentences that say what to change.

use std::sync::Arc;

use super::inspect::Vocabulary;
use super::rule::Rule;
use super::target::Target;
use super::{
    Application, ApplicationSettings, DestinationSettings, List, Policies, Policy, PolicyError, Problem, Receipt, Refusals, Retention,
};
use crate::message::Pattern;

pub(super) fn compile(
    destinations: &[DestinationSettings],
    applications: &[ApplicationSettings],
    refusals: Refusals,
) -> Result<Policies, Vec<PolicyError>> {
    let mut errors = Vec::new();
    let destinations = all(List::Destinations, destinations, |settings| policy(settings, refusals), &mut errors);
    let applications = all(List::Applications, applications, application, &mut errors);
    if errors.is_empty() { Ok(Policies { destinations, applications, notify: refusals == Refusals::Notify }) } else { Err(errors) }
}

/// What the good entries of a list compile to; of each bad one its first error.
fn all<S, T>(list: List, entries: &[S], compile: impl Fn(&S) -> Result<T, Wrong>, errors: &mut Vec<PolicyError>) -> Box<[T]> {
    let compiled = entries.iter().enumerate().filter_map(|(index, settings)| {
        compile(settings).map_err(|(key, problem)| errors.push(PolicyError { list, index, key, problem })).ok()
    });
    compiled.collect()
}

/// A key and what is wrong with its value.
type Wrong = (&'static str, Problem);

fn policy(settings: &DestinationSettings, refusals: Refusals) -> Result<Arc<Policy>, Wrong> {
    let pattern = Pattern::parse(&settings.pattern).map_err(|bad| ("pattern", bad.into()))?;
    if settings.pattern.starts_with("/app/") {
        return Err(("pattern", Problem::ApplicationPattern));
    }
    let private = settings.pattern.starts_with("/user/");
    let mut params: Vec<&str> = pattern.names().collect();
    if private {
        if params.contains(&"user") {
            return Err(("pattern", Problem::CapturedUser));
        }
        if settings.wildcard {
            return Err(("wildcard", Problem::WildcardOfPrivateQueue));
        }
        params.push("user");
    }
    if settings.receipt == Receipt::Stored && !settings.store {
        return Err(("receipt", Problem::ReceiptWithoutStore));
    }
    if settings.retention.count == Some(0) {
        return Err(("retention", Problem::KeepsNothing));
    }
    let subscribe = rule("subscribe", settings.subscribe.as_deref(), Vocabulary { params: &params, message: false })?;
    let send = rule("send", settings.send.as_deref(), Vocabulary { params: &params, message: true })?;
    Ok(Arc::new(Policy {
        store: settings.store,
        receipt: settings.receipt,
        retention: Retention { count: settings.retention.count, age: settings.retention.age.map(Into::into) },
        wildcard: settings.wildcard,
        notify: settings.refusals.unwrap_or(refusals) == Refusals::Notify,
        subscribe,
        send,
        pattern,
    }))
}

fn application(settings: &ApplicationSettings) -> Result<Application, Wrong> {
    let pattern = Pattern::parse(&settings.pattern).map_err(|bad| ("pattern", bad.into()))?;
    if !settings.pattern.starts_with("/app/") {
        return Err(("pattern", Problem::NoApplicationPattern));
    }
    let target = Target::compile(&settings.target, &pattern).map_err(|problem| ("target", problem))?;
    let params: Vec<&str> = pattern.names().collect();
    let send = rule("send", settings.send.as_deref(), Vocabulary { params: &params, message: true })?;
    Ok(Application { pattern, target, send })
}

fn rule(key: &'static str, text: Option<&str>, vocabulary: Vocabulary<'_>) -> Result<Option<Rule>, Wrong> {
    text.map(|text| Rule::compile(text, vocabulary)).transpose().map_err(|error| (key, error.into()))
}
