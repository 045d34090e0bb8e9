//! A real node in a process of its own, that can be killed and started again on the same data.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use footfall::auth::{AuthSettings, Issuer};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Known to everyone who reads this.
const KEYS: &str = r#"[[keys]]
algorithms = ["HS256"]
secret = "durability-secret-of-at-least-32-bytes"
"#;

/// One data directory, one port, and the process that uses them.
pub(crate) struct Node {
    directory: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl Node {
    /// Writes the settings; starts nothing yet.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Given back at once; the node takes it a moment later, and again after each kill.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let keys = KEYS.replace("[[keys]]", "[[auth.keys]]");
        let database = directory.path().join("data/footfall.db");
        let settings = format!(
            r#"mode = "production"
refusals = "close"
{keys}
[server]
port = {port}
[store.sqlite]
path = "{database}"
[rate_limit]
session_per_second = 1000000
session_burst = 1000000
user_per_second = 1000000
user_burst = 1000000
[[destinations]]
pattern = "/topic/rooms.{{room}}"
subscribe = "true"
send = "true"
store = true
refusals = "close"
retention = {{}}
"#,
            port = address.port(),
            database = database.display(),
        );
        std::fs::write(directory.path().join("footfall.toml"), settings).unwrap();
        Self { directory, address, process: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("data/footfall.db")
    }

    /// Everything that all processes so far have said.
    pub(crate) fn log(&self) -> String {
        log(&self.directory)
    }

    /// Starts a process; it may not serve yet.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_footfall"))
            .arg("--config")
            .arg(self.directory.path().join("footfall.toml"))
            // What is FOOTFALL_… here is a setting there.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A test that panics leaves no process behind.
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until it accepts connections; panics with its log if it never does.
    pub(crate) async fn ready(&mut self) {
        let accepts = async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                let process = self.process.as_mut().expect("a process");
                let ended = process.try_wait().unwrap();
                assert!(ended.is_none(), "the node ended by itself, {ended:?}:\n{}", log(&self.directory));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let accepted = tokio::time::timeout(Duration::from_secs(30), accepts).await;
        assert!(accepted.is_ok(), "the node does not serve:\n{}", self.log());
    }

    /// SIGKILL, and the process is gone when this returns. False if it had ended before by itself.
    pub(crate) async fn kill(&mut self) -> bool {
        let mut process = self.process.take().expect("a process");
        let lived = process.try_wait().unwrap().is_none();
        process.kill().await.unwrap();
        lived
    }
}

fn log(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
}

/// Its tokens are good for the node.
pub(crate) fn issuer() -> Issuer {
    let settings: AuthSettings = toml::from_str(KEYS).unwrap();
    Issuer::new(&settings).unwrap()
}
