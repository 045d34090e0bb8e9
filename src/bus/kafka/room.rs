//! How much may be on its way to Kafka at once. Those who wait for room get it in their order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::bus::{ACCEPT_WITHIN, BusError};

const UNIT: usize = 256;

/// Given back when it is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Room {
    units: Arc<Semaphore>,
    all: u32,
    /// All wait only until it has been full for so long, or a client that sent many would hear of the last one late.
    full_since: Mutex<Option<Instant>>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        let all = u32::try_from((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(all as usize)), all, full_since: Mutex::default() }
    }

    /// Room for one record of this size.
    pub(super) async fn take(&self, bytes: usize) -> Result<Permit, BusError> {
        let units = self.units_of(bytes);
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            *self.full_since.lock() = None;
            return Ok(permit);
        }
        let full_since = *self.full_since.lock().get_or_insert_with(Instant::now);
        let permit = timeout_at(full_since + ACCEPT_WITHIN, Arc::clone(&self.units).acquire_many_owned(units)).await;
        let permit = permit.map_err(|_| BusError::Unavailable)?.map_err(|_| BusError::Closed)?;
        *self.full_since.lock() = None;
        Ok(permit)
    }

    /// A record that is larger than all there is takes all there is.
    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX).min(self.all)
    }

    /// Resolves once nothing is on its way.
    pub(super) async fn empty(&self) {
        // Closed it is empty, too, as far as anyone waits.
        drop(self.units.acquire_many(self.all).await);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_because_others_waited() {
        let room = Room::new(1024);
        let permit = room.take(1 << 30).await.unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(room.take(1).await.unwrap_err(), BusError::Unavailable);
        }
        assert_eq!(begun.elapsed(), ACCEPT_WITHIN);
        drop(permit);
        assert!(room.take(1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_is_served_first() {
        let room = Room::new(1024);
        let permit = room.take(1024).await.unwrap();
        let mut large = Box::pin(room.take(1024));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(room.take(1));
        assert!(small.as_mut().now_or_never().is_none());
        drop(permit);
        assert!(small.as_mut().now_or_never().is_none(), "a small one overtook");
        let permit = large.await.unwrap();
        drop(permit);
        assert!(small.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn empty_means_that_all_was_given_back() {
        let room = Room::new(1024);
        let permit = room.take(1).await.unwrap();
        assert!(room.empty().now_or_never().is_none());
        drop(permit);
        room.empty().await;
    }
}
