//! What has to be started for a compose file, and in which order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::compose::{Compose, Condition, Restart, Service};
use super::images::{Image, Named};

/// A busy machine is slower than the one that a compose file has in mind.
const READY_AT_LEAST: Duration = Duration::from_secs(90);
/// Compose's own.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) project: String,
    pub(crate) services: BTreeMap<String, Planned>,
    /// The names of those that can be started at the same time, after all before them are there.
    pub(crate) waves: Vec<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Planned {
    pub(super) image: Image,
    /// The port of the host, if it is published.
    pub(crate) published: Option<u16>,
    pub(crate) ready_within: Duration,
    pub(crate) ends_within: Duration,
}

impl Plan {
    pub(crate) fn new(compose: &Compose) -> anyhow::Result<Self> {
        let mut services = BTreeMap::new();
        for (name, service) in &compose.services {
            let named = Named { name, service };
            for mount in named.mounts()?.iter().filter(|mount| !mount.is_path()) {
                ensure!(compose.volumes.contains_key(&mount.source), "services.{name}.volumes: there is no volume {}", mount.source);
            }
            let image = Image::of(&named)?;
            let published = named.published(image.port())?;
            let start_period = service.healthcheck.as_ref().and_then(|check| check.start_period).unwrap_or_default();
            let planned = Planned {
                image,
                published,
                ready_within: start_period.max(READY_AT_LEAST),
                ends_within: service.stop_grace_period.unwrap_or(GRACE),
            };
            services.insert(name.clone(), planned);
        }
        Ok(Self { project: compose.name.clone(), services, waves: waves(&compose.services)? })
    }
}

/// Whether it ends by itself when it has done its work.
pub(crate) fn is_job(service: &Service) -> bool {
    service.healthcheck.is_none() && service.restart == Restart::No
}

