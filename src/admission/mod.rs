//! Who may come in with a good token, and who has to go again: the JWT registry.
//!
//! Three know what no longer counts. The store keeps the list and never forgets; the registry makes all nodes obey at once;
//! and each node has the list in its memory, so that neither of them is needed to keep out whom it knows of. Live sessions
//! need none of them: while the registry is away only CONNECT is refused.

mod grace;
mod news;
mod orders;
mod present;
mod refill;
mod revoked;
mod roles;
mod stay;
mod untold;
mod upkeep;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

pub use orders::{OrderError, Told};
pub use stay::{Arrival, Stay};

use self::grace::Grace;
use self::present::Present;
use self::revoked::Revocations;
use self::untold::Untold;
use self::upkeep::Departures;
use crate::metrics::RegistryMetrics;
use crate::registry::{NodeRun, Registry};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// Which tokens count besides being good, as the settings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// All of them.
    Any,
    /// All that were not revoked.
    NotRevoked,
    /// Only those that were registered.
    Registered,
}

/// What a node's admissions go by.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    pub counting: Counting,
    pub max_sessions: Option<NonZeroU32>,
    /// While the registry is away, a token that was let in so long ago at most comes in again.
    pub grace: Duration,
    /// A revocation whose token's end is not known is remembered for so long: no token lives longer.
    pub longest_token: Duration,
    /// How far the clocks of whoever makes tokens may differ from ours.
    pub leeway: Duration,
    /// Which node this is.
    pub node: NodeRun,
    /// Where clients or a director reach it.
    pub address: Arc<str>,
}

/// How many clients are connected now; asked when the lease is renewed.
pub type CountConnections = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Who is in, who may come in, and who has to go. One for all connections of a node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Admissions(Arc<Inner>);

struct Inner {
    settings: AdmissionSettings,
    registry: Arc<dyn Registry>,
    store: Arc<dyn Store>,
    present: Present,
    revoked: Revocations,
    grace: Grace,
    departures: Departures,
    untold: Untold,
    /// News may have been missed.
    lost: Notify,
    roles: roles::Wanted,
    /// The registry may lack sessions of this node.
    unkept: AtomicBool,
    /// A younger start of a node with this name is at work.
    replaced: AtomicBool,
    connections: CountConnections,
    metrics: RegistryMetrics,
}

impl Admissions {
    /// Loads what was revoked, and starts to keep up with it. Nobody may be let in before this has returned.
    pub async fn start(
        settings: AdmissionSettings,
        registry: Arc<dyn Registry>,
        store: Arc<dyn Store>,
        connections: CountConnections,
        metrics: RegistryMetrics,
        shutdown: &Shutdown,
    ) -> Result<Self, StoreError> {
        let grace = Grace::new(settings.grace);
        let inner = Inner {
            settings,
            registry,
            store,
            present: Present::default(),
            revoked: Revocations::default(),
            grace,
            departures: Departures::default(),
            untold: Untold::default(),
            lost: Notify::new(),
            roles: roles::Wanted::default(),
            unkept: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            connections,
            metrics,
        };
        let admissions = Self(Arc::new(inner));
        let reader = admissions.0.registry.news();
        let loaded = match refill::refill(&admissions.0).await {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(%error, "the registry can't be filled yet, so nobody is let in");
                refill::load(&admissions.0, 0).await?
            }
        };
        shutdown.spawn_essential("news", news::follow(Arc::clone(&admissions.0), reader, shutdown.clone()));
        shutdown.spawn_essential("refill", refill::keep_filled(Arc::clone(&admissions.0), loaded, shutdown.clone()));
        shutdown.spawn_essential("roles", roles::look_up(Arc::clone(&admissions.0), shutdown.clone()));
        shutdown.spawn_essential("untold", untold::tell_again(Arc::clone(&admissions.0), shutdown.clone()));
        shutdown.spawn_essential("leases", upkeep::keep(Arc::clone(&admissions.0), shutdown.clone()));
        Ok(admissions)
    }

    /// Whether a younger start of a node with this name holds the lease, so that this one should be gone.
    pub fn is_replaced(&self) -> bool {
        self.0.replaced.load(Ordering::Acquire)
    }

    /// How many revocations this node has in its memory.
    pub fn revocations(&self) -> usize {
        self.0.revoked.len()
    }

    /// What all nodes agree on.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.0.registry
    }

    /// Gives the lease back, and this node's sessions with it. For the end, when all of them are over.
    pub async fn close(&self) {
        if let Err(error) = self.0.registry.give_back(self.0.settings.node.clone()).await {
            tracing::debug!(%error, "the lease was not given back and will lapse");
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Admissions").field("counting", &self.settings.counting).field("registry", &self.registry).finish_non_exhaustive()
    }
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
