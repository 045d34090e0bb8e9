//! Which nodes live.

use std::time::Duration;

use footfall::registry::{NodeRun, Renewal};

use super::{Home, LONG, lease, node};

const SHORT: Duration = Duration::from_secs(1);

pub(crate) async fn a_lease_lapses_and_is_remembered(home: &impl Home) {
    let registry = home.open().await;
    let (a, b) = (node("a"), node("b"));
    assert_eq!(registry.renew(lease(&b), LONG).await.unwrap(), Renewal::Anew);
    assert_eq!(registry.renew(lease(&a), SHORT).await.unwrap(), Renewal::Anew);
    let mut later = lease(&a);
    later.connections = 7;
    assert_eq!(registry.renew(later.clone(), SHORT).await.unwrap(), Renewal::Kept);

    let nodes = home.open().await.nodes().await.unwrap();
    let [seen_a, seen_b] = nodes.seen.as_slice() else { panic!("{nodes:?}") };
    assert_eq!((&seen_a.lease, &seen_b.lease), (&later, &lease(&b)));
    assert!(seen_a.holds_for.unwrap() <= SHORT && seen_a.gone_for.is_zero());
    assert!(seen_b.holds_for.unwrap() > SHORT);
    assert_eq!(nodes.live().count(), 2);

    home.pass(2 * SHORT).await;
    let nodes = registry.nodes().await.unwrap();
    assert_eq!((nodes.seen[0].lease.clone(), nodes.seen[0].holds_for), (later, None));
    assert!(nodes.gone_for("a").unwrap() >= SHORT / 2, "{nodes:?}");
    assert_eq!(nodes.gone_for("b"), None);
    assert_eq!(registry.renew(lease(&a), SHORT).await.unwrap(), Renewal::Anew);
}

pub(crate) async fn a_lease_is_given_back(home: &impl Home) {
    let registry = home.open().await;
    let a = node("a");
    registry.renew(lease(&a), LONG).await.unwrap();
    registry.give_back(a.clone()).await.unwrap();
    let nodes = registry.nodes().await.unwrap();
    assert!(nodes.seen.len() == 1 && nodes.seen[0].holds_for.is_none(), "{nodes:?}");
    registry.give_back(a.clone()).await.unwrap();
    registry.give_back(node("nobody")).await.unwrap();
    assert_eq!(registry.nodes().await.unwrap().seen.len(), 1);
    assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Anew);
}

pub(crate) async fn a_later_start_takes_over_the_name(home: &impl Home) {
    let registry = home.open().await;
    let earlier = node("a");
    let later = NodeRun { started_ms: earlier.started_ms + 1, ..earlier.clone() };
    registry.renew(lease(&earlier), LONG).await.unwrap();
    assert_eq!(registry.renew(lease(&later), LONG).await.unwrap(), Renewal::Anew);
    assert_eq!(registry.renew(lease(&earlier), LONG).await.unwrap(), Renewal::Replaced);
    registry.give_back(earlier.clone()).await.unwrap();
    assert_eq!(registry.renew(lease(&later), LONG).await.unwrap(), Renewal::Kept);
    let nodes = registry.nodes().await.unwrap();
    assert_eq!(nodes.live().map(|lease| &lease.node).collect::<Vec<_>>(), [&later]);
    // Once that one is gone an earlier start is a node like any other: clocks go back.
    registry.give_back(later).await.unwrap();
    assert_eq!(registry.renew(lease(&earlier), LONG).await.unwrap(), Renewal::Anew);
}

pub(crate) async fn a_node_that_was_never_seen_is_gone_for_as_long_as_anyone_remembers(home: &impl Home) {
    let registry = home.open().await;
    registry.renew(lease(&node("a")), LONG).await.unwrap();
    let before = registry.nodes().await.unwrap();
    assert!(before.remembers < SHORT, "{before:?}");
    assert_eq!(before.gone_for("never"), Some(before.remembers));
    home.pass(2 * SHORT).await;
    assert!(registry.nodes().await.unwrap().gone_for("never").unwrap() >= SHORT);
}
