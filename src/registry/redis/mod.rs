//! The registry of a cluster, in Redis. Keys, scripts and connections stay in this room.
//!
//! One connection carries everything that is asked; another one only listens for the word that there are news, which are
//! then read from a stream. So nothing depends on pub/sub but how soon.

mod circuit;
mod error;
mod keys;
mod link;
mod logins;
mod look;
mod news;
mod pushes;
mod scripts;
mod settings;
mod tokens;
mod upkeep;
mod who;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use look::RedisLooked;
pub use settings::RedisSettings;

use self::keys::Keys;
use self::link::Link;
use self::news::Reader;
use self::pushes::Pushes;
use self::upkeep::Upkeep;
use super::{NewsReader, Registry, RegistryError, RegistryState};
use crate::shutdown::Shutdown;

/// What all nodes of a cluster agree on.
#[derive(Debug)]
pub struct RedisRegistry {
    link: Arc<Link>,
    keys: Arc<Keys>,
    pushes: Arc<Pushes>,
    upkeep: Arc<Upkeep>,
    closed: CancellationToken,
}

impl RedisRegistry {
    /// What an operator should know before nodes rely on it.
    pub async fn look(settings: &RedisSettings) -> Result<RedisLooked, RegistryError> {
        look::look(settings).await
    }

    /// Only wrong settings are an error: while Redis is away the registry says so, and is there once Redis is. Its tasks end
    /// with it, or when the node drains.
    pub fn open(settings: &RedisSettings, shutdown: &Shutdown) -> Result<Self, RegistryError> {
        let unusable = |sentence: String| RegistryError::Unusable(sentence);
        if let Some((key, sentence)) = settings.wrong() {
            return Err(unusable(format!("{key}: {sentence}")));
        }
        let client = settings.client().map_err(unusable)?;
        let keys = Arc::new(Keys::new(&settings.prefix, client.get_connection_info().redis_settings().db()));
        let link = Arc::new(Link::new(client.clone()));
        let closed = CancellationToken::new();
        let (pushes, upkeep) = (Arc::new(Pushes::new()), Arc::new(Upkeep::default()));
        let until = |task: BoxFuture<'static, ()>| {
            let (shutdown, closed) = (shutdown.clone(), closed.clone());
            async move {
                tokio::select! {
                    () = task => {}
                    // A drain waits for those that don't end with it, and while it lasts news may be a second late.
                    () = shutdown.draining() => {}
                    () = closed.cancelled() => {}
                }
            }
        };
        // Neither is essential: without them news come later, and an operator hears nothing of evictions.
        drop(shutdown.spawn("registry pushes", until(Arc::clone(&pushes).listen(client, keys.channel.clone()).boxed())));
        drop(shutdown.spawn("registry upkeep", until(Arc::clone(&upkeep).run(Arc::clone(&link), Arc::clone(&keys)).boxed())));
        Ok(Self { link, keys, pushes, upkeep, closed })
    }
}

impl Registry for RedisRegistry {
    fn news(&self) -> Box<dyn NewsReader> {
        Box::new(Reader::new(Arc::clone(&self.link), self.keys.news(), self.pushes.told(), self.closed.clone()))
    }

    fn state(&self) -> RegistryState {
        RegistryState { available: self.link.is_available(), pushed: self.pushes.is_subscribed(), evicting: self.upkeep.is_evicting() }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.closed.cancel();
        self.link.close();
        ready(()).boxed()
    }
}

impl Drop for RedisRegistry {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Milliseconds as Redis takes them: at least one, and at most a century, which is as good as for ever.
fn millis(duration: Duration) -> u64 {
    const CENTURY: u128 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis().clamp(1, CENTURY)).unwrap_or(u64::MAX)
}

/// Redis or somebody else wrote what footfall never did.
fn odd(what: &str) -> RegistryError {
    RegistryError::Corrupt(format!("{what} in Redis can't be read"))
}
