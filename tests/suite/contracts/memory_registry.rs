//! The registry of one process: the contract, on a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use footfall::registry::{MemoryRegistry, MemoryRegistrySettings, Registry};

use super::registry::{Home, registry_contract};

struct MemoryHome {
    registry: Arc<MemoryRegistry>,
    now_ms: Arc<AtomicU64>,
}

impl MemoryHome {
    fn new() -> Self {
        let now_ms = Arc::new(AtomicU64::new(1_763_800_000_000));
        let clock = Arc::clone(&now_ms);
        let settings = MemoryRegistrySettings { clock: Arc::new(move || clock.load(Ordering::Relaxed)), news: 250 };
        Self { registry: Arc::new(MemoryRegistry::new(settings)), now_ms }
    }
}

impl Home for MemoryHome {
    async fn open(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.registry) as Arc<dyn Registry>
    }

    async fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed) / 1000
    }

    async fn forget_news(&self) {
        // It keeps 250 anyway.
    }
}

registry_contract!(MemoryHome::new());
