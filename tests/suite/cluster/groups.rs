//! Kafka's own tools list exactly one fixed group and one group for each live node, with lag; a node that ends takes its
//! own with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::GROUP;
use super::world::{World, hurt};

pub(super) async fn row(world: Arc<World>) {
    let nodes = world.cluster.nodes().len();
    world.until("a group for each node", || groups(&world).len() == nodes + 1).await;
    let all = groups(&world);
    assert!(all.contains_key(GROUP), "{all:?}");
    assert_eq!(all.keys().filter(|group| group.starts_with("footfall-broadcast-")).count(), nodes, "{all:?}");
    world.until("lag for every partition", || groups(&world).values().all(|lags| lags.len() == 12)).await;

    hurt(|| world.node(1).stop());
    world.until("the group of a node that ended is gone", || groups(&world).len() == nodes).await;
    hurt(|| world.node(1).start());
}

/// The lag of each partition that a group reads, as `kafka-consumer-groups.sh` prints it.
fn groups(world: &World) -> BTreeMap<String, Vec<i64>> {
    let lines = world.cluster.kafka().consumer_groups(&["--describe", "--all-groups"]).unwrap();
    let mut groups: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut lag = None;
    for line in &lines {
        let columns: Vec<_> = line.split_whitespace().collect();
        if columns.first() == Some(&"GROUP") {
            lag = columns.iter().position(|column| *column == "LAG");
        } else if let ([group, topic, ..], Some(lag)) = (&columns[..], lag.and_then(|at| columns.get(at)))
            // There are sentences between the tables.
            && topic.starts_with("footfall.")
        {
            // A partition that was never committed has a dash.
            groups.entry((*group).to_owned()).or_default().extend(lag.parse::<i64>().ok());
        }
    }
    groups
}
