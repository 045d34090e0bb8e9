//! How a node stops: one owner for every task, a drain with a deadline, and the signals that begin it.
//! Knows nothing of what the tasks do.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// What tasks that obey [`Shutdown::stopped`] get for their last steps, after the drain.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// A handle on the node's life; clones share it.
///
/// Two steps, since what drains needs what serves it: a connection that waits for a receipt needs the bus.
/// First *draining*: connections say goodbye, nothing new is taken. Then *stopped*: everything else ends.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: CancellationToken,
    stopped: CancellationToken,
    tasks: TaskTracker,
    essential: TaskTracker,
    failed: OnceLock<&'static str>,
}

/// What the drain left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that were cut off by the deadline, so clients may have missed their goodbye.
    pub late: usize,
    /// Tasks that did not end even after [`Shutdown::stopped`].
    pub stuck: usize,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs work that ends by itself, at the latest soon after [`Self::draining`]: connections, sweeps. The drain waits
    /// for it. A panic is logged under `name`, and the handle shows it to an owner who awaits it.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        start(self.0.tasks.track_future(logged(name, future)))
    }

    /// Runs work without which the node is no node: the bus, consumers, the listener. It ends at [`Self::stopped`], or
    /// at [`Self::draining`] if others don't need it to drain. If it ends any earlier, the node drains and
    /// [`Self::failed`] names it.
    pub fn spawn_essential<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let guard = Essential { name, shutdown: self.clone() };
        let future = async move {
            // Held over the future and dropped by return, panic and abort alike.
            let _guard = guard;
            logged(name, future).await
        };
        start(self.0.essential.track_future(future))
    }

    /// Begins to drain; the rest is for whoever awaits [`Self::draining`]. Any number of calls.
    pub fn begin(&self) {
        self.0.draining.cancel();
    }

    /// Resolves when the node drains. Cancel safe.
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.0.draining.cancelled()
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// Resolves when the drain is over and nothing is left to wait for. Cancel safe.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.0.stopped.cancelled()
    }

    pub fn is_stopped(&self) -> bool {
        self.0.stopped.is_cancelled()
    }

    /// The essential task whose unasked end made the node drain; it should then exit with an error.
    pub fn failed(&self) -> Option<&'static str> {
        self.0.failed.get().copied()
    }

    /// Drains: tells all tasks, waits for those of [`Self::spawn`] until `deadline` has passed, then stops the rest.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.begin();
        self.0.tasks.close();
        self.0.essential.close();
        let late = match timeout(deadline, self.0.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.0.tasks.len(),
        };
        self.0.stopped.cancel();
        let all = async {
            self.0.tasks.wait().await;
            self.0.essential.wait().await;
        };
        let stuck = match timeout(LAST_STEPS, all).await {
            Ok(()) => 0,
            Err(_) => self.0.tasks.len() + self.0.essential.len(),
        };
        if late > 0 || stuck > 0 {
            warn!(late, stuck, "not every task ended in time");
        }
        Drained { late, stuck }
    }

    /// From when this returns, SIGTERM and SIGINT drain the node, and a second one ends the process at once.
    pub fn signals(&self) -> io::Result<()> {
        // Registered before the task runs: a signal that comes in between is not lost.
        let term = signal(SignalKind::terminate())?;
        let int = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        // Tracked by nobody: it must outlive the drain, so that the second signal works while something hangs.
        start(async move { shutdown.obey(term, int, |code| std::process::exit(code)).await });
        Ok(())
    }

    async fn obey(&self, mut term: Signal, mut int: Signal, exit: impl FnOnce(i32)) {
        let first = either(&mut term, &mut int).await;
        info!(signal = first.name, "draining");
        self.begin();
        let second = either(&mut term, &mut int).await;
        warn!(signal = second.name, "second signal: ending without waiting");
        exit(second.exit_code);
    }
}

/// The one place that starts tasks.
#[expect(clippy::disallowed_methods, reason = "what is spawned here was given to a tracker, or is the signal listener")]
fn start<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// Nobody may await the handle, and a silent dead task is the worst kind of fault.
async fn logged<F: Future>(name: &'static str, future: F) -> F::Output {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(output) => output,
        Err(panic) => {
            error!(task = name, "task ended by panic");
            resume_unwind(panic)
        }
    }
}

struct Essential {
    name: &'static str,
    shutdown: Shutdown,
}

impl Drop for Essential {
    fn drop(&mut self) {
        if self.shutdown.is_draining() && !std::thread::panicking() {
            return;
        }
        // Only the first one is the cause.
        if self.shutdown.0.failed.set(self.name).is_ok() {
            error!(task = self.name, "a task that the node needs has ended; draining");
        }
        self.shutdown.begin();
    }
}

