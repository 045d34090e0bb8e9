//! An image built from this repository: the footfall binary, as nodes or as a command that ends.

use std::collections::BTreeMap;

use super::{Mount, Named, Unmapped};

#[derive(Debug)]
pub(in crate::cluster) struct Program {
    pub(in crate::cluster) port: u16,
    /// Where its metrics are, if the file has them.
    pub(in crate::cluster) metrics_port: Option<u16>,
    pub(in crate::cluster) arguments: Vec<String>,
    pub(in crate::cluster) environment: BTreeMap<String, String>,
    /// Files beside the compose file.
    pub(in crate::cluster) mounts: Vec<Mount>,
    pub(in crate::cluster) replicas: usize,
    /// Where a node is asked whether it is ready. A command that ends has none.
    pub(in crate::cluster) health_path: Option<String>,
}

pub(in crate::cluster) const HOST_VARIABLE: &str = "FOOTFALL_SERVER__HOST";
pub(in crate::cluster) const PORT_VARIABLE: &str = "FOOTFALL_SERVER__PORT";
pub(in crate::cluster) const METRICS_HOST_VARIABLE: &str = "FOOTFALL_METRICS__HOST";
pub(in crate::cluster) const METRICS_PORT_VARIABLE: &str = "FOOTFALL_METRICS__PORT";
pub(in crate::cluster) const SETTINGS_VARIABLE: &str = "FOOTFALL_CONFIG";

pub(super) fn map(named: &Named<'_>) -> Result<Program, Unmapped> {
    let service = named.service;
    // The Dockerfile's own tests are about this one.
    if !service.build.as_ref().is_some_and(|build| build.context == ".." && build.dockerfile == "deploy/Dockerfile") {
        return Err(named.unmapped("build", "only deploy/Dockerfile at the root of the repository is known"));
    }
    named.expect(HOST_VARIABLE, "0.0.0.0")?;
    let port = named.port(PORT_VARIABLE)?;
    let metrics_port = service.environment.get(METRICS_PORT_VARIABLE).map(|_| named.port(METRICS_PORT_VARIABLE)).transpose()?;
    if metrics_port.is_some() {
        named.expect(METRICS_HOST_VARIABLE, "0.0.0.0")?;
    }
    let mounts = named.mounts()?;
    if let Some(mount) = mounts.iter().find(|mount| !mount.is_path()) {
        return Err(named.unmapped("volumes", format!("`{}` is a named volume, and a node keeps nothing", mount.source)));
    }
    let settings = named.variable(SETTINGS_VARIABLE)?;
    if !mounts.iter().any(|mount| mount.target == settings) {
        return Err(named.unmapped(&format!("environment.{SETTINGS_VARIABLE}"), format!("no volume is at {settings}")));
    }
    let health_path = service.healthcheck.as_ref().map(|_| named.health_path(port)).transpose()?;
    Ok(Program {
        port,
        metrics_port,
        arguments: service.command.clone(),
        environment: service.environment.clone(),
        mounts,
        replicas: service.deploy.replicas,
        health_path,
    })
}
