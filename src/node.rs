//! One node: builds the adapters, wires the parts, and runs until it is asked to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::admission::{AdmissionSettings, Admissions, CountConnections, Counting};
use crate::api::{self, Api};
use crate::auth::{AuthError, Issuer, TokenRegistry};
use crate::broker::OutboxSettings;
use crate::bus::{Audience, Bus, BusError, BusState, KafkaBus, KafkaError, Lag, MeasuredBus, MemoryBus, MemoryBusSettings, Topic};
use crate::channel::{Authentication, ChannelInterceptor, InboundChannel, RateLimit};
use crate::consumers::{KeepOf, Partitions, RetentionSettings, Trouble, broadcast, persistence, retention};
use crate::edge::{Edge, EdgeSettings, Numbering};
use crate::login::LoginSessions;
use crate::message::{Destination, UserName};
use crate::metrics::{self, Look, Metrics, MetricsSettings, RegistrySnapshot, Snapshot};
use crate::policy::Policies;
use crate::registry::{MemoryRegistry, MemoryRegistrySettings, NodeRun, RedisRegistry, Registry, RegistryError, RegistryState};
use crate::session::is_reserved;
use crate::settings::{
    BadSettings, BusKind, BusSettings, Checked, Mode, RegistryKind, RegistrySettings, Settings, StoreKind, StoreSettings,
};
use crate::shutdown::Shutdown;
use crate::store::{Keep, MeasuredStore, PartitionKey, PostgresStore, SharedReads, SqliteStore, Store, StoreError};
use crate::sweep::sweep;
use crate::transport::{self, Connections, Development, Hindrance, Readiness, ServerSettings, Transport};

