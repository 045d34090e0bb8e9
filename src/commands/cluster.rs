//! What a cluster's operator asks of Kafka, PostgreSQL and Redis before nodes run, or when a log was made anew.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use tokio::time::timeout;
use uuid::Uuid;

use super::print;
use crate::bus::{self, Assignment, Bus, KafkaBus, Partition, TopicState, Weight};
use crate::consumers::other_log;
use crate::registry::RedisRegistry;
use crate::session::is_reserved;
use crate::settings::{BusKind, RegistryKind, Settings, StoreKind};
use crate::shutdown::Shutdown;
use crate::store::{Owner, PartitionKey, PostgresStore, Schema, SqliteStore, Store, StoreError};

/// How long a command waits for one partition.
const PARTITION: Duration = Duration::from_secs(30);

/// `footfall topics create`.
pub(super) fn create(settings: &Settings) -> Result<ExitCode> {
    needs_kafka(settings)?;
    let reports = in_runtime(bus::create_topics(&settings.bus.kafka))??;
    for report in &reports {
        let state = match report.state {
            TopicState::Created => "created",
            TopicState::Existed => "is there",
        };
        print(&format!("{} {state}", report.topic))?;
        for difference in &report.differences {
            print(&format!("  warning: {difference}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What works, at a risk that somebody should know.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let kafka = &settings.bus.kafka;
    let mut warnings = Vec::new();
    if settings.bus.kind == BusKind::Kafka && kafka.replication_factor == 1 {
        let what = "one broker keeps each record; what was not stored yet is lost with its disk. With three brokers it is 3.";
        warnings.push(format!("bus.kafka.replication_factor = 1: {what}"));
    }
    if settings.bus.kind == BusKind::Kafka && kafka.min_insync_replicas == 1 {
        let what = "a receipt is given once one broker has the message, and that one may be lost. With three brokers it is 2.";
        warnings.push(format!("bus.kafka.min_insync_replicas = 1: {what}"));
    }
    warnings
}

/// `footfall check --connect`.
pub(super) fn check(settings: &Settings) -> Result<ExitCode> {
    let mut worst = Weight::Note;
    if settings.bus.kind == BusKind::Kafka {
        for finding in in_runtime(bus::check_topics(&settings.bus.kafka))? {
            let word = match finding.weight {
                Weight::Note => "Kafka",
                Weight::Warning => "Kafka: warning",
                Weight::Error => "Kafka: error",
            };
            print(&format!("{word}: {finding}"))?;
            worst = worst.max(finding.weight);
        }
    }
    let looked = in_runtime(async {
        match settings.store.kind {
            StoreKind::Sqlite => SqliteStore::look(&settings.store.sqlite).await,
            StoreKind::Postgres => PostgresStore::look(&settings.store.postgres).await,
        }
    })?;
    match looked {
        Ok(looked) => {
            print(&format!("The store, {}: {}", looked.place, schema(looked.schema)))?;
            for warning in looked.warnings {
                print(&format!("The store: warning: {warning}"))?;
            }
        }
        Err(error) => {
            worst = Weight::Error;
            print(&format!("The store: error: {error}"))?;
        }
    }
    if settings.registry.kind == RegistryKind::Redis {
        worst = worst.max(check_redis(settings)?);
    }
    Ok(if worst == Weight::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check_redis(settings: &Settings) -> Result<Weight> {
    match in_runtime(RedisRegistry::look(&settings.registry.redis))? {
        Ok(looked) => {
            print(&format!("Redis {}: it can be reached.", looked.version))?;
            for warning in looked.warnings {
                print(&format!("Redis: warning: {warning}"))?;
            }
            Ok(Weight::Note)
        }
        Err(error) => {
            // With what the library says of it.
            print(&format!("Redis: error: {:#}", Error::from(error)))?;
            Ok(Weight::Error)
        }
    }
}

fn schema(schema: Schema) -> String {
    match schema {
        Schema::Absent => "it is empty, and the first node makes what is needed.".to_owned(),
        Schema::Current { version } => format!("its schema is up to date ({version})."),
        Schema::Older { version, pending } => {
            format!("the next node that starts brings its schema up to date ({version}, {pending} to come).")
        }
        Schema::Newer { version } => format!("a newer footfall made its schema ({version}), and left what this one needs."),
    }
}

/// `footfall topics adopt`.
pub(super) fn adopt(settings: &Settings) -> Result<ExitCode> {
    needs_kafka(settings)?;
    in_runtime(async {
        let store = open_store(settings).await?;
        let shutdown = Shutdown::new();
        let bus = KafkaBus::connect(&settings.bus.kafka, "adopt", is_reserved, &shutdown).await?;
        let mut adopted = 0;
        for assignment in bus.positions().await? {
            let Partition { log, topic, number } = &assignment.partition;
            let one = adopt_one(&bus, store.as_ref(), &assignment);
            match timeout(PARTITION, one).await.with_context(|| format!("partition {number} of {topic} did not answer in time"))?? {
                None => print(&format!("{topic} {number} is the log that the store was filled from"))?,
                Some((why, next)) => {
                    adopted += 1;
                    print(&format!("{topic} {number} adopted in cluster {log}, from offset {next}: {why}"))?
                }
            };
        }
        shutdown.drain(Duration::ZERO).await;
        bus.close().await;
        store.close().await;
        print(&format!("{adopted} partitions adopted."))
    })?
}

/// Why and from where the partition was adopted, if it had to be. A node that owns it loses it for a moment.
async fn adopt_one(bus: &dyn Bus, store: &dyn Store, assignment: &Assignment) -> Result<Option<(String, u64)>> {
    let Partition { log, topic, number } = &assignment.partition;
    let key = PartitionKey { log: Arc::clone(log), topic: Arc::clone(topic), number: *number };
    let why = match store.claim(key.clone(), Owner(Uuid::new_v4())).await {
        Ok(claim) => other_log(bus, assignment, &claim).await,
        Err(error @ StoreError::OtherLog(_)) => Some(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let Some(why) = why else { return Ok(None) };
    // From its beginning: what was stored of it is known by its ids, and what was not is stored now. A committed offset
    // may be one of the log before.
    let next = assignment.log_start;
    store.adopt(key, next).await?;
    Ok(Some((why, next)))
}

async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>> {
    Ok(match settings.store.kind {
        StoreKind::Sqlite => Arc::new(SqliteStore::open(&settings.store.sqlite).await?),
        StoreKind::Postgres => Arc::new(PostgresStore::open(&settings.store.postgres).await?),
    })
}

fn needs_kafka(settings: &Settings) -> Result<()> {
    if settings.bus.kind != BusKind::Kafka {
        bail!("There are topics only with bus.kind = \"kafka\"; these settings say that it is \"memory\".");
    }
    Ok(())
}

fn in_runtime<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("no runtime")?;
    Ok(runtime.block_on(future))
}
