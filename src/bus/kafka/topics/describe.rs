//! What Kafka says of a topic and of its brokers.

use std::collections::BTreeMap;

use rdkafka::admin::{ConfigResource, ResourceSpecifier};
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

use super::{ANSWER, failed};
use crate::bus::kafka::KafkaError;
use crate::bus::kafka::admin::Admin;
use crate::bus::kafka::error::describe;

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) partitions: u32,
    /// Of the partition that has the fewest.
    pub(super) replication_factor: u16,
    pub(super) properties: BTreeMap<String, String>,
}

impl Topic {
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) creates_topics: bool,
}

/// None if there is no such topic.
pub(super) async fn topic(admin: &Admin, name: &str) -> Result<Option<Topic>, KafkaError> {
    let (asked, named) = (admin.clone(), name.to_owned());
    let shape = spawn_blocking(move || shape(&asked, &named)).await.map_err(|_| KafkaError::Thread)??;
    let Some((partitions, replication_factor)) = shape else { return Ok(None) };
    let properties = properties(admin, &ResourceSpecifier::Topic(name)).await?;
    Ok(Some(Topic { partitions, replication_factor, properties }))
}

fn shape(admin: &Admin, name: &str) -> Result<Option<(u32, u16)>, KafkaError> {
    // All topics: to ask for one would make it, where brokers make topics by themselves.
    let metadata = admin.inner().fetch_metadata(None, ANSWER).map_err(|failure| failed(&failure))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
        Some(code) => return Err(KafkaError::Refused(format!("topic {name}: {}", describe(code)))),
        None => {}
    }
    let fewest = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    Ok(Some((u32::try_from(found.partitions().len()).unwrap_or(u32::MAX), u16::try_from(fewest).unwrap_or(u16::MAX))))
}

/// The cluster's id, and its brokers.
pub(super) async fn brokers(admin: &Admin) -> Result<(String, Vec<Broker>), KafkaError> {
    let asked = admin.clone();
    let found = spawn_blocking(move || {
        let client = asked.inner();
        let metadata = client.fetch_metadata(None, ANSWER).map_err(|failure| failed(&failure))?;
        let cluster = client.fetch_cluster_id(ANSWER).unwrap_or_else(|| "without an id".to_owned());
        Ok::<_, KafkaError>((cluster, metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect::<Vec<_>>()))
    });
    let (cluster, ids) = found.await.map_err(|_| KafkaError::Thread)??;
    let mut brokers = Vec::with_capacity(ids.len());
    for id in ids {
        let properties = properties(admin, &ResourceSpecifier::Broker(id)).await?;
        let creates_topics = properties.get("auto.create.topics.enable").is_some_and(|value| value == "true");
        brokers.push(Broker { id, creates_topics });
    }
    Ok((cluster, brokers))
}

async fn properties(admin: &Admin, of: &ResourceSpecifier<'_>) -> Result<BTreeMap<String, String>, KafkaError> {
    let answers = admin.client().describe_configs([of], &admin.options()).await.map_err(|failure| failed(&failure))?;
    let described: ConfigResource = match answers.into_iter().next() {
        Some(Ok(described)) => described,
        // Who may not look is not told; the rest can be checked all the same.
        Some(Err(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)) | None => {
            return Ok(BTreeMap::new());
        }
        Some(Err(code)) => return Err(KafkaError::Refused(describe(code))),
    };
    Ok(described.entries.into_iter().filter(|entry| !entry.is_sensitive).filter_map(|entry| Some((entry.name, entry.value?))).collect())
}
