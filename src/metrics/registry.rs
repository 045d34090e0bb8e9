//! What is counted of the registry: who came in, and who was put out for it.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::{family, latency};

/// How the question ended whether somebody whose token is good may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionOutcome {
    Admitted,
    /// The registry was away, and its last answer for this token is young enough.
    AdmittedFromCache,
    Revoked,
    NotRegistered,
    /// The registry does not know yet what was revoked.
    NotFilled,
    Unavailable,
}

impl AdmissionOutcome {
    const ALL: [Self; 6] =
        [Self::Admitted, Self::AdmittedFromCache, Self::Revoked, Self::NotRegistered, Self::NotFilled, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::AdmittedFromCache => "admitted-from-cache",
            Self::Revoked => "revoked",
            Self::NotRegistered => "not-registered",
            Self::NotFilled => "not-filled",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct RegistryMetrics {
    /// By outcome.
    admissions: Vec<Counter>,
    admission_seconds: Histogram,
    pushed_out: Counter,
    refills: Counter,
}

impl RegistryMetrics {
    pub(super) fn new(all: &mut Registry) -> Self {
        let labels = AdmissionOutcome::ALL.map(|outcome| [("outcome", outcome.as_str())]);
        let help = "CONNECTs and refreshes with a good token for which the registry was asked, by outcome";
        let admissions = family(all, "footfall_registry_admissions", help, labels, Counter::default);
        let (admission_seconds, pushed_out, refills) = (latency(), Counter::default(), Counter::default());
        all.register(
            "footfall_registry_admission_seconds",
            "What the registry took to answer whether somebody may come in",
            admission_seconds.clone(),
        );
        all.register(
            "footfall_registry_pushed_out",
            "Sessions that were ended because their user came in once more than may be",
            pushed_out.clone(),
        );
        all.register(
            "footfall_registry_refills",
            "Times that this node gave the list of revocations to a registry that had forgotten it",
            refills.clone(),
        );
        Self { admissions, admission_seconds, pushed_out, refills }
    }

    /// The registry answered, or did not.
    pub fn admission(&self, outcome: AdmissionOutcome, took: Duration) {
        self.admissions[outcome as usize].inc();
        self.admission_seconds.observe(took.as_secs_f64());
    }

    /// An admission displaced so many sessions.
    pub fn pushed_out(&self, sessions: usize) {
        self.pushed_out.inc_by(sessions as u64);
    }

    /// This node filled a registry.
    pub fn refilled(&self) {
        self.refills.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_place() {
        for (index, outcome) in AdmissionOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
