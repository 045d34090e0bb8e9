//! Metrics with labels whose values are known from the start, so that nobody can make a new series by what they send.

use std::fmt::Debug;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What a word counts as that is not one of those foreseen.
pub const OTHER: &str = "other";

/// A gauge of what is no whole number, or may be unknown (NaN).
pub(super) type Seconds = Gauge<f64, AtomicU64>;

/// One label: its name and value.
pub(super) type Label = (&'static str, &'static str);

/// Registers a metric, and gives its handles in the order of the labels.
pub(super) fn family<M, const N: usize>(
    all: &mut Registry,
    name: &str,
    help: &str,
    labels: impl IntoIterator<Item = [Label; N]>,
    make: fn() -> M,
) -> Vec<M>
where
    M: Clone + Debug + EncodeMetric + TypedMetric + Send + Sync + 'static,
{
    let family = Family::<[Label; N], M, fn() -> M>::new_with_constructor(make);
    let handles = labels.into_iter().map(|labels| family.get_or_create_owned(&labels)).collect();
    all.register(name, help, family);
    handles
}

/// One metric for each of some words; all others share the one of [`OTHER`].
#[derive(Debug, Clone)]
pub struct ByWord<M> {
    words: &'static [&'static str],
    /// One more than there are words.
    metrics: Vec<M>,
}

impl<M> ByWord<M> {
    /// The metrics in the order of the words, then the one for others.
    pub(super) fn new(words: &'static [&'static str], metrics: Vec<M>) -> Self {
        debug_assert_eq!(metrics.len(), words.len() + 1);
        Self { words, metrics }
    }

    /// None never, as long as it was made with one metric more than words.
    pub(super) fn of(&self, word: &str) -> Option<&M> {
        let index = self.words.iter().position(|known| *known == word).unwrap_or(self.words.len());
        self.metrics.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &M)> {
        self.words.iter().copied().chain([OTHER]).zip(&self.metrics)
    }
}

/// The words and the one for what is not among them.
pub(super) fn and_other(words: &'static [&'static str]) -> impl Iterator<Item = &'static str> + Clone {
    words.iter().copied().chain([OTHER])
}

/// From a transaction on a fast disk to the time after which nobody waits any more.
pub(super) fn latency() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}
