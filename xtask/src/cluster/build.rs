//! From a compose file to processes that are ready to be started: ports, folders, and real addresses for its names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::dockerfile::Dockerfile;
use crate::root;
use crate::services::server::{Launch, Plan as ServerPlan, Ready};
use crate::services::{Kafka, Nginx, Port, Postgres, PostgresOptions, Redis, Server, scratch};

use super::addresses::Addresses;
use super::compose;
use super::images::footfall::{self, Program};
use super::images::nginx::{self, Proxy};
use super::images::postgres::Database;
use super::images::redis::Cache;
use super::images::{Image, kafka::Broker};
use super::plan::{Plan, Planned};
use super::{Cluster, Options, Part, Published};

/// Paths of an image that can't mean the same here.
const FOREIGN: [&str; 4] = ["/etc/", "/var/", "/run/", "/tmp/"];

pub(super) fn build(options: &Options) -> anyhow::Result<Cluster> {
    let deploy = root().join("deploy");
    let variable = options.variables();
    let mut compose = compose::read(&deploy.join("compose.yaml"), &variable)?;
    for (service, key, value) in &options.environment {
        let service = compose.services.get_mut(service).with_context(|| format!("{key} is for {service}, and there is no such service"))?;
        service.environment.insert(key.clone(), value.clone());
    }
    let plan = Plan::new(&compose)?;
    let (folder, temporary) = match &options.folder {
        Some(folder) => (folder.clone(), None),
        None => scratch().map(|temporary| (temporary.path().to_owned(), Some(temporary)))?,
    };
    let Places { addresses, mut ports, mut metrics } = places(&plan, options.ports)?;
    let default = default_command(&deploy)?;
    let maker = Maker { options, addresses: &addresses, deploy: &deploy, folder: &folder, command: &default };

    let (mut broker, mut database, mut cache, mut proxy, mut nodes, mut jobs) = (None, None, None, None, None, Vec::new());
    let mut part_of: BTreeMap<&str, Part> = BTreeMap::new();
    for (name, planned) in &plan.services {
        let own = ports.remove(name).unwrap_or_default();
        let part = match &planned.image {
            Image::Kafka(image) => {
                ensure!(broker.replace((image, own)).is_none(), "services.{name}: there is another Kafka");
                Part::Kafka
            }
            Image::Postgres(image) => {
                ensure!(database.replace((image, own)).is_none(), "services.{name}: there is another PostgreSQL");
                Part::Postgres
            }
            Image::Redis(image) => {
                ensure!(cache.replace((image, own)).is_none(), "services.{name}: there is another Redis");
                Part::Redis
            }
            Image::Nginx(image) => {
                ensure!(proxy.replace((image, own)).is_none(), "services.{name}: there is another nginx");
                Part::Nginx
            }
            Image::Footfall(image) if image.health_path.is_some() => {
                ensure!(nodes.replace((name, planned, image, own)).is_none(), "services.{name}: there is another service of nodes");
                Part::Nodes
            }
            Image::Footfall(image) => {
                // It ends before anybody could ask for its metrics.
                jobs.push(maker.process(name, planned, image, only(own)?, None)?);
                Part::Job(jobs.len() - 1)
            }
        };
        part_of.insert(name, part);
    }
    let (broker, broker_ports) = broker.context("there is no service of image apache/kafka")?;
    let (database, database_ports) = database.context("there is no service of image postgres")?;
    let (cache, cache_ports) = cache.context("there is no service of image redis")?;
    let (proxy, proxy_ports) = proxy.context("there is no service of image nginx")?;
    let (name, planned, program, node_ports) = nodes.context("there is no service with nodes")?;

    let metrics = metrics.remove(name).unwrap_or_default();
    let launch = maker.launch(name, program, node_ports.first().context("there are no nodes")?.number(), None)?;
    let nodes = node_ports.into_iter().enumerate().map(|(index, port)| {
        let name = format!("{}-{name}-{}", plan.project, index + 1);
        maker.process(&name, planned, program, port, metrics.get(index))
    });
    let nodes = nodes.collect::<anyhow::Result<Vec<_>>>()?;
    // Both take seconds of another program's time.
    let (kafka, postgres) = std::thread::scope(|scope| {
        let kafka = scope.spawn(|| kafka(&folder, broker, broker_ports, options.measured));
        let postgres = postgres(&folder.join("postgres"), database, database_ports, options.measured);
        (kafka.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that made Kafka panicked"))), postgres)
    });
    Ok(Cluster {
        nginx: maker.nginx(proxy, proxy_ports)?,
        nodes,
        metrics,
        jobs,
        kafka: kafka?,
        postgres: postgres?,
        redis: redis(&folder.join("redis"), cache, cache_ports)?,
        waves: plan.waves.iter().map(|wave| wave.iter().map(|name| part_of[name.as_str()]).collect()).collect(),
        database: database.name.clone(),
        launch,
        secret: program.environment.get("FOOTFALL_AUTH__KEYS__0__SECRET").cloned().unwrap_or_default(),
        folder: folder.clone(),
        _temporary: temporary,
    })
}

fn default_command(deploy: &Path) -> anyhow::Result<Vec<String>> {
    let file = Dockerfile::read(&deploy.join("Dockerfile"))?;
    let image = file.image()?;
    ensure!(image.words("ENTRYPOINT")? == ["footfall"], "deploy/Dockerfile: the image runs something else than footfall");
    image.words("CMD")
}

struct Places {
    addresses: Addresses,
    /// For each process of a service.
    ports: BTreeMap<String, Vec<Port>>,
    /// For the metrics of each process, of services that have them.
    metrics: BTreeMap<String, Vec<Port>>,
}

/// A port for each process, and the table of names that lead to them.
fn places(plan: &Plan, published: Published) -> anyhow::Result<Places> {
    let mut addresses = Addresses::new(&plan.project);
    let (mut ports, mut metrics) = (BTreeMap::new(), BTreeMap::<String, Vec<Port>>::new());
    for (name, planned) in &plan.services {
        let replicas = if let Image::Footfall(program) = &planned.image { program.replicas } else { 1 };
        ensure!(replicas > 0, "services.{name}.deploy.replicas: there must be at least one");
        let mut mine = Vec::with_capacity(replicas);
        for number in 1..=replicas {
            let replica = format!("{}-{name}-{number}", plan.project);
            let port = match planned.published {
                Some(port) if published == Published::AsWritten => Port::exactly(port)?,
                _ => Port::free()?,
            };
            addresses.insert(&replica, planned.image.port(), port.address());
            mine.push(port);
            if let Some(inside) = planned.image.metrics_port() {
                let port = Port::free()?;
                addresses.insert(&replica, inside, port.address());
                metrics.entry(name.clone()).or_default().push(port);
            }
        }
        match mine.as_slice() {
            [port] => addresses.insert(name, planned.image.port(), port.address()),
            _ => addresses.insert_several(name),
        }
        ports.insert(name.clone(), mine);
    }
    Ok(Places { addresses, ports, metrics })
}

fn kafka(folder: &Path, broker: &Broker, ports: Vec<Port>, measured: bool) -> anyhow::Result<Kafka> {
    let properties: Vec<(&str, &str)> = broker.properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    if measured { Kafka::measured(folder, ports, &properties) } else { Kafka::new(folder, ports, &properties) }
}

fn postgres(folder: &Path, database: &Database, ports: Vec<Port>, fsync: bool) -> anyhow::Result<Postgres> {
    let options = PostgresOptions {
        user: database.user.clone(),
        password: Some(database.password.0.clone()),
        settings: database.settings.clone(),
        fsync,
    };
    Postgres::new(folder, only(ports)?, options)
}

fn redis(folder: &Path, cache: &Cache, ports: Vec<Port>) -> anyhow::Result<Redis> {
    let mut settings: Vec<(&str, &str)> = cache.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    settings.push(("requirepass", &cache.password.0));
    Redis::new(folder, only(ports)?, &settings)
}

fn only(ports: Vec<Port>) -> anyhow::Result<Port> {
    ports.into_iter().next().context("a service without a port")
}

/// What all processes are made of.
struct Maker<'a> {
    options: &'a Options,
    addresses: &'a Addresses,
    deploy: &'a Path,
    folder: &'a Path,
    /// What the image does if the service names no command.
    command: &'a [String],
}

