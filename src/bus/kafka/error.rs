//! Kafka's failures as sentences for operators: what is wrong, and what to run. No property's value is in them.

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

/// Why Kafka can't be used as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    #[error("the settings of Kafka can't work: {0}")]
    Settings(String),
    #[error("no Kafka broker answered at {brokers} within {seconds}s: {why}")]
    Unreachable { brokers: String, seconds: u64, why: String },
    #[error("Kafka has no topic {0}; `footfall topics create` makes it")]
    NoTopic(String),
    #[error(
        "topic {topic} has {is} partitions and the settings say {set}; a topic's partitions can't be changed without losing the order, \
         so set bus.kafka.partitions to {is}, or choose another prefix and run `footfall topics create`"
    )]
    Partitions { topic: String, is: u32, set: u32 },
    #[error("topics {0} and {1} have different numbers of partitions; choose another prefix and run `footfall topics create`")]
    Unequal(String, String),
    #[error("Kafka refused: {0}")]
    Refused(String),
    #[error("a thread for reading Kafka can't be started")]
    Thread,
}

impl From<ClientError> for KafkaError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::ClientConfig(..) => Self::Settings(sentence(&error)),
            _ => Self::Refused(sentence(&error)),
        }
    }
}

/// What a client's error says, without the values of properties, of which one may be a password.
pub(super) fn sentence(error: &ClientError) -> String {
    match error {
        ClientError::ClientConfig(_, _, property, _) => {
            format!("librdkafka does not take the property {property}, or not with this value")
        }
        _ => match error.rdkafka_error_code() {
            Some(code) => describe(code),
            None => error.to_string(),
        },
    }
}

/// librdkafka's own words for a code, which begin with where it arose: `Broker: Unknown topic or partition`.
pub(super) fn describe(code: RDKafkaErrorCode) -> String {
    code.to_string()
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn no_value_of_a_property_is_in_an_error() {
        let mut config = ClientConfig::new();
        config.set("security.protocol", "hunter2");
        let Err(error) = config.create::<BaseConsumer>() else { panic!("librdkafka took it") };
        let error = KafkaError::from(error);
        assert!(matches!(&error, KafkaError::Settings(text) if text.contains("security.protocol")), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