fn waves(services: &BTreeMap<String, Service>) -> anyhow::Result<Vec<Vec<String>>> {
    for (name, service) in services {
        for (other, dependency) in &service.depends_on {
            let path = format!("services.{name}.depends_on.{other}");
            let target = services.get(other).with_context(|| format!("{path}: there is no such service"))?;
            match dependency.condition {
                Condition::Completed => ensure!(is_job(target), "{path}: it never ends: it has a health check, or is started again"),
                Condition::Healthy => ensure!(target.healthcheck.is_some(), "{path}: it has no health check"),
                Condition::Started => {}
            }
        }
    }
    let mut waves: Vec<Vec<String>> = Vec::new();
    let mut left: Vec<&String> = services.keys().collect();
    while !left.is_empty() {
        let there = |name: &String| waves.iter().flatten().any(|started| started == name);
        let (next, later): (Vec<&String>, Vec<&String>) = left.iter().partition(|name| services[**name].depends_on.keys().all(there));
        ensure!(!next.is_empty(), "services {later:?} wait for each other");
        waves.push(next.into_iter().cloned().collect());
        left = later;
    }
    Ok(waves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::compose::read;
    use crate::root;

    type Change = Box<dyn Fn(&mut Compose)>;

    fn compose(change: impl Fn(&mut Compose)) -> anyhow::Result<Plan> {
        let variable =
            |name: &str| name.ends_with("_SECRET").then(|| "x".repeat(40)).or_else(|| name.ends_with("_PASSWORD").then(|| "y".to_owned()));
        let mut compose = read(&root().join("deploy/compose.yaml"), &variable)?;
        change(&mut compose);
        Plan::new(&compose)
    }

    fn problem(change: impl Fn(&mut Compose)) -> String {
        format!("{:#}", compose(change).expect_err("it must not be understood"))
    }

    #[test]
    fn ours_is_understood_and_started_in_order() {
        let plan = compose(|_| {}).unwrap();
        assert_eq!(plan.project, "footfall");
        assert_eq!(plan.waves, [vec!["kafka", "postgres", "redis"], vec!["topics"], vec!["node"], vec!["nginx"]]);
        assert_eq!(plan.services["nginx"].published, Some(8080));
        let Image::Footfall(node) = &plan.services["node"].image else { panic!("node is no footfall") };
        assert_eq!((node.replicas, node.port, node.health_path.as_deref()), (3, 8080, Some("/health/ready")));
        let Image::Kafka(kafka) = &plan.services["kafka"].image else { panic!("kafka is no Kafka") };
        assert!(kafka.properties.contains(&("offsets.topic.replication.factor".to_owned(), "1".to_owned())), "{:?}", kafka.properties);
        assert!(!kafka.properties.iter().any(|(key, _)| key == "listeners" || key == "log.dirs"), "{:?}", kafka.properties);
        let Image::Nginx(nginx) = &plan.services["nginx"].image else { panic!("nginx is no nginx") };
        assert_eq!(nginx.template, "./nginx/nginx.conf.template");
        let Image::Postgres(postgres) = &plan.services["postgres"].image else { panic!("postgres is no PostgreSQL") };
        let Image::Redis(redis) = &plan.services["redis"].image else { panic!("redis is no Redis") };
        let settings: Vec<_> = redis.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(settings, [("appendonly", "yes"), ("maxmemory-policy", "noeviction")]);
        assert_eq!(postgres.settings[0], ("synchronous_commit".to_owned(), "on".to_owned()));
    }

    /// Services that differ from ours in one key, and its path.
    fn unmapped() -> Vec<(&'static str, Change)> {
        fn set(service: &'static str, key: &'static str, value: &'static str) -> Change {
            Box::new(move |compose| {
                compose.services.get_mut(service).unwrap().environment.insert(key.to_owned(), value.to_owned());
            })
        }
        fn with(service: &'static str, change: fn(&mut Service)) -> Change {
            Box::new(move |compose| change(compose.services.get_mut(service).unwrap()))
        }
        vec![
            ("services.kafka.environment.KAFKA_NODE_ID", set("kafka", "KAFKA_NODE_ID", "2")),
            ("services.kafka.environment.KAFKA_ADVERTISED_LISTENERS", set("kafka", "KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://other:9092")),
            ("services.kafka.environment.KAFKA_HEAP_OPTS", set("kafka", "KAFKA_HEAP_OPTS", "-Xmx1g")),
            ("services.kafka.deploy.replicas", with("kafka", |kafka| kafka.deploy.replicas = 3)),
            ("services.kafka.volumes", with("kafka", |kafka| kafka.volumes.clear())),
            ("services.postgres.environment.PGDATA", set("postgres", "PGDATA", "/x")),
            ("services.postgres.volumes", Box::new(|compose| assert!(compose.volumes.remove("postgres").is_some()))),
            ("services.postgres.command", with("postgres", |postgres| postgres.command.push("-F".to_owned()))),
            ("services.redis.environment.REDIS_ARGS", set("redis", "REDIS_ARGS", "--save 60 1")),
            ("services.redis.command", with("redis", |redis| redis.command[2] = redis.command[2].replace("requirepass", "masterauth"))),
            ("services.redis.command", with("redis", |redis| redis.command[2] = redis.command[2].replace("yes", "$ON"))),
            ("services.redis.command", with("redis", |redis| redis.command[2].push_str("echo\n"))),
            ("services.redis.healthcheck.test", with("redis", |redis| redis.healthcheck.as_mut().unwrap().test.truncate(2))),
            ("services.nginx.environment.NGINX_ENVSUBST_FILTER", set("nginx", "NGINX_ENVSUBST_FILTER", "X")),
            ("services.nginx.ports", with("nginx", |nginx| nginx.ports[0] = "8080:80".to_owned())),
            ("services.node.environment.FOOTFALL_CONFIG", set("node", "FOOTFALL_CONFIG", "/etc/other.toml")),
            (
                "services.node.healthcheck.test",
                with("node", |node| node.healthcheck.as_mut().unwrap().test.push("http://127.0.0.1:80/".to_owned())),
            ),
            ("services.node.depends_on.topics", with("topics", |topics| topics.restart = Restart::UnlessStopped)),
            ("services.topics.image", with("topics", |topics| topics.build = None)),
        ]
    }

    #[test]
    fn what_has_no_local_meaning_fails_with_its_path() {
        for (path, change) in unmapped() {
            let said = problem(change);
            assert!(said.starts_with(&format!("{path}: ")), "{path}\n{said}");
        }
    }

    #[test]
    fn a_circle_is_found() {
        let said = problem(|compose| {
            let dependency = super::super::compose::Dependency { condition: Condition::Healthy };
            compose.services.get_mut("kafka").unwrap().depends_on.insert("nginx".to_owned(), dependency);
        });
        assert!(said.contains("wait for each other"), "{said}");
    }
}