impl Maker<'_> {
    fn process(&self, name: &str, planned: &Planned, program: &Program, port: Port, metrics: Option<&Port>) -> anyhow::Result<Server> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Server::new(ServerPlan {
            name: name.to_owned(),
            folder,
            launch: self.launch(name, program, port.number(), metrics.map(Port::number))?,
            port,
            ready: program.health_path.clone().map_or(Ready::Connects, Ready::Http),
            ready_within: planned.ready_within,
            polite: "TERM",
            ends_within: planned.ends_within,
        }))
    }

    /// Without a port for its metrics it takes any.
    fn launch(&self, name: &str, program: &Program, port: u16, metrics: Option<u16>) -> anyhow::Result<Launch> {
        let mut environment = Vec::with_capacity(program.environment.len());
        for (key, value) in &program.environment {
            let value = match key.as_str() {
                footfall::HOST_VARIABLE | footfall::METRICS_HOST_VARIABLE => "127.0.0.1".to_owned(),
                footfall::PORT_VARIABLE => port.to_string(),
                footfall::METRICS_PORT_VARIABLE => metrics.unwrap_or(0).to_string(),
                _ => self.value(program, key, value).with_context(|| format!("services.{name}.environment.{key}"))?,
            };
            environment.push((key.clone(), value));
        }
        let arguments = if program.arguments.is_empty() { self.command } else { &program.arguments };
        let arguments = arguments.iter().map(|argument| self.addresses.replace(argument)).collect::<Result<_, _>>();
        let arguments = arguments.with_context(|| format!("services.{name}.command"))?;
        let binary =
            fs::canonicalize(&self.options.binary).with_context(|| format!("the footfall program {}", self.options.binary.display()))?;
        Ok(Launch { program: binary, arguments, environment, account: None })
    }

    fn value(&self, program: &Program, key: &str, value: &str) -> anyhow::Result<String> {
        if let Some(mount) = program.mounts.iter().find(|mount| mount.target == value) {
            let chosen = self.options.settings.as_ref().filter(|_| key == footfall::SETTINGS_VARIABLE);
            let path = chosen.map_or_else(|| self.deploy.join(&mount.source), PathBuf::clone);
            let path = fs::canonicalize(&path).with_context(|| path.display().to_string())?;
            return Ok(path.to_str().context("the path is not UTF-8")?.to_owned());
        }
        // Paths that a test chose are its own.
        let is_chosen = self.options.environment.iter().any(|(_, chosen, _)| chosen == key);
        ensure!(
            is_chosen || !FOREIGN.iter().any(|start| value.starts_with(start)),
            "`{value}` is a path of the image, and no volume is there"
        );
        Ok(self.addresses.replace(value)?)
    }

    fn nginx(&self, proxy: &Proxy, ports: Vec<Port>) -> anyhow::Result<Nginx> {
        let port = only(ports)?;
        let mut environment = proxy.environment.clone();
        for (key, value) in &mut environment {
            *value = match key.as_str() {
                nginx::HOST_VARIABLE => port.address().ip().to_string(),
                nginx::PORT_VARIABLE => port.number().to_string(),
                _ => self.addresses.replace(value).with_context(|| format!("nginx's variable {key}"))?,
            };
        }
        let path = self.deploy.join(&proxy.template);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let configuration = nginx::render(&text, &environment);
        Nginx::with_configuration(&self.folder.join("nginx"), port, &proxy.health_path, &configuration)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// With where it thinks that nodes are.
    fn nginx(nodes: usize) -> anyhow::Result<(tempfile::TempDir, Nginx, Vec<Port>)> {
        let options = Options { nodes: Some(nodes), binary: "/bin/true".into(), ..Options::default() };
        let plan = Plan::new(&compose::read(&root().join("deploy/compose.yaml"), &options.variables())?)?;
        let Places { addresses, mut ports, .. } = places(&plan, Published::Free)?;
        let temporary = scratch()?;
        let maker =
            Maker { options: &options, addresses: &addresses, deploy: &root().join("deploy"), folder: temporary.path(), command: &[] };
        let Image::Nginx(proxy) = &plan.services["nginx"].image else { anyhow::bail!("nginx is no nginx") };
        let nginx = maker.nginx(proxy, ports.remove("nginx").unwrap_or_default())?;
        Ok((temporary, nginx, ports.remove("node").unwrap_or_default()))
    }

    fn get(nginx: &Nginx, path: &str) -> String {
        let mut socket = TcpStream::connect(nginx.address()).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Answers everything with 200 and a node's header, and says what it was asked for.
    fn node(port: &Port) -> std::sync::mpsc::Receiver<String> {
        let listener = std::net::TcpListener::bind(port.address()).unwrap();
        let (asked, questions) = std::sync::mpsc::sync_channel(64);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut head = Vec::new();
                let mut bytes = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let count = socket.read(&mut bytes).unwrap();
                    head.extend_from_slice(&bytes[..count]);
                }
                asked.send(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()).unwrap();
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\nx-footfall-node: host-1a2b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        questions
    }

    fn line(nginx: &Nginx, of: &str) -> String {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let log = fs::read_to_string(nginx.log()).unwrap();
            if let Some(line) = log.lines().find(|line| line.contains(of)) {
                return line.to_owned();
            }
            assert!(std::time::Instant::now() < end, "no line of {of} in\n{log}");
            super::super::pause(std::time::Duration::from_millis(20));
        }
    }

    #[test]
    fn real_nginx_says_which_node_it_was_and_keeps_what_is_the_nodes_own() {
        let (_folder, nginx, ports) = nginx(1).unwrap();
        let asked = node(&ports[0]);
        nginx.start().unwrap();
        for path in ["/", "/ws", "/apis", "/healthy", "/metrics-of-mine"] {
            let answer = get(&nginx, path);
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nx-footfall-node: host-1a2b\r\n"), "{path}: {answer}");
            assert_eq!(asked.try_recv().unwrap(), format!("GET {path} HTTP/1.1"));
            let line = line(&nginx, &format!("\"GET {path}\""));
            assert!(line.contains(&format!(" to {} 200 host-1a2b", ports[0].address())), "{line}");
        }
        for path in [
            "/metrics",
            "//metrics",
            "/./metrics",
            "/ws/../metrics",
            "/%6detrics",
            "/metrics?x",
            "/health/ready",
            "/health/live",
            "//health/x",
            "/api",
            "/api/",
            "/api/users/alice/logout",
            "//api/nodes",
            "/%61pi/nodes",
            "/ws/../api/nodes",
        ] {
            let answer = get(&nginx, path);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("x-footfall-node"), "{path}: {answer}");
            assert!(asked.try_recv().is_err(), "{path} came to the node");
        }
    }

    #[test]
    fn real_nginx_takes_the_template() {
        let (_folder, nginx, _) = nginx(3).unwrap();
        nginx.start().unwrap();
        // No node is there; three are asked, and the log names them, but not the query.
        assert!(get(&nginx, "/some/path?token=secret").starts_with("HTTP/1.1 502"));
        let line = line(&nginx, "GET /some/path");
        assert_eq!(line.matches("127.0.0.1:").count(), 3, "{line}");
        let log = fs::read_to_string(nginx.log()).unwrap();
        assert!(!log.contains("secret"), "{log}");
    }

    #[test]
    fn a_node_that_nginx_is_not_told_of_right_is_found() {
        let mut options = Options { binary: "/bin/true".into(), ..Options::default() };
        options.variables.insert("FOOTFALL_UPSTREAM".to_owned(), "server footfall-node-4:8080;".to_owned());
        let plan = Plan::new(&compose::read(&root().join("deploy/compose.yaml"), &options.variables()).unwrap()).unwrap();
        let Places { addresses, .. } = places(&plan, Published::Free).unwrap();
        let Image::Nginx(proxy) = &plan.services["nginx"].image else { panic!("nginx is no nginx") };
        let error = addresses.replace(&proxy.environment["FOOTFALL_UPSTREAM"]).unwrap_err().to_string();
        assert!(error.contains("footfall-node-4"), "{error}");
    }

    #[test]
    fn nodes_get_real_addresses_and_paths() {
        let options = Options { binary: "/bin/true".into(), ..Options::default() };
        let plan = Plan::new(&compose::read(&root().join("deploy/compose.yaml"), &options.variables()).unwrap()).unwrap();
        let Places { addresses, ports, .. } = places(&plan, Published::Free).unwrap();
        let deploy = root().join("deploy");
        let maker = Maker { options: &options, addresses: &addresses, deploy: &deploy, folder: Path::new("/x"), command: &[] };
        let Image::Footfall(program) = &plan.services["node"].image else { panic!("node is no footfall") };
        let launch = maker.launch("node", program, 1234, None).unwrap();
        let value = |key: &str| launch.environment.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap();
        assert_eq!(value("FOOTFALL_SERVER__HOST"), "127.0.0.1");
        assert_eq!(value("FOOTFALL_SERVER__PORT"), "1234");
        assert_eq!(value("FOOTFALL_BUS__KAFKA__BROKERS"), ports["kafka"][0].address().to_string());
        assert_eq!(value("FOOTFALL_STORE__POSTGRES__URL"), format!("postgres://footfall@{}/footfall", ports["postgres"][0].address()));
        assert_eq!(value("FOOTFALL_REGISTRY__REDIS__URL"), format!("redis://{}/0", ports["redis"][0].address()));
        assert_eq!(Path::new(value("FOOTFALL_CONFIG")), fs::canonicalize(deploy.join("footfall.toml")).unwrap());
        assert_eq!(launch.arguments, ["run"]);
    }

    #[test]
    fn each_node_has_a_port_for_its_metrics_if_the_file_has_one() {
        let options = Options { binary: "/bin/true".into(), ..Options::default() };
        let mut compose = compose::read(&root().join("deploy/compose.yaml"), &options.variables()).unwrap();
        let variables = [(footfall::METRICS_HOST_VARIABLE, "0.0.0.0"), (footfall::METRICS_PORT_VARIABLE, "9464")];
        let environment = &mut compose.services.get_mut("node").unwrap().environment;
        environment.extend(variables.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let plan = Plan::new(&compose).unwrap();
        let Places { addresses, metrics, .. } = places(&plan, Published::Free).unwrap();
        let ports: Vec<_> = metrics["node"].iter().map(Port::address).collect();
        assert_eq!(ports.len(), 3);
        assert_eq!(addresses.replace("footfall-node-2:9464"), Ok(ports[1].to_string()));
        let deploy = root().join("deploy");
        let maker = Maker { options: &options, addresses: &addresses, deploy: &deploy, folder: Path::new("/x"), command: &[] };
        let Image::Footfall(program) = &plan.services["node"].image else { panic!("node is no footfall") };
        let launch = maker.launch("node", program, 1234, Some(ports[1].port())).unwrap();
        for (key, value) in
            [(footfall::METRICS_HOST_VARIABLE, "127.0.0.1".to_owned()), (footfall::METRICS_PORT_VARIABLE, ports[1].port().to_string())]
        {
            assert!(launch.environment.contains(&(key.to_owned(), value)), "{key}");
        }
    }
}