struct Caught {
    name: &'static str,
    /// What a shell shows for a process that this signal ended.
    exit_code: i32,
}

async fn either(term: &mut Signal, int: &mut Signal) -> Caught {
    let term = pin!(term.recv());
    let int = pin!(int.recv());
    tokio::select! {
        _ = term => Caught { name: "SIGTERM", exit_code: 143 },
        _ = int => Caught { name: "SIGINT", exit_code: 130 },
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::process::Command;

    use tokio::sync::oneshot;
    use tokio::time::{Instant, sleep};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_the_tasks_and_no_longer() {
        let shutdown = Shutdown::new();
        let connection = shutdown.clone();
        shutdown.spawn("connection", async move {
            connection.draining().await;
            sleep(Duration::from_secs(3)).await;
        });
        let bus = shutdown.clone();
        shutdown.spawn_essential("bus", async move { bus.stopped().await });

        let began = Instant::now();
        assert_eq!(shutdown.drain(DEADLINE).await, Drained { late: 0, stuck: 0 });
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert_eq!(shutdown.failed(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_serves_the_others_stops_after_them() {
        let shutdown = Shutdown::new();
        let (answer, answered) = oneshot::channel();
        let bus = shutdown.clone();
        shutdown.spawn_essential("bus", async move {
            bus.draining().await;
            sleep(Duration::from_secs(1)).await;
            assert!(!bus.is_stopped(), "the bus was stopped while a connection needed it");
            answer.send("receipt").ok();
            bus.stopped().await;
        });
        let waiting = shutdown.spawn("connection", answered);

        assert_eq!(shutdown.drain(DEADLINE).await, Drained { late: 0, stuck: 0 });
        assert_eq!(waiting.await.unwrap(), Ok("receipt"));
        assert!(shutdown.is_stopped());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_the_wait_for_tasks_that_hang() {
        let shutdown = Shutdown::new();
        shutdown.spawn("hangs", pending::<()>());
        shutdown.spawn_essential("hangs too", pending::<()>());
        let until_stopped = shutdown.clone();
        shutdown.spawn("slow", async move { until_stopped.stopped().await });

        let began = Instant::now();
        assert_eq!(shutdown.drain(DEADLINE).await, Drained { late: 2, stuck: 2 });
        assert_eq!(began.elapsed(), DEADLINE + LAST_STEPS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_essential_task_that_panics_drains_the_node() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn_essential("consumer", async { panic!("on purpose") });
        shutdown.draining().await;
        assert_eq!(shutdown.failed(), Some("consumer"));
        assert!(task.await.unwrap_err().is_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn an_essential_task_that_just_ends_drains_the_node() {
        let shutdown = Shutdown::new();
        shutdown.spawn_essential("listener", async {});
        shutdown.draining().await;
        assert_eq!(shutdown.failed(), Some("listener"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_essential_task_that_is_aborted_drains_the_node() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn_essential("listener", pending::<()>());
        task.abort();
        shutdown.draining().await;
        assert_eq!(shutdown.failed(), Some("listener"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_essential_task_may_end_while_draining_but_not_by_panic() {
        let shutdown = Shutdown::new();
        let listener = shutdown.clone();
        shutdown.spawn_essential("listener", async move { listener.draining().await });
        shutdown.drain(DEADLINE).await;
        assert_eq!(shutdown.failed(), None);

        let shutdown = Shutdown::new();
        let bus = shutdown.clone();
        shutdown.spawn_essential("bus", async move {
            bus.draining().await;
            panic!("on purpose");
        });
        shutdown.drain(DEADLINE).await;
        assert_eq!(shutdown.failed(), Some("bus"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_panics_stops_nobody_else() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn("connection", async { panic!("on purpose") });
        assert!(task.await.unwrap_err().is_panic());
        assert!(!shutdown.is_draining());
        assert_eq!(shutdown.drain(DEADLINE).await, Drained { late: 0, stuck: 0 });
    }

    // One test, because signals are the process's and tests run beside each other.
    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_exits() {
        let shutdown = Shutdown::new();
        let term = signal(SignalKind::terminate()).unwrap();
        let int = signal(SignalKind::interrupt()).unwrap();
        let (exit, exited) = oneshot::channel();
        let obeying = shutdown.clone();
        let task = shutdown.spawn("signals", async move { obeying.obey(term, int, |code| exit.send(code).unwrap()).await });

        kill("-TERM");
        shutdown.draining().await;
        assert!(!task.is_finished());
        kill("-INT");
        assert_eq!(exited.await, Ok(130));
    }

    fn kill(signal: &str) {
        let status = Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &std::process::id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}
