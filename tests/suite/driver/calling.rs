//! How a client gets to a node: the next one in its list after each connection that ended, and not at once.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::sleep;

use super::client::{Client, Gone};
use super::journal::{Journal, What};
use super::manner::Manner;
use crate::support::random::Random;

/// One client's way to the nodes.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) nodes: Arc<[SocketAddr]>,
    /// Which of them is next.
    pub(crate) node: usize,
    pub(crate) token: String,
    pub(crate) journal: Journal,
    pub(crate) random: Random,
    pub(crate) manner: Manner,
    /// How many connections in a row were of no use.
    useless: u32,
}

impl Calling {
    pub(crate) fn new(nodes: Arc<[SocketAddr]>, node: usize, token: String, journal: Journal, random: Random, manner: Manner) -> Self {
        Self { nodes, node, token, journal, random, manner, useless: 0 }
    }

    /// Tries node after node until one has said CONNECTED.
    pub(crate) async fn connect(&mut self) -> Client {
        loop {
            let node = self.node % self.nodes.len();
            match Client::connect(self.nodes[node], &self.token, self.manner.beats()).await {
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
        self.useless = 0;
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
        sleep(self.manner.pause(self.useless, &mut self.random)).await;
        self.useless = self.useless.saturating_add(1);
    }
}
