//! Images by name, and what of a service in a compose file each understands. What none understands is an error.

pub(super) mod footfall;
pub(super) mod kafka;
pub(super) mod nginx;
pub(super) mod postgres;
pub(super) mod redis;

use thiserror::Error;

use super::compose::Service;

/// A key of a service that has no meaning for a local process, or not this one.
#[derive(Debug, Error)]
#[error("services.{service}.{key}: {problem}")]
pub(crate) struct Unmapped {
    pub(crate) service: String,
    pub(crate) key: String,
    pub(crate) problem: String,
}

/// What stands for a service.
#[derive(Debug)]
pub(super) enum Image {
    Kafka(kafka::Broker),
    Postgres(postgres::Database),
    Redis(redis::Cache),
    Nginx(nginx::Proxy),
    Footfall(footfall::Program),
}

impl Image {
    pub(super) fn of(named: &Named<'_>) -> Result<Self, Unmapped> {
        let name = named.service.image.split(':').next().unwrap_or_default();
        match (&named.service.build, name) {
            (Some(_), _) => footfall::map(named).map(Self::Footfall),
            (None, "apache/kafka") => kafka::map(named).map(Self::Kafka),
            (None, "postgres") => postgres::map(named).map(Self::Postgres),
            (None, "redis") => redis::map(named).map(Self::Redis),
            (None, "nginx") => nginx::map(named).map(Self::Nginx),
            (None, other) => Err(named.unmapped("image", format!("no server here stands for `{other}`"))),
        }
    }

    /// The port that it listens on inside of its container.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Kafka(broker) => broker.port,
            Self::Postgres(_) => postgres::PORT,
            Self::Redis(_) => redis::PORT,
            Self::Nginx(proxy) => proxy.port,
            Self::Footfall(program) => program.port,
        }
    }

    /// The port inside of its container where it tells its metrics, if it does.
    pub(super) fn metrics_port(&self) -> Option<u16> {
        match self {
            Self::Footfall(program) => program.metrics_port,
            Self::Kafka(_) | Self::Postgres(_) | Self::Redis(_) | Self::Nginx(_) => None,
        }
    }
}

/// Not shown by `Debug`.
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

/// A service with its name, which errors tell.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) service: &'a Service,
}

/// A volume: `source` is a named volume or, beginning with `.`, a path beside the compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) source: String,
    pub(super) target: String,
}

impl Mount {
    pub(super) fn is_path(&self) -> bool {
        self.source.starts_with('.')
    }
}

impl Named<'_> {
    pub(super) fn unmapped(&self, key: &str, problem: impl Into<String>) -> Unmapped {
        Unmapped { service: self.name.to_owned(), key: key.to_owned(), problem: problem.into() }
    }

    pub(super) fn variable(&self, name: &str) -> Result<&str, Unmapped> {
        let value = self.service.environment.get(name);
        value.map(String::as_str).ok_or_else(|| self.unmapped(&format!("environment.{name}"), "it is needed here and not set"))
    }

    /// A variable that must be what a local process is like anyway.
    pub(super) fn expect(&self, name: &str, expected: &str) -> Result<(), Unmapped> {
        let value = self.variable(name)?;
        if value == expected {
            return Ok(());
        }
        Err(self.unmapped(&format!("environment.{name}"), format!("`{value}` can't be had by a local process, only `{expected}`")))
    }

    pub(super) fn port(&self, name: &str) -> Result<u16, Unmapped> {
        let value = self.variable(name)?;
        value.parse().map_err(|_| self.unmapped(&format!("environment.{name}"), format!("`{value}` is no port")))
    }

    pub(super) fn mounts(&self) -> Result<Vec<Mount>, Unmapped> {
        let mount = |text: &String| match text.split(':').collect::<Vec<_>>().as_slice() {
            [source, target] | [source, target, "ro"] if target.starts_with('/') && !source.starts_with('/') => {
                Ok(Mount { source: (*source).to_owned(), target: (*target).to_owned() })
            }
            _ => Err(self.unmapped("volumes", format!("`{text}` is neither `name:/path` nor `./file:/path:ro`"))),
        };
        self.service.volumes.iter().map(mount).collect()
    }

    /// The only volume, which must be a named one at the place where the image keeps its data.
    pub(super) fn data_volume(&self, target: &str) -> Result<(), Unmapped> {
        match self.mounts()?.as_slice() {
            [mount] if mount.target == target && !mount.is_path() => Ok(()),
            _ => Err(self.unmapped("volumes", format!("exactly one is expected, a named one at {target}"))),
        }
    }

    pub(super) fn single(&self) -> Result<(), Unmapped> {
        if self.service.deploy.replicas == 1 {
            return Ok(());
        }
        Err(self.unmapped("deploy.replicas", "only footfall can have several"))
    }

    pub(super) fn no_command(&self) -> Result<(), Unmapped> {
        if self.service.command.is_empty() {
            return Ok(());
        }
        Err(self.unmapped("command", "it is not known what this image would do with it"))
    }

    /// The port of the host that is led to the port inside.
    pub(super) fn published(&self, inside: u16) -> Result<Option<u16>, Unmapped> {
        match self.service.ports.as_slice() {
            [] => Ok(None),
            [text] => {
                let ports = text.split_once(':').and_then(|(host, inside)| Some((host.parse().ok()?, inside.parse::<u16>().ok()?)));
                match ports {
                    Some((host, port)) if port == inside && self.service.deploy.replicas == 1 => Ok(Some(host)),
                    _ => Err(self.unmapped("ports", format!("`{text}` is not `port:{inside}` of a single process"))),
                }
            }
            _ => Err(self.unmapped("ports", "a local process has one")),
        }
    }

    /// The program of the health check, which must be one that asks what we ask: is it ready?
    pub(super) fn health_check(&self, programs: &[&str]) -> Result<&[String], Unmapped> {
        let Some(check) = &self.service.healthcheck else { return Err(self.unmapped("healthcheck", "it is missing")) };
        match check.test.as_slice() {
            [how, program, arguments @ ..] if how == "CMD" && programs.contains(&program.as_str()) => Ok(arguments),
            other => Err(self.unmapped("healthcheck.test", format!("{other:?} is not `CMD` and one of {programs:?}"))),
        }
    }

    /// The path that a health check by HTTP asks the port inside for.
    pub(super) fn health_path(&self, inside: u16) -> Result<String, Unmapped> {
        let url = self.health_check(&["wget"])?.last().map(String::as_str).unwrap_or_default();
        let path = url.strip_prefix(&format!("http://127.0.0.1:{inside}")).filter(|path| path.starts_with('/'));
        path.map(str::to_owned).ok_or_else(|| self.unmapped("healthcheck.test", format!("`{url}` is not http://127.0.0.1:{inside}/…")))
    }
}
