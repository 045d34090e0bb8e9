//! `deploy/grafana/footfall.json`: what its queries ask for is what a node shows, and next to nothing is missing in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{METRICS, scrape};
use crate::support::node::{OPEN, TestNode};

/// What a dashboard needs not show, and why.
const NOT_SHOWN: &[(&str, &str)] = &[("footfall_connections_closed_total", "open and opened say it, and refusals say why")];

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/footfall.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The panels outside and inside of rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().unwrap();
    outer.iter().flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten())).collect()
}

fn queries(dashboard: &Value) -> Vec<&str> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap()).collect()
}

/// The names of metrics in a query.
fn names(query: &str) -> impl Iterator<Item = &str> {
    query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| word.starts_with("footfall_"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_asks_for_what_a_node_shows() {
    let node = TestNode::start(&format!("{OPEN}{METRICS}")).await;
    let page = scrape(&node).await;
    let shown = page.names();
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let of_variables = variables.iter().filter_map(|variable| variable["query"]["query"].as_str());
    let queries: Vec<_> = queries(&dashboard).into_iter().chain(of_variables).collect();
    assert!(queries.len() > 20);
    let mut used = BTreeSet::new();
    for query in queries {
        let names: Vec<_> = names(query).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(shown.contains(name), "{name} is on no page: {query}");
            used.insert(name);
        }
    }
    let is_used = |name: &str| {
        used.iter().any(|used| *used == name || ["_bucket", "_sum", "_count"].iter().any(|part| *used == format!("{name}{part}")))
    };
    for (name, _) in NOT_SHOWN {
        assert!(page.metrics.iter().any(|metric| metric.name == *name) && !is_used(name), "{name} need not be in the list");
    }
    let missing: Vec<_> = page.metrics.iter().map(|metric| &*metric.name).filter(|name| !is_used(name)).collect();
    assert_eq!(missing, NOT_SHOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "no panel shows these");
}

#[test]
fn the_data_source_and_the_nodes_can_be_chosen() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!((&named("datasource")["type"], &named("datasource")["query"]), (&Value::from("datasource"), &Value::from("prometheus")));
    let instance = named("instance");
    assert_eq!((&instance["multi"], &instance["includeAll"]), (&Value::from(true), &Value::from(true)));
    for query in queries(&dashboard) {
        // Each selector has braces, and each pair of braces the instance.
        let selectors = names(query).count();
        assert_eq!(query.matches("instance=~\"$instance\"").count(), selectors, "{query}");
    }
    for panel in panels(&dashboard) {
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
    }
    let rows: Vec<_> =
        panels(&dashboard).into_iter().filter(|panel| panel["type"] == "row").map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Node", "Connections", "Traffic and latency", "Refusals", "Outboxes", "Bus", "Store", "Registry"]);
    let ids: BTreeSet<_> = panels(&dashboard).iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels(&dashboard).len(), "ids are unique");
}
