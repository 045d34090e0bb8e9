//! The connection that hears that there are news, and what is done when it is cut: it is made again, and until then
//! readers look for themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use redis::{Client, RedisResult};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::error::silent;

const CONNECT: Duration = Duration::from_secs(1);

/// Between two tries; readers look every second meanwhile.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How often the connection is asked for a sign of life: one that only listens never finds out by itself.
const ASK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Pushes {
    /// Counts what was heard.
    heard: watch::Sender<u64>,
    subscribed: AtomicBool,
}

impl Pushes {
    pub(super) fn new() -> Self {
        Self { heard: watch::Sender::new(0), subscribed: AtomicBool::new(false) }
    }

    /// Changes whenever there may be news.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Listens until it is dropped.
    pub(super) async fn listen(self: Arc<Self>, client: Client, channel: String) {
        let mut said = false;
        loop {
            match timeout(CONNECT, subscribe(&client, &channel)).await.unwrap_or_else(|_| Err(silent())) {
                Ok(connection) => {
                    said = false;
                    debug!("news are pushed");
                    self.subscribed.store(true, Ordering::Relaxed);
                    // Some may have come before.
                    self.hear();
                    let end = self.follow(connection).await;
                    self.subscribed.store(false, Ordering::Relaxed);
                    debug!(error = end.err().map(tracing::field::display), "the connection for news was cut");
                }
                Err(error) if !said => {
                    said = true;
                    warn!(%error, "news can't be pushed; they are looked for every second");
                }
                Err(_) => {}
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    async fn follow(&self, connection: PubSub) -> RedisResult<()> {
        let (mut asking, mut messages) = connection.split();
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(_) => self.hear(),
                    None => return Ok(()),
                },
                _ = ask.tick() => {
                    let answer: RedisResult<redis::Value> = timeout(CONNECT, asking.ping()).await.unwrap_or_else(|_| Err(silent()));
                    answer?;
                }
            }
        }
    }

    fn hear(&self) {
        self.heard.send_modify(|heard| *heard = heard.wrapping_add(1));
    }
}

async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut connection = client.get_async_pubsub().await?;
    connection.subscribe(channel).await?;
    Ok(connection)
}
