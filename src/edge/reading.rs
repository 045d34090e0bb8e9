//! What gates need from the store, read in the background: one task a gate, retried until it is had.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::Edge;
use super::gate::Gate;
use super::order::{Need, Order};
use crate::message::{Code, Position, Refusal};
use crate::store::{PageLimit, StoreError};

/// Between attempts while the store is away: the first, doubled up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Edge {
    /// Reads the head of a new gate. While the store is away sessions may join all the same, and the first record is
    /// the baseline, unless the store is back before it.
    pub(super) fn open(&self, gate: &Arc<Gate>) {
        let (edge, gate) = (self.clone(), Arc::clone(gate));
        self.background("edge-open", async move {
            let mut pause = RETRY.0;
            while !gate.is_closed() {
                match edge.head(&gate).await {
                    Ok(head) if gate.see(Order::is_opening) => {
                        let need = gate.open(Some(head), &edge.0.registry);
                        return edge.read_all(gate, need).await;
                    }
                    Ok(head) => return edge.adopt(&gate, head),
                    Err(error) => tracing::warn!(destination = %gate.destination, %error, "no head to be had yet"),
                }
                if gate.see(Order::is_opening) {
                    let need = gate.open(None, &edge.0.registry);
                    edge.read_what(&gate, need);
                }
                if gate.see(|order| order.position().is_some()) || edge.pause(&mut pause).await.is_break() {
                    return;
                }
            }
        });
    }

    /// Gives a gate that waits for its first record the head that can be read now. Whoever subscribed in between may
    /// have been owed messages below it, so they come back and say from where.
    pub(super) fn adopt(&self, gate: &Gate, head: Position) {
        let adopted = gate.with(|order| {
            let adopted = !gate.is_closed() && order.adopt(head);
            if adopted {
                self.0.registry.end_all(&gate.destination, &Refusal::new(Code::HistoryLost));
            }
            adopted
        });
        if adopted {
            tracing::info!(destination = %gate.destination, position = %head, "the head is known again");
        }
    }

    /// Reads what a gate needs, if it needs anything, without making the caller wait.
    pub(super) fn read_what(&self, gate: &Arc<Gate>, need: Option<Need>) {
        if need.is_some() {
            self.background("edge-read", self.clone().read_all(Arc::clone(gate), need));
        }
    }

    pub(super) async fn head(&self, gate: &Gate) -> Result<Position, StoreError> {
        let kept = self.0.store.kept(self.partition_of(&gate.destination), gate.destination.clone()).await?;
        Ok(Position { epoch: kept.epoch, sequence: kept.head })
    }

    async fn read_all(self, gate: Arc<Gate>, mut need: Option<Need>) {
        let mut pause = RETRY.0;
        // Of a gate that was closed meanwhile nobody waits for anything.
        while let (Some(what), false) = (need, gate.is_closed()) {
            match self.read(&gate, what).await {
                Ok(next) => (need, pause) = (next, RETRY.0),
                Err(error) => {
                    tracing::warn!(destination = %gate.destination, %error, "what a gate needs can't be read yet");
                    if self.pause(&mut pause).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    fn background(&self, name: &'static str, reading: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.0.shutdown.clone();
        self.0.shutdown.spawn(name, async move {
            tokio::select! {
                () = reading => {}
                () = shutdown.stopped() => {}
            }
        });
    }

    async fn pause(&self, pause: &mut Duration) -> ControlFlow<()> {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {
                *pause = (*pause * 2).min(RETRY.1);
                ControlFlow::Continue(())
            }
            // The drain waits for what reads, and not for a store that is away: clients are sent elsewhere anyway.
            () = self.0.shutdown.draining() => ControlFlow::Break(()),
        }
    }

    async fn read(&self, gate: &Gate, need: Need) -> Result<Option<Need>, StoreError> {
        match need {
            Need::Messages { after, through } => {
                let partition = self.partition_of(&gate.destination);
                let page = self.0.store.page(partition, gate.destination.clone(), after, through, PageLimit::REPLAY).await?;
                Ok(gate.filled(&page, &self.0.registry))
            }
            Need::Head => Ok(gate.settle(self.head(gate).await?, &self.0.registry)),
        }
    }
}
