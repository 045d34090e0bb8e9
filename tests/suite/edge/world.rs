//! The two hops of one node without sockets: a real store, the memory bus, both consumers, an edge.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footfall::bus::{Audience, Bus, Consumer, Durable, MemoryBus, MemoryBusSettings, Record, Topic};
use footfall::consumers::{Partitions, broadcast, persistence};
use footfall::edge::{Edge, EdgeSettings, Numbering};
use footfall::message::{Destination, Message, RenderedOnce, new_id};
use footfall::shutdown::Shutdown;
use footfall::store::{PageLimit, PartitionKey, SqliteSettings, SqliteStore, Store};
use tempfile::TempDir;
use tokio::time::timeout;
use uuid::Uuid;

/// Far more than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) edge: Edge,
    pub(super) shutdown: Shutdown,
    _directory: TempDir,
}

type Decorate<Port> = Box<dyn FnOnce(Port) -> Port>;

/// What a test changes of a world.
pub(super) struct Plan {
    pub(super) settings: EdgeSettings,
    /// Around the store, for edge and persistence alike.
    pub(super) store: Decorate<Arc<dyn Store>>,
    /// Around what the edge reads.
    pub(super) reader: Decorate<Box<dyn Consumer>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { settings: EdgeSettings::default(), store: Box::new(|store| store), reader: Box::new(|reader| reader) }
    }
}

impl World {
    pub(super) async fn new(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = SqliteSettings { path: directory.path().join("test.db"), ..SqliteSettings::default() };
        let store = (plan.store)(Arc::new(SqliteStore::open(&settings).await.unwrap()));
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(MemoryBusSettings::default()));
        let shutdown = Shutdown::new();
        let edge = Edge::new(Arc::clone(&store), numbering(&bus), shutdown.clone(), plan.settings);
        let reader = (plan.reader)(bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap());
        shutdown.spawn_essential("broadcast", broadcast(reader, edge.clone(), shutdown.clone()));
        let world = Self { store, bus, edge, shutdown, _directory: directory };
        world.persist(Arc::clone(&world.store)).await;
        world
    }

    /// One more persistence, which takes over from those before it.
    pub(super) async fn persist(&self, store: Arc<dyn Store>) {
        let reader = self.bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
        let storing = persistence(reader, Arc::clone(&self.bus), store, Partitions::default(), self.shutdown.clone());
        self.shutdown.spawn_essential("persistence", storing);
    }

    /// Accepted by the bus; with what says that it is durable.
    pub(super) async fn publish(&self, message: &Arc<Message>) -> Durable {
        self.bus.publish(Topic::Events, Record::message(Arc::clone(message))).await.unwrap()
    }

    /// So many messages one after the other, durable all.
    pub(super) async fn send(&self, destination: &Destination, count: usize) -> Vec<Uuid> {
        let mut durables = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..count {
            let message = message(destination, new_id(), 40);
            ids.push(message.id);
            durables.push(self.publish(&message).await);
        }
        for durable in durables {
            durable.await.unwrap();
        }
        ids
    }

    pub(super) fn key(&self, destination: &Destination) -> PartitionKey {
        numbering(&self.bus)(destination)
    }

    pub(super) async fn head(&self, destination: &Destination) -> u64 {
        self.store.kept(self.key(destination), destination.clone()).await.unwrap().head
    }

    /// The ids that are stored, in their order; it has no hole.
    pub(super) async fn truth(&self, destination: &Destination) -> Vec<Uuid> {
        let mut ids = Vec::new();
        loop {
            let after = ids.len() as u64;
            let page = self.store.page(self.key(destination), destination.clone(), after, u64::MAX >> 1, PageLimit::REPLAY).await.unwrap();
            if page.is_empty() {
                return ids;
            }
            for message in page {
                assert_eq!(message.position.unwrap().sequence, ids.len() as u64 + 1);
                ids.push(message.id);
            }
        }
    }

    pub(super) async fn stop(self) {
        let drained = self.shutdown.drain(PATIENCE).await;
        assert_eq!(drained.stuck, 0);
        self.store.close().await;
    }
}

fn numbering(bus: &Arc<dyn Bus>) -> Numbering {
    let bus = Arc::clone(bus);
    Arc::new(move |destination: &Destination| {
        let partition = bus.partition_of(destination);
        PartitionKey { log: partition.log, topic: partition.topic, number: partition.number }
    })
}

pub(super) fn room(number: usize) -> Destination {
    Destination::parse(&format!("/topic/rooms.{number}")).unwrap()
}

pub(super) fn message(destination: &Destination, id: Uuid, size: usize) -> Arc<Message> {
    Arc::new(Message {
        id,
        destination: destination.clone(),
        sender: None,
        session: None,
        timestamp_ms: 1,
        content_type: None,
        headers: Arc::new([]),
        body: Bytes::from(vec![b'x'; size]),
        position: None,
        rendered: RenderedOnce::default(),
    })
}

/// Looks until it is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "{what} never came");
}
