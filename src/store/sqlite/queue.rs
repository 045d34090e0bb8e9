//! How calls wait for the one writer: a bounded time, and never without knowing whether their turn had begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::message::{Epoch, Revocation};
use crate::store::{Append, Appended, Claim, Owner, PartitionKey, StoreError};

/// How long a call waits for its turn.
pub(super) const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a call then waits for its transaction.
pub(super) const DISK_WAIT: Duration = Duration::from_secs(5);

/// What may share a transaction with others of its kind.
#[derive(Debug)]
pub(super) enum Write {
    Append(Append, Reply<Vec<Appended>>),
    /// Without an owner it only makes sure that the partition has a row, and so an epoch.
    Claim(PartitionKey, Option<Owner>, Reply<Claim>),
    Renumber(PartitionKey, Owner, Reply<Epoch>),
    Adopt(PartitionKey, u64, Reply<()>),
    Revoke(Revocation, Reply<()>),
}

impl Write {
    pub(super) fn begin(&self) -> bool {
        match self {
            Self::Append(_, reply) => reply.begin(),
            Self::Claim(_, _, reply) => reply.begin(),
            Self::Renumber(_, _, reply) => reply.begin(),
            Self::Adopt(_, _, reply) | Self::Revoke(_, reply) => reply.begin(),
        }
    }

    pub(super) fn release(self) {
        match self {
            Self::Append(_, reply) => reply.release(),
            Self::Claim(_, _, reply) => reply.release(),
            Self::Renumber(_, _, reply) => reply.release(),
            Self::Adopt(_, _, reply) | Self::Revoke(_, reply) => reply.release(),
        }
    }

    pub(super) fn fail(self, error: StoreError) {
        match self {
            Self::Append(_, reply) => reply.send(Err(error)),
            Self::Claim(_, _, reply) => reply.send(Err(error)),
            Self::Renumber(_, _, reply) => reply.send(Err(error)),
            Self::Adopt(_, _, reply) | Self::Revoke(_, reply) => reply.send(Err(error)),
        }
    }
}

/// What runs in a short transaction of its own, behind the writes that wait.
#[derive(Debug)]
pub(super) struct Chore {
    pub(super) kind: ChoreKind,
    /// How many rows went.
    pub(super) reply: Reply<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ChoreKind {
    /// The messages of a destination up to a sequence, which the caller has counted.
    Remove { destination: i64, through: i64 },
    /// At most so many ids that were stored so long ago.
    ForgetIds { age_ms: i64, limit: i64 },
    /// At most so many revocations whose time is over.
    ForgetRevocations { limit: i64 },
    /// Only whether the writer answers.
    Nothing,
}

/// The writer's end of a waiting call.
#[derive(Debug)]
pub(super) struct Reply<A> {
    /// Set by whoever is first: the writer that begins, or the caller that gives up.
    settled: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<A, StoreError>>,
    /// What the caller will be told once the transaction is committed.
    held: Option<Result<A, StoreError>>,
}

/// Both ends of a call.
pub(super) fn reply<A>() -> (Reply<A>, oneshot::Receiver<Result<A, StoreError>>) {
    let (answer, answered) = oneshot::channel();
    (Reply { settled: Arc::default(), answer, held: None }, answered)
}

impl<A> Reply<A> {
    /// Whether the caller still wants it done; from here on it waits for the end.
    pub(super) fn begin(&self) -> bool {
        !self.answer.is_closed() && !self.settled.swap(true, Ordering::AcqRel)
    }

    pub(super) fn hold(&mut self, answer: Result<A, StoreError>) {
        self.held = Some(answer);
    }

    pub(super) fn release(mut self) {
        if let Some(answer) = self.held.take() {
            self.send(answer);
        }
    }

    pub(super) fn send(self, answer: Result<A, StoreError>) {
        // A caller that is gone needs no answer.
        drop(self.answer.send(answer));
    }
}

/// Why the writer gave no answer.
#[derive(Debug, thiserror::Error)]
enum Late {
    #[error("the writer was busy for too long; the call was withdrawn before its turn")]
    Turn,
    #[error("the disk did not answer in time; whether it has what was written is not known")]
    Disk,
}

/// Hands a request to the writer and waits for its answer. If the writer is dead or dies, that is [`StoreError::Closed`].
pub(super) async fn ask<R, A>(queue: &mpsc::Sender<R>, request: impl FnOnce(Reply<A>) -> R) -> Result<A, StoreError> {
    ask_within(TURN_WAIT, DISK_WAIT, queue, request).await
}

async fn ask_within<R, A>(
    turn_wait: Duration,
    disk_wait: Duration,
    queue: &mpsc::Sender<R>,
    request: impl FnOnce(Reply<A>) -> R,
) -> Result<A, StoreError> {
    let (reply, mut answered) = reply();
    let settled = Arc::clone(&reply.settled);
    let turn = Instant::now() + turn_wait;
    let request = request(reply);
    match timeout_at(turn, queue.send(request)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(StoreError::Closed),
        Err(_) => return Err(StoreError::Unavailable(Box::new(Late::Turn))),
    }
    if let Ok(answer) = timeout_at(turn, &mut answered).await {
        return answer.unwrap_or(Err(StoreError::Closed));
    }
    if !settled.swap(true, Ordering::AcqRel) {
        return Err(StoreError::Unavailable(Box::new(Late::Turn)));
    }
    match timeout(disk_wait, answered).await {
        Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
        Err(_) => Err(StoreError::Late(Box::new(Late::Disk))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_call_that_never_has_its_turn_is_withdrawn() {
        let (queue, mut calls) = mpsc::channel::<Reply<u64>>(1);
        assert!(matches!(ask_within(SHORT, LONG, &queue, |reply| reply).await, Err(StoreError::Unavailable(_))));
        assert!(!calls.recv().await.unwrap().begin(), "the caller was told that nothing happened");
    }

    #[tokio::test]
    async fn a_full_queue_ends_the_wait_too() {
        let (queue, _calls) = mpsc::channel::<Reply<u64>>(1);
        let one = || ask_within(SHORT, LONG, &queue, |reply| reply);
        let (first, second) = tokio::join!(one(), one());
        assert!(first.unwrap_err().is_retryable() && second.unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_call_that_has_begun_is_waited_for_longer() {
        let (queue, mut calls) = mpsc::channel::<Reply<u64>>(1);
        let writer = async {
            let call = calls.recv().await.unwrap();
            assert!(call.begin());
            tokio::time::sleep(SHORT * 3).await;
            call.send(Ok(7));
        };
        let (answer, ()) = tokio::join!(ask_within(SHORT, LONG, &queue, |reply| reply), writer);
        assert_eq!(answer.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_disk_that_never_answers_ends_the_wait() {
        let (queue, mut calls) = mpsc::channel::<Reply<u64>>(1);
        let begun = async {
            let call = calls.recv().await.unwrap();
            assert!(call.begin());
            call
        };
        let (answer, _call) = tokio::join!(ask_within(SHORT, SHORT, &queue, |reply| reply), begun);
        assert!(answer.unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_dead_writer_leaves_nobody_waiting() {
        let (queue, mut calls) = mpsc::channel::<Reply<u64>>(1);
        let writer = async { drop(calls.recv().await) };
        let (answer, ()) = tokio::join!(ask(&queue, |reply| reply), writer);
        assert!(matches!(answer, Err(StoreError::Closed)));
        drop(calls);
        assert!(matches!(ask(&queue, |reply| reply).await, Err(StoreError::Closed)));
    }
}
