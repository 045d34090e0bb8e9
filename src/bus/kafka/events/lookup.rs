//! Finds out where new partitions stand, each in a thread of its own: one whose leader is silent keeps neither the others
//! nor the thread that polls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use tracing::{error, warn};

use super::Shared;
use super::partitions::Question;
use crate::bus::Assignment;
use crate::bus::kafka::error::{KafkaError, sentence};
use crate::bus::kafka::offsets::{Found, Offsets};
use crate::bus::kafka::threads::Threads;

/// For each question to Kafka. There are two about a partition.
const ANSWER: Duration = Duration::from_secs(2);

/// Before a partition is asked about again.
const RETRY: Duration = Duration::from_millis(200);

const THREAD: &str = "kafka-offsets";

#[derive(Clone)]
pub(super) struct LookUp {
    offsets: Arc<Offsets>,
    threads: Threads,
}

impl LookUp {
    pub(super) fn new(config: &ClientConfig, threads: &Threads) -> Result<Self, KafkaError> {
        Ok(Self { offsets: Arc::new(Offsets::new(config)?), threads: threads.clone() })
    }

    pub(super) fn hear(&self) {
        self.offsets.hear();
    }

    /// Asks about all that is due.
    pub(super) fn ask(&self, shared: &Arc<Shared>) {
        let questions = shared.partitions.lock().questions(Instant::now());
        for question in questions {
            let (offsets, asking) = (Arc::clone(&self.offsets), Arc::clone(shared));
            if self.threads.start(THREAD, move || answer(&offsets, &asking, question)).is_err() {
                shared.partitions.lock().not_found(question, Instant::now() + RETRY);
            }
        }
    }

    /// Whether what was passed over in a log is a hole or a loss. A hole is nothing (a transaction's end takes an offset),
    /// but that retention took what nobody stored is a loss. There is nothing to be done about it.
    pub(super) fn explain(&self, shared: &Arc<Shared>, number: u32, due: u64, offset: u64) {
        let (offsets, shared) = (Arc::clone(&self.offsets), Arc::clone(shared));
        let started = self.threads.start(THREAD, move || {
            if let Ok((log_start, _)) = offsets.log(&shared.log.events, number, ANSWER)
                && log_start > due
            {
                error!(
                    partition = number,
                    due, offset, log_start, "events were deleted by retention before they were stored; they are lost"
                );
            }
        });
        if started.is_err() {
            warn!(partition = number, due, offset, "records were passed over");
        }
    }
}

fn answer(offsets: &Offsets, shared: &Shared, question: Question) {
    let number = question.number;
    match offsets.look(&shared.log.events, number, ANSWER) {
        Ok(Found { committed, log_start, log_end }) => {
            let partition = shared.log.events_partition(number);
            shared.partitions.lock().found(question, Assignment { partition, committed, log_start, log_end });
        }
        Err(failure) => {
            warn!(error = sentence(&failure), partition = number, "where a partition stands could not be found out, trying again");
            shared.partitions.lock().not_found(question, Instant::now() + RETRY);
        }
    }
    shared.waker.wake();
}
