//! How a client gets to a node: the next one in its list after each connection that ended, and not at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::client::{Client, Gone};
use super::journal::{Journal, What};
use crate::support::random::Random;

const LEAST: Duration = Duration::from_millis(10);

/// One client's way to the nodes.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) nodes: Arc<[SocketAddr]>,
    /// Which of them is next.
    pub(crate) node: usize,
    pub(crate) token: String,
    pub(crate) journal: Journal,
    pub(crate) random: Random,
    /// Between two attempts at most.
    pub(crate) pause_at_most: Duration,
    /// Between the next two, about.
    pause: Duration,
}

impl Calling {
    pub(crate) fn new(
        nodes: Arc<[SocketAddr]>,
        node: usize,
        token: String,
        journal: Journal,
        random: Random,
        pause_at_most: Duration,
    ) -> Self {
        Self { nodes, node, token, journal, random, pause_at_most, pause: LEAST }
    }

    /// Tries node after node until one has said CONNECTED.
    pub(crate) async fn connect(&mut self) -> Client {
        loop {
            let node = self.node % self.nodes.len();
            match Client::connect(self.nodes[node], &self.token).await {
                Ok(client) => {
                    self.journal.write(What::Connected { node });
                    return client;
                }
                Err(gone) => {
                    self.journal.write(What::NotConnected { node });
                    if let Gone::NotConnected(error) = gone {
                        self.error(&error, None);
                    }
                    self.moves_on().await;
                }
            }
        }
    }

    /// The connection did its work, so the next one need not wait long.
    pub(crate) fn served(&mut self) {
        self.pause = LEAST;
    }

    /// The connection is over; the next one is elsewhere, a little later, and later each time that this one was useless.
    pub(crate) async fn ended(&mut self, why: &Gone) {
        self.journal.write(What::Disconnected { why: why.to_string() });
        self.moves_on().await;
    }

    /// ERROR came.
    pub(crate) fn error(&self, frame: &stomp_frames::Frame, id: Option<uuid::Uuid>) {
        let code = frame.header("code").unwrap_or_default().to_owned();
        self.journal.write(What::Error { code, id });
    }

    async fn moves_on(&mut self) {
        self.node += 1;
        // Half of it by chance: those whom one fault put out shall not come back as one.
        let half = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX) / 2;
        sleep(Duration::from_millis(half + self.random.below(half + 1))).await;
        self.pause = (self.pause * 2).min(self.pause_at_most);
    }
}
