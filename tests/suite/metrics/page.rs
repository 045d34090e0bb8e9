//! The page of metrics, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Page {
    /// In the page's order.
    pub(super) metrics: Vec<Metric>,
    /// As `name{label="value"}`.
    values: BTreeMap<String, f64>,
}

#[derive(Debug, Default)]
pub(super) struct Metric {
    /// As queries name it; of a histogram, without `_bucket`, `_sum` and `_count`.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) help: String,
    /// Each label with its values, in their order; without `le`.
    pub(super) labels: BTreeMap<String, BTreeSet<String>>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let body = text.strip_suffix("# EOF\n").expect("OpenMetrics ends so");
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                page.metrics.push(Metric { name: name.to_owned(), help: help.to_owned(), ..Metric::default() });
                continue;
            }
            let metric = page.metrics.last_mut().expect("HELP comes first");
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, metric.name);
                kind.clone_into(&mut metric.kind);
                match kind {
                    "counter" => metric.name.push_str("_total"),
                    "info" => metric.name.push_str("_info"),
                    _ => {}
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels.strip_suffix('}').unwrap()));
            assert!(name.starts_with(&metric.name), "{line} under {}", metric.name);
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once('=').unwrap();
                if label != "le" {
                    metric.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
                }
            }
            assert_eq!(page.values.insert(series.to_owned(), value.parse().unwrap()).map(|_| series), None, "twice");
        }
        page
    }

    pub(super) fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("there is no {series}"))
    }

    pub(super) fn series(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    /// All names that a query may use.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.values.keys().map(|series| series.split('{').next().unwrap()).collect()
    }
}
