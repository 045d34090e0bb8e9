//! Kafka's own tools list exactly one fixed group and one group for each live node, with lag; a node that ends takes its
//! own with it. Comes before the faults: the group of a node that was killed stays until it is swept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::GROUP;
use super::row::{Load, Row};
use super::world::{World, hurt, stop};

const LOAD: Load = Load { subscribers: 12, channels: 12, senders: 4, rate: 100, gives_up_once_in: Some(40) };
const PARTITIONS: usize = 12;

pub(super) async fn row(world: Arc<World>) {
    let row = Row::begin(&world, "groups", LOAD).await;
    let nodes = world.cluster.nodes().len();
    // Offsets of the broadcast are committed now and then only.
    world.until("every group shows its lag", || groups(&world).values().all(Group::is_whole)).await;
    let all = groups(&world);
    assert!(all.contains_key(GROUP), "{all:?}");
    assert_eq!(all.keys().filter(|group| group.starts_with("footfall-broadcast-")).count(), nodes, "{all:?}");
    assert_eq!(all.len(), nodes + 1, "{all:?}");

    stop(world.node(1));
    let left = groups(&world);
    assert_eq!(left.len(), nodes, "the group of a node that ended is gone: {left:?}");
    hurt(|| world.node(1).start());
    row.finish().await.clean();
}

/// What `kafka-consumer-groups.sh` prints of a group.
#[derive(Debug, Default)]
struct Group {
    /// Partitions with their lag.
    lags: Vec<i64>,
    /// Partitions without a record, which nobody ever committed.
    empty: usize,
}

impl Group {
    fn is_whole(&self) -> bool {
        !self.lags.is_empty() && self.lags.len() + self.empty == PARTITIONS
    }
}

fn groups(world: &World) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for line in hurt(|| world.cluster.kafka().consumer_groups(&["--describe", "--all-groups"])) {
        let columns: Vec<_> = line.split_whitespace().collect();
        // GROUP, TOPIC, PARTITION, CURRENT-OFFSET, LOG-END-OFFSET, LAG and who reads; sentences between the tables.
        let [group, topic, _, _, end, lag, ..] = columns[..] else { continue };
        if !topic.starts_with("footfall.") {
            continue;
        }
        let group = groups.entry(group.to_owned()).or_default();
        match lag.parse() {
            Ok(lag) => group.lags.push(lag),
            Err(_) if end == "0" => group.empty += 1,
            Err(_) => {}
        }
    }
    groups
}
