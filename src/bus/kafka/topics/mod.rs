//! footfall's topics for whoever runs a cluster: makes those that are missing, and says what of the others is not as the
//! settings say. Changes nothing that exists.

mod describe;
mod wanted;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

use self::describe::{Broker, Topic, brokers, topic};
use self::wanted::{Wanted, wanted};
use super::error::{describe as describe_code, sentence};
use super::{KafkaError, KafkaSettings, client};

/// For each question.
const ANSWER: Duration = Duration::from_secs(10);

/// These functions belong to a command, not to a node.
const COMMAND: &str = "command";

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    pub topic: String,
    pub state: TopicState,
    /// What of an existing one is not as the settings say, as sentences.
    pub differences: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    Created,
    Existed,
}

/// One thing that `footfall check --connect` says of Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Good to know.
    Note,
    /// It runs, at a risk.
    Warning,
    /// It does not run.
    Error,
}

impl Finding {
    fn note(sentence: impl Into<String>) -> Self {
        Self { weight: Weight::Note, sentence: sentence.into() }
    }

    fn warning(sentence: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, sentence: sentence.into() }
    }

    fn error(sentence: impl Into<String>) -> Self {
        Self { weight: Weight::Error, sentence: sentence.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}

/// An administrator's client; dropped aside, since that waits for its thread.
#[derive(Clone)]
pub(super) struct Admin(Arc<AdminClient<DefaultClientContext>>);

impl Admin {
    fn new(settings: &KafkaSettings, node: &str) -> Result<Self, KafkaError> {
        Ok(Self(Arc::new(client::asking(settings, node).create()?)))
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
    }

    async fn close(self) {
        drop(spawn_blocking(move || drop(self)).await);
    }
}

/// Makes the topics that are missing.
pub async fn create_topics(settings: &KafkaSettings) -> Result<Vec<TopicReport>, KafkaError> {
    if let Some((key, why)) = settings.problems().into_iter().next() {
        return Err(KafkaError::Settings(format!("bus.kafka.{key}: {why}")));
    }
    let admin = Admin::new(settings, COMMAND)?;
    let mut reports = Vec::new();
    for wanted in wanted(settings) {
        let report = make(&admin, &wanted).await;
        reports.push(report.map_err(|failure| within(settings, failure))?);
    }
    admin.close().await;
    Ok(reports)
}

async fn make(admin: &Admin, wanted: &Wanted) -> Result<TopicReport, KafkaError> {
    if let Some(found) = topic(admin, &wanted.name).await? {
        return Ok(TopicReport { topic: wanted.name.clone(), state: TopicState::Existed, differences: wanted.differences(&found) });
    }
    let mut new = NewTopic::new(&wanted.name, raw(wanted.partitions), TopicReplication::Fixed(raw(wanted.replication_factor.into())));
    for (key, value) in &wanted.properties {
        new = new.set(key, value);
    }
    let answers = admin.0.create_topics([&new], &Admin::options()).await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(TopicReport { topic: wanted.name.clone(), state: TopicState::Created, differences: Vec::new() }),
        // Somebody was faster.
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
            let differences = topic(admin, &wanted.name).await?.map(|found| wanted.differences(&found)).unwrap_or_default();
            Ok(TopicReport { topic: wanted.name.clone(), state: TopicState::Existed, differences })
        }
        Some(Err((name, code))) => Err(KafkaError::Refused(format!("topic {name} could not be made: {}", describe_code(code)))),
        None => Err(KafkaError::Refused(format!("topic {} could not be made: no answer", wanted.name))),
    }
}

