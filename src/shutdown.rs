//! placeholder until merged
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tracker: TaskTracker,
}
impl Shutdown {
    pub fn spawn(&self, _name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(future);
    }
    pub async fn stopped(&self) {
        self.stop.cancelled().await
    }
}
