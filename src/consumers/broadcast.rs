//! Hop 2: every record of the broadcast topic goes to this node's edge.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::{BusError, Consumer, Event, Kind, Unreadable};
use crate::edge::Edge;
use crate::shutdown::Shutdown;

/// Between attempts while the bus can't be read.
const RETRY: Duration = Duration::from_millis(200);

/// Reads until the node stops or the bus is closed. `consumer` must be subscribed already: its position decides what
/// subscribers that join from now on can rely on.
pub async fn broadcast(mut consumer: Box<dyn Consumer>, edge: Edge, shutdown: Shutdown) {
    // Whoever joins is known to the edge before the head of its destination is read, so what was dropped before that is
    // part of the head.
    let wanting = edge.clone();
    consumer.only(Arc::new(move |key, id| wanting.wants(key, id)));
    loop {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = shutdown.stopped() => return,
        };
        match event {
            Ok(Event::Records(batches)) => {
                for batch in batches {
                    for Unreadable { offset, reason, .. } in batch.unreadable {
                        tracing::error!(partition = batch.partition.number, offset, reason, "a broadcast can't be read and is passed over");
                    }
                    for (_, record) in batch.records {
                        match record.kind {
                            Kind::Message => edge.message(record.message),
                            Kind::Known => edge.known(record.message.id),
                            Kind::Refused(code) => edge.refused(record.message.id, code),
                        }
                    }
                    consumer.commit(&batch.partition, batch.end);
                    // Delivering is work without waiting; others on this thread get their turn between batches.
                    tokio::task::yield_now().await;
                }
            }
            Ok(Event::Assigned(_) | Event::Revoked(_)) => {}
            Err(BusError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "reading broadcast failed, trying again");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = shutdown.stopped() => return,
                }
            }
        }
    }
}