fn raw(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A silence, with whom it was.
fn within(settings: &KafkaSettings, failure: KafkaError) -> KafkaError {
    match failure {
        KafkaError::Unreachable { why, .. } => {
            KafkaError::Unreachable { brokers: settings.brokers.clone(), seconds: ANSWER.as_secs(), why }
        }
        other => other,
    }
}

/// What is not as the settings say though a node can run with it; nothing if that can't be found out now.
pub(super) async fn differences(settings: &KafkaSettings, node: &str) -> Vec<String> {
    let Ok(admin) = Admin::new(settings, node) else { return Vec::new() };
    let mut differences = Vec::new();
    for wanted in wanted(settings) {
        if let Ok(Some(found)) = topic(&admin, &wanted.name).await {
            differences.extend(wanted.differences(&found));
        }
    }
    admin.close().await;
    differences
}

/// Everything that `footfall check --connect` can say of Kafka, errors first.
pub async fn check_topics(settings: &KafkaSettings) -> Vec<Finding> {
    let problems: Vec<_> = settings.problems().into_iter().map(|(key, why)| Finding::error(format!("bus.kafka.{key}: {why}"))).collect();
    if !problems.is_empty() {
        return problems;
    }
    let mut findings = match look(settings).await {
        Ok(findings) => findings,
        Err(failure) => vec![Finding::error(format!("Kafka can't be used: {}.", within(settings, failure)))],
    };
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    findings
}

async fn look(settings: &KafkaSettings) -> Result<Vec<Finding>, KafkaError> {
    let admin = Admin::new(settings, COMMAND)?;
    let (cluster, brokers) = brokers(&admin).await?;
    let mut findings = vec![Finding::note(format!("Kafka answers: cluster {cluster}, {} brokers.", brokers.len()))];
    for wanted in wanted(settings) {
        match topic(&admin, &wanted.name).await? {
            None => findings.push(Finding::error(format!("Kafka has no topic {}; `footfall topics create` makes it.", wanted.name))),
            Some(found) => findings.extend(of_topic(&wanted, &found)),
        }
    }
    findings.extend(of_brokers(&brokers));
    admin.close().await;
    Ok(findings)
}

fn of_topic(wanted: &Wanted, found: &Topic) -> Vec<Finding> {
    let name = &wanted.name;
    let mut findings: Vec<_> = wanted.differences(found).into_iter().map(Finding::warning).collect();
    if found.partitions != wanted.partitions && wanted.fixed_partitions {
        findings.push(Finding::error(format!(
            "Topic {name} has {} partitions and bus.kafka.partitions is {}: no node starts. Set it to what the topic has.",
            found.partitions, wanted.partitions
        )));
    }
    findings.extend(wanted.too_small(found).map(Finding::error));
    if found.replication_factor == 1 {
        findings.push(Finding::warning(format!(
            "Topic {name} has one replica: while its broker is away nothing is accepted, and its disk's loss is the loss of all records there, receipted ones too."
        )));
    } else if found.property("min.insync.replicas") == Some("1") {
        findings.push(Finding::warning(format!(
            "Topic {name} has min.insync.replicas 1: a receipt may stand on a single broker, whose loss is then the message's."
        )));
    }
    if found.property("unclean.leader.election.enable") == Some("true") {
        findings.push(Finding::warning(format!(
            "Topic {name} allows unclean leader election: a replica that is behind may become leader, and what it lacks is lost, receipted or not."
        )));
    }
    findings
}

fn of_brokers(brokers: &[Broker]) -> Vec<Finding> {
    let creating: Vec<_> = brokers.iter().filter(|broker| broker.creates_topics).map(|broker| broker.id.to_string()).collect();
    if creating.is_empty() {
        return Vec::new();
    }
    vec![Finding::warning(format!(
        "Brokers {} make topics by themselves (auto.create.topics.enable): a misspelt or deleted one comes back with their defaults, with other partitions and fewer replicas.",
        creating.join(", ")
    ))]
}

/// A client's failure, of which silence is the usual one.
fn failed(failure: &rdkafka::error::KafkaError) -> KafkaError {
    const SILENCE: [RDKafkaErrorCode; 4] = [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::OperationTimedOut,
        RDKafkaErrorCode::AllBrokersDown,
        RDKafkaErrorCode::RequestTimedOut,
    ];
    let why = sentence(failure);
    if failure.rdkafka_error_code().is_some_and(|code| SILENCE.contains(&code)) {
        KafkaError::Unreachable { brokers: String::new(), seconds: ANSWER.as_secs(), why }
    } else {
        KafkaError::Refused(why)
    }
}
