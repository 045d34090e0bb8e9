//! Hop 2: every record of the broadcast topic goes to this node's edge.

use std::time::Duration;

use crate::bus::{BusError, Consumer, Event, Kind};
use crate::edge::Edge;
use crate::shutdown::Shutdown;

/// Between attempts while the bus can't be read.
const RETRY: Duration = Duration::from_millis(200);

/// Reads until the node stops or the bus is closed. `consumer` must be subscribed already: its position decides what
/// subscribers that join from now on can rely on.
pub async fn broadcast(mut consumer: Box<dyn Consumer>, edge: Edge, shutdown: Shutdown) {
    loop {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = shutdown.stopped() => return,
        };
        match event {
            Ok(Event::Records(batches)) => {
                for batch in batches {
                    let end = batch.end();
                    for (_, record) in batch.records {
                        match record.kind {
                            _ if !edge.wants(&record.message.destination, record.message.id) => {}
                            Kind::Message => edge.message(record.message),
                            Kind::Known => edge.known(record.message.id),
                        }
                    }
                    consumer.commit(&batch.partition, end);
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
        // Delivering is work without waiting; others on this thread get their turn between batches.
        tokio::task::yield_now().await;
    }
}
