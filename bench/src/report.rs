//! What was measured: one list of values, shown as a table and written as JSON, so that the two can't differ.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// Why the numbers are not what they seem.
    flaw: Option<String>,
}

#[derive(Debug)]
struct Row {
    name: String,
    value: Value,
    unit: &'static str,
}

impl Report {
    /// Begins with how it was called, since a number without its command line can't be repeated.
    pub(crate) fn new() -> Self {
        let mut report = Self::default();
        report.text("command_line", redacted(std::env::args()).join(" "));
        report
    }

    pub(crate) fn text(&mut self, name: &str, text: String) {
        self.rows.push(Row { name: name.to_owned(), value: text.into(), unit: "" });
    }

    pub(crate) fn count(&mut self, name: &str, count: u64) {
        self.rows.push(Row { name: name.to_owned(), value: count.into(), unit: "" });
    }

    pub(crate) fn number(&mut self, name: &str, number: f64, unit: &'static str) {
        // JSON has no NaN and no infinity; they come from dividing by nothing, which is "no value".
        self.rows.push(Row { name: name.to_owned(), value: json!(rounded(number)), unit });
    }

    pub(crate) fn missing(&mut self, name: &str) {
        self.rows.push(Row { name: name.to_owned(), value: Value::Null, unit: "" });
    }

    /// The run is reported and then fails, so that nobody takes its percentiles for those of all messages.
    pub(crate) fn flaw(&mut self, sentence: String) {
        self.text("flaw", sentence.clone());
        self.flaw = Some(sentence);
    }

    pub(crate) fn judge(self) -> Result<()> {
        self.flaw.map_or(Ok(()), |flaw| Err(anyhow::Error::msg(flaw)))
    }

    /// Percentiles of a histogram in nanoseconds, as milliseconds.
    pub(crate) fn percentiles(&mut self, name: &str, histogram: &Histogram<u64>) {
        self.count(&format!("{name}_samples"), histogram.len());
        if histogram.is_empty() {
            return;
        }
        for (label, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)] {
            self.number(&format!("{name}_{label}"), milliseconds(histogram.value_at_quantile(quantile)), "ms");
        }
        self.number(&format!("{name}_max"), milliseconds(histogram.max()), "ms");
    }

    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    pub(crate) fn print(&self) {
        print!("{}", self.table());
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        self.rows.iter().fold(String::new(), |table, Row { name, value, unit }| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => "not measured".to_owned(),
                other => other.to_string(),
            };
            let line = format!("{:width$}  {value} {unit}", name.replace('_', " "));
            format!("{table}{}\n", line.trim_end())
        })
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(&self.json()).context("The result can't be written as JSON.")?;
        fs::write(file, json + "\n").with_context(|| format!("The result could not be written to {}.", file.display()))
    }

    /// Names carry their unit, so that a reader of the file needs no table.
    fn json(&self) -> Value {
        let name = |row: &Row| match row.unit {
            "" => row.name.clone(),
            unit => format!("{}_{}", row.name, unit.replace('/', "_per_").replace('µ', "u")),
        };
        Value::Object(self.rows.iter().map(|row| (name(row), row.value.clone())).collect::<Map<_, _>>())
    }
}

/// A histogram in nanoseconds. Three digits are more than two runs on one machine agree on; what takes longer than two
/// minutes counts as two minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1_000, 120_000_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are constants"));
    histogram.auto(false);
    histogram
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Of something in a time; none in no time.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    float(count) / time.as_secs_f64()
}

fn milliseconds(nanos: u64) -> f64 {
    float(nanos) / 1e6
}

fn rounded(number: f64) -> Option<f64> {
    number.is_finite().then(|| (number * 1000.0).round() / 1000.0)
}

/// A token is a secret also in a report.
fn redacted(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hide = false;
    arguments
        .map(|argument| {
            if std::mem::replace(&mut hide, argument == "--token") {
                "…".to_owned()
            } else if argument.starts_with("--token=") {
                "--token=…".to_owned()
            } else {
                argument
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut samples = histogram();
        for millisecond in 1..=1000 {
            samples.saturating_record(millisecond * 1_000_000);
        }
        let mut report = Report::default();
        report.percentiles("latency", &samples);
        let json = report.json();
        for (name, expected) in [("p50", 500.0), ("p90", 900.0), ("p99", 990.0), ("p99_9", 999.0), ("max", 1000.0)] {
            let value = json[format!("latency_{name}_ms")].as_f64().unwrap();
            assert!((value / expected - 1.0).abs() < 0.002, "{name} is {value}");
        }
        assert_eq!(json["latency_samples"], 1000);
    }

    #[test]
    fn the_histogram_takes_any_value() {
        let mut samples = histogram();
        samples.saturating_record(0);
        samples.saturating_record(u64::MAX);
        assert_eq!(samples.len(), 2);
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut report = Report::default();
        report.missing("server_cpu");
        report.number("rate", per_second(5, Duration::ZERO), "KiB");
        assert_eq!(report.json()["server_cpu"], Value::Null);
        assert_eq!(report.json()["rate_KiB"], Value::Null);
        assert_eq!(report.table(), "server cpu  not measured\nrate        not measured KiB\n");
    }

    #[test]
    fn a_flaw_is_reported_and_fails_the_run() {
        let mut report = Report::default();
        report.flaw("Half of it is missing.".to_owned());
        assert_eq!(report.json()["flaw"], "Half of it is missing.");
        assert_eq!(report.judge().unwrap_err().to_string(), "Half of it is missing.");
        assert!(Report::default().judge().is_ok());
    }

    #[test]
    fn a_token_stays_out_of_the_report() {
        for line in ["bench --token a.b.c idle", "bench --token=a.b.c idle"] {
            let shown = redacted(line.split(' ').map(str::to_owned)).join(" ");
            assert!(!shown.contains("a.b.c") && shown.ends_with("idle"), "{shown}");
        }
    }
}
