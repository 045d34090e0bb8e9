//! `apache/kafka`: variables `KAFKA_…` are properties.

use super::{Named, Unmapped};

const DATA: &str = "/var/lib/kafka/data";

/// One node, broker and controller.
#[derive(Debug)]
pub(in crate::cluster) struct Broker {
    pub(in crate::cluster) port: u16,
    /// Those that say how it works. Those that say where it and its controller are belong to whoever runs it.
    pub(in crate::cluster) properties: Vec<(String, String)>,
}

pub(super) fn map(named: &Named<'_>) -> Result<Broker, Unmapped> {
    named.single()?;
    named.no_command()?;
    named.data_volume(DATA)?;
    named.health_check(&["/opt/kafka/bin/kafka-broker-api-versions.sh"])?;

    let listeners = named.variable("KAFKA_LISTENERS")?;
    let ports = listeners.strip_prefix("PLAINTEXT://:").and_then(|rest| rest.split_once(",CONTROLLER://:"));
    let ports = ports.and_then(|(broker, controller)| Some((broker.parse::<u16>().ok()?, controller.parse::<u16>().ok()?)));
    let (port, controller) =
        ports.ok_or_else(|| named.unmapped("environment.KAFKA_LISTENERS", "it is not `PLAINTEXT://:port,CONTROLLER://:port`"))?;
    let name = named.name;
    let places = [
        ("KAFKA_PROCESS_ROLES", "broker,controller".to_owned()),
        ("KAFKA_NODE_ID", "1".to_owned()),
        ("KAFKA_LISTENERS", listeners.to_owned()),
        ("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://{name}:{port}")),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", format!("1@{name}:{controller}")),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER".to_owned()),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT".to_owned()),
        ("KAFKA_LOG_DIRS", DATA.to_owned()),
    ];
    for (variable, expected) in &places {
        named.expect(variable, expected)?;
    }
    // A local one has an id of its own, so that nobody takes its log for another's.
    if named.variable("CLUSTER_ID")?.len() != 22 {
        return Err(named.unmapped("environment.CLUSTER_ID", "it is not 16 bytes as URL-safe Base64"));
    }
    let mut properties = Vec::new();
    for (variable, value) in &named.service.environment {
        if variable == "CLUSTER_ID" || places.iter().any(|(place, _)| place == variable) {
            continue;
        }
        let key = property(variable).ok_or_else(|| named.unmapped(&format!("environment.{variable}"), "it is no property of Kafka's"))?;
        properties.push((key, value.clone()));
    }
    Ok(Broker { port, properties })
}

/// As the image makes them: `_` is a dot, `__` an underscore, `___` a dash. Options of the Java machine are no properties.
fn property(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("KAFKA_").filter(|name| !name.ends_with("_OPTS") && !name.starts_with("LOG4J_"))?;
    let dotted = name.to_lowercase().replace('_', ".");
    Some(dotted.replace("...", "-").replace("..", "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_properties_as_in_the_image() {
        for (variable, expected) in [
            ("KAFKA_MIN_INSYNC_REPLICAS", Some("min.insync.replicas")),
            ("KAFKA_A__B_C", Some("a_b.c")),
            ("KAFKA_A___B", Some("a-b")),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_LOG4J_ROOT_LOGLEVEL", None),
            ("OTHER", None),
        ] {
            assert_eq!(property(variable).as_deref(), expected, "{variable}");
        }
    }
}
