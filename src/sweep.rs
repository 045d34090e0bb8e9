//! Has the bus clear up after nodes that are gone, as the registry knows which those are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::bus::Bus;
use crate::registry::Registry;
use crate::shutdown::Shutdown;

const EVERY: Duration = Duration::from_mins(1);

/// Until the node stops. Every node does it, since any may be the last; twice is once.
pub async fn sweep(bus: Arc<dyn Bus>, registry: Arc<dyn Registry>, shutdown: Shutdown) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = shutdown.draining() => return,
        }
        let turn = async {
            let nodes = match registry.nodes().await {
                Ok(nodes) => nodes,
                Err(error) => return tracing::debug!(%error, "which nodes live is not known, so nothing is swept"),
            };
            if let Err(error) = bus.sweep(Arc::new(move |node: &str| nodes.gone_for(node))).await {
                tracing::debug!(%error, "what dead nodes left could not be swept");
            }
        };
        tokio::select! {
            () = turn => {}
            () = shutdown.draining() => return,
        }
    }
}
