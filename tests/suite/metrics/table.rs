//! `docs/metrics.md`: every metric, as a node shows it. What to alert on is written by hand and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use footfall::message::Code;
use footfall::metrics::{BUS_STATES, Metrics, OTHER, READINESS, Snapshot};

use super::page::{Metric, Page};

const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- end of metrics -->";
const HEAD: &str = "| metric | type | labels | what it means | alert on |\n|---|---|---|---|---|\n";

#[test]
fn the_page_has_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let table = table(&alerts(found));
    if std::env::var_os("FOOTFALL_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            found == table,
            "docs/metrics.md is not as the code has it; write it anew with FOOTFALL_WRITE_DOCS=1 cargo test --test suite metrics"
        );
    }
    assert!(!table.contains("| ? |"), "docs/metrics.md does not say what to alert on, or that there is nothing (–)");
}

/// What was written by hand, by metric.
fn alerts(table: &str) -> BTreeMap<&str, &str> {
    let rows = table.lines().skip(2).map(|row| row.split(" | ").collect::<Vec<_>>());
    rows.filter_map(|row| Some((row.first()?.trim_matches(['|', ' ', '`']), row.last()?.trim_end_matches(" |")))).collect()
}

fn table(alerts: &BTreeMap<&str, &str>) -> String {
    let page = Page::read(&Metrics::default().page(&Snapshot::default()));
    let mut table = HEAD.to_owned();
    for Metric { name, kind, help, labels } in &page.metrics {
        let labels: Vec<_> = labels.iter().map(|(label, values)| format!("`{label}`: {}", said(label, values))).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join("<br>") };
        let alert = alerts.get(name.as_str()).unwrap_or(&"?");
        writeln!(table, "| `{name}` | {kind} | {labels} | {help} | {alert} |").unwrap();
    }
    table
}

fn said(label: &str, values: &BTreeSet<String>) -> String {
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    if *values == codes {
        "each code of [errors.md](errors.md)".to_owned()
    } else if label == "version" {
        "of the program".to_owned()
    } else {
        values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
    }
}

/// A word that nobody foresaw would be counted as `other`; this finds it before.
#[test]
fn every_word_that_the_code_has_for_readiness_is_foreseen() {
    let mut words = BTreeSet::from(["ready", "starting", "draining"].map(str::to_owned));
    for (file, before) in [
        ("src/bus/kafka/health.rs", "NotReady(\""),
        ("src/bus/kafka/mod.rs", "NotReady(\""),
        ("src/bus/memory/mod.rs", "NotReady(\""),
        ("src/node.rs", "Trouble::OtherLog => \""),
        ("src/node.rs", "Trouble::Contested => \""),
        ("src/node.rs", "is_replaced() => Some(\""),
    ] {
        let code = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        words.extend(code.split(before).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert!(words.len() > 5, "{words:?}");
    assert_eq!(words, READINESS.iter().map(|word| (*word).to_owned()).collect());
    let troubles = ["starting", "draining", "log-refused", "partition-contested", "node-id-taken"];
    let of_bus: BTreeSet<_> = READINESS.iter().filter(|word| !troubles.contains(word)).collect();
    assert_eq!(of_bus, BUS_STATES.iter().collect());
    assert!(!READINESS.contains(&OTHER));
}

#[test]
fn names_have_units_and_all_have_help() {
    let page = Page::read(&Metrics::default().page(&Snapshot::default()));
    assert!(page.metrics.len() > 25);
    for Metric { name, kind, help, .. } in &page.metrics {
        assert!(name.starts_with("footfall_") && help.len() > 15 && help.ends_with('.') && !help.ends_with(".."), "{name}: {help}");
        assert!(!help.contains('|') && !help.contains('\n'), "{name}: {help}");
        match kind.as_str() {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "histogram" => assert!(name.ends_with("_seconds") || name.ends_with("_messages"), "{name}"),
            _ => assert!(!name.ends_with("_total"), "{name}"),
        }
    }
}