/// Tokens of development mode live so long.
const DEVELOPMENT_TOKEN: Duration = Duration::from_hours(12);
/// What a drain gets beyond the time over which closes are spread: clients read their last frame, the bus empties.
const AFTER_DRAIN: Duration = Duration::from_secs(5);
/// Limits on users that were not seen for so long are forgotten.
const FORGET_IDLE: Duration = Duration::from_mins(1);

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] BadSettings),
    #[error("{0} is taken, or may not be listened on: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error("{0}, where metrics are to be read, is taken, or may not be listened on: {1}")]
    Metrics(SocketAddr, #[source] io::Error),
    #[error("the store can't be opened: {0}")]
    Store(#[source] StoreError),
    #[error("the bus can't be read: {0}")]
    Bus(#[from] BusError),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("the registry can't be used: {0}")]
    Registry(#[source] RegistryError),
    #[error("no tokens can be made for development: {0}")]
    Issuer(#[from] AuthError),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    server: ServerSettings,
    shutdown: Shutdown,
    readiness: Readiness,
    connections: Connections,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    admissions: Admissions,
}

impl Node {
    /// Starts a node; from when this returns it serves.
    pub async fn start(settings: Settings, shutdown: Shutdown) -> Result<Self, StartError> {
        Self::start_checked(settings.check()?, Vec::new(), shutdown).await
    }

    /// The same with settings that were checked before, by somebody who could say where the mistakes stand, and with
    /// further steps in the inbound channel: every request that authorization let through passes them, in this order.
    pub async fn start_checked(
        checked: Checked,
        interceptors: Vec<Box<dyn ChannelInterceptor>>,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        let issuer = (checked.settings.mode == Mode::Development).then(|| Issuer::new(&checked.settings.auth)).transpose()?;
        let (settings, policies) = (checked.settings, Arc::new(ArcSwap::from_pointee(checked.policies)));
        let no_listener = |error| StartError::Listen(settings.server.address(), error);
        let bound = transport::bind(settings.server.address()).map_err(no_listener)?;
        let address = bound.address().map_err(no_listener)?;

        let metrics = Metrics::default();
        let metrics_page = MetricsPage::bind(&settings.metrics)?;

        let name = settings.node.name();
        let store = open_store(&settings.store, &metrics).await?;
        let bus = open_bus(&settings.bus, &name, &metrics, &shutdown).await?;
        let edge = Edge::new(Arc::clone(&store), numbering(&bus), shutdown.clone(), EdgeSettings::default());

        // In this order: what is stored from now on must find its way to the edge.
        let reader = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await?;
        shutdown.spawn_essential("broadcast", broadcast(reader, edge.clone(), shutdown.clone()));
        let reader = bus.subscribe(Topic::Events, Audience::OneNode).await?;
        let partitions = Partitions::default();
        let storing = persistence(reader, Arc::clone(&bus), Arc::clone(&store), partitions.clone(), shutdown.clone());
        shutdown.spawn_essential("persistence", storing);
        let rounds =
            RetentionSettings { interval: settings.store.retention_interval.0, idempotency_window: settings.store.idempotency_window.0 };
        shutdown.spawn_essential("retention", retention(Arc::clone(&store), keep_of(&policies), rounds, shutdown.clone()));

        let connections = Connections::new(metrics.connections().clone());
        let registry = open_registry(&settings.registry, &shutdown)?;
        let count = connections.clone();
        let count: CountConnections = Arc::new(move || u64::try_from(count.count()).unwrap_or(u64::MAX));
        let admission = admission_settings(&settings, &name, address);
        let admissions =
            Admissions::start(admission, Arc::clone(&registry), Arc::clone(&store), count, metrics.registry().clone(), &shutdown)
                .await
                .map_err(StartError::Store)?;
        shutdown.spawn_essential("sweep", sweep(Arc::clone(&bus), registry, shutdown.clone()));

        let rate_limit = Arc::new(RateLimit::new(&settings.rate_limit, Arc::clone(&policies)));
        shutdown.spawn_essential("rate-limit", forget_idle(Arc::clone(&rate_limit), shutdown.clone()));
        let logins = LoginSessions::start(Arc::clone(admissions.registry()), settings.server.session_cookie.ttl.0, &shutdown);
        let verifier = Arc::new(checked.verifier);
        let authentication = Authentication::new(Arc::clone(&verifier), admissions.clone(), logins.clone());
        let channel = InboundChannel::new(authentication, rate_limit, policies, interceptors, Arc::clone(&bus), edge.clone());

        let readiness = Readiness::new(hindrance(&bus, partitions, admissions.clone()));
        let look = look(connections.clone(), readiness.clone(), &bus, edge, admissions.clone());
        let metrics_address = metrics_page.map(|page| page.serve(metrics, look, &shutdown)).transpose()?;
        let transport = Transport {
            server: settings.server.clone(),
            session: Arc::new(settings.session),
            outbox: OutboxSettings { limit: settings.server.max_outbox, ..OutboxSettings::default() },
            token_cookie: settings.auth.cookie.clone(),
            logins,
            channel: Arc::new(channel),
            connections: connections.clone(),
            readiness: readiness.clone(),
            shutdown: shutdown.clone(),
            development: issuer.map(development),
        };
        let head_timeout = settings.server.handshake_timeout.0;
        let mut router = transport::router(Arc::new(transport));
        if let Some(api) = Api::new(&settings.auth.service_tokens, admissions.clone(), verifier, shutdown.clone()) {
            router = router.merge(api::router(api));
        }
        let router = transport::named(router, &name);
        let listener = bound.listen().map_err(no_listener)?;
        let serving = transport::serve(listener, router, settings.server.max_connections, head_timeout, shutdown.clone());
        shutdown.spawn_essential("listener", serving);
        readiness.set_ready();
        tracing::info!(node = name, %address, mode = ?settings.mode, "ready");
        Ok(Self { address, metrics_address, server: settings.server, shutdown, readiness, connections, bus, store, admissions })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who may be here: to revoke, to log out, to look.
    pub fn admissions(&self) -> &Admissions {
        &self.admissions
    }

    /// Where its metrics are, at `/metrics`; none if no settings ask for them.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Runs until it is asked to stop, and drains; false if a part of it failed, or would not end.
    pub async fn run(self) -> bool {
        self.shutdown.draining().await;
        // A load balancer sees it before the first client has to go.
        self.readiness.set_draining();
        let spread = self.server.drain.0;
        let connections = self.connections.clone();
        self.shutdown.spawn("drain", async move { connections.drain(spread).await });
        let drained = self.shutdown.drain(spread + AFTER_DRAIN).await;
        self.admissions.close().await;
        self.admissions.registry().close().await;
        self.bus.close().await;
        self.store.close().await;
        if let Some(part) = self.shutdown.failed() {
            tracing::error!(part, "stopped because a part of the node ended");
            return false;
        }
        tracing::info!("stopped");
        drained.stuck == 0
    }
}

/// The port of the metrics, taken and not yet served.
struct MetricsPage {
    bound: metrics::Bound,
    address: SocketAddr,
}

impl MetricsPage {
    fn bind(settings: &MetricsSettings) -> Result<Option<Self>, StartError> {
        let Some(wanted) = settings.address() else { return Ok(None) };
        let bound = metrics::bind(wanted).and_then(|bound| Ok(Self { address: bound.address()?, bound }));
        bound.map(Some).map_err(|error| StartError::Metrics(wanted, error))
    }

    fn serve(self, metrics: Metrics, look: Look, shutdown: &Shutdown) -> Result<SocketAddr, StartError> {
        let listener = self.bound.listen().map_err(|error| StartError::Metrics(self.address, error))?;
        shutdown.spawn_essential("metrics", metrics::serve(listener, metrics, look, shutdown.clone()));
        tracing::info!(address = %self.address, "metrics are at /metrics");
        Ok(self.address)
    }
}

/// What the page of metrics shows that nobody counts.
fn look(connections: Connections, readiness: Readiness, bus: &Arc<dyn Bus>, edge: Edge, admissions: Admissions) -> Look {
    let bus = Arc::clone(bus);
    Arc::new(move || {
        let Lag { events, broadcast } = bus.lag();
        Snapshot {
            outbox_bytes: connections.outbox_bytes(),
            gates: edge.gates() as u64,
            readiness: readiness.state(),
            bus: match bus.state() {
                BusState::Ready => "ready",
                BusState::NotReady(why) => why,
            },
            lag_events: events,
            lag_broadcast: broadcast,
            registry: registry_snapshot(&admissions),
        }
    })
}

async fn open_store(settings: &StoreSettings, metrics: &Metrics) -> Result<Arc<dyn Store>, StartError> {
    let measured = |store: Arc<dyn Store>| Arc::new(MeasuredStore::new(store, metrics.store().clone()));
    Ok(match settings.kind {
        StoreKind::Sqlite => measured(Arc::new(SqliteStore::open(&settings.sqlite).await.map_err(StartError::Store)?)),
        // Many clients that come back at once ask the same; a file answers that sooner than it could be shared.
        StoreKind::Postgres => {
            let store = PostgresStore::open(&settings.postgres).await.map_err(StartError::Store)?;
            Arc::new(SharedReads::new(measured(Arc::new(store))))
        }
    })
}

async fn open_bus(settings: &BusSettings, node: &str, metrics: &Metrics, shutdown: &Shutdown) -> Result<Arc<dyn Bus>, StartError> {
    let bus: Arc<dyn Bus> = match settings.kind {
        BusKind::Memory => Arc::new(MemoryBus::new(MemoryBusSettings::default())),
        BusKind::Kafka => Arc::new(KafkaBus::connect(&settings.kafka, node, is_reserved, shutdown).await?),
    };
    Ok(Arc::new(MeasuredBus::new(bus, metrics.bus().clone())))
}

fn open_registry(settings: &RegistrySettings, shutdown: &Shutdown) -> Result<Arc<dyn Registry>, StartError> {
    Ok(match settings.kind {
        RegistryKind::Memory => Arc::new(MemoryRegistry::new(MemoryRegistrySettings::default())),
        RegistryKind::Redis => Arc::new(RedisRegistry::open(&settings.redis, shutdown).map_err(StartError::Registry)?),
    })
}

fn admission_settings(settings: &Settings, node: &str, listens: SocketAddr) -> AdmissionSettings {
    let auth = &settings.auth;
    let started_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    AdmissionSettings {
        counting: match auth.registry {
            TokenRegistry::Off => Counting::Any,
            TokenRegistry::Deny => Counting::NotRevoked,
            TokenRegistry::Allow => Counting::Registered,
        },
        max_sessions: auth.max_sessions_per_user,
        grace: auth.registry_grace.0,
        longest_token: auth.longest_token.0,
        leeway: auth.leeway.0,
        node: NodeRun { name: node.into(), started_ms },
        address: settings.node.address.as_deref().map_or_else(|| reached_at(listens), Arc::from),
    }
}

/// Nobody can be sent to "all addresses".
fn reached_at(listens: SocketAddr) -> Arc<str> {
    if listens.ip().is_unspecified() {
        return format!("{}:{}", gethostname::gethostname().to_string_lossy(), listens.port()).into();
    }
    listens.to_string().into()
}

fn registry_snapshot(admissions: &Admissions) -> RegistrySnapshot {
    let RegistryState { available, pushed, evicting } = admissions.registry().state();
    RegistrySnapshot { available, pushed, evicting, revocations: admissions.revocations() as u64 }
}

/// Why this node should be given no clients now. The store is no reason: while it is away SENDs are accepted and wait. Nor
/// is the registry: who is refused for its sake is told so, which no proxy without nodes could.
fn hindrance(bus: &Arc<dyn Bus>, partitions: Partitions, admissions: Admissions) -> Hindrance {
    let bus = Arc::clone(bus);
    Arc::new(move || match bus.state() {
        BusState::NotReady(why) => Some(why),
        BusState::Ready if admissions.is_replaced() => Some("node-id-taken"),
        BusState::Ready => partitions.trouble().map(|trouble| match trouble {
            Trouble::OtherLog => "log-refused",
            Trouble::Contested => "partition-contested",
        }),
    })
}

/// The store speaks of partitions as the bus does, and neither knows the other.
fn numbering(bus: &Arc<dyn Bus>) -> Numbering {
    let bus = Arc::clone(bus);
    Arc::new(move |destination: &Destination| {
        let partition = bus.partition_of(destination);
        PartitionKey { log: partition.log, topic: partition.topic, number: partition.number }
    })
}

fn keep_of(policies: &Arc<ArcSwap<Policies>>) -> KeepOf {
    let policies = Arc::clone(policies);
    Arc::new(move |destination: &Destination, now_ms: u64| {
        let policies = policies.load();
        // What no policy covers any more stays until somebody decides: settings may be mistaken for a moment.
        let Some(retention) = policies.policy_of(destination).map(|policy| policy.retention) else {
            return Keep { count: None, not_before_ms: None };
        };
        let age_ms = retention.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Keep { count: retention.count, not_before_ms: age_ms.map(|age| now_ms.saturating_sub(age)) }
    })
}

async fn forget_idle(rate_limit: Arc<RateLimit>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(FORGET_IDLE) => rate_limit.forget_idle(),
            () = shutdown.stopped() => return,
        }
    }
}

fn development(issuer: Issuer) -> Development {
    let token = move |user: &UserName, roles: &[String]| {
        let now_s = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_secs();
        issuer.issue(user, roles, serde_json::Map::new(), DEVELOPMENT_TOKEN, now_s).ok()
    };
    Development { token: Box::new(token) }
}
