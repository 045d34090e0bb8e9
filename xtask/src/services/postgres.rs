//! PostgreSQL, which refuses to run as root: then it runs as the account that its package made.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::port::Port;
use super::server::{Launch, Plan, Ready, Server};
use super::{merged, owned};
use crate::command::command;
use crate::report::succeeded;
use crate::tools;

const ACCOUNT: &str = "postgres";

/// `initdb`, a copy of the data, a statement.
const LIMIT: Duration = Duration::from_mins(2);

/// What differs between databases of tests and of `cargo xtask cluster`.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The database's superuser.
    pub user: String,
    /// Without one everybody is trusted.
    pub password: Option<String>,
    /// Off, commits survive a kill of the server all the same, though not of the machine, and tests are faster.
    pub fsync: bool,
    /// As after `postgres -c`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { user: "postgres".to_owned(), password: None, fsync: false, settings: Vec::new() }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PostgresOptions").field("user", &self.user).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    options: PostgresOptions,
    binaries: PathBuf,
    account: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes the database cluster, unless the folder has one. If we are root, all accounts must be able to enter the
    /// folders above (see [`super::scratch`]).
    pub fn new(folder: &Path, port: Port, options: PostgresOptions) -> anyhow::Result<Self> {
        let binaries = tools::postgres()?;
        let account = if tools::is_root()? { Some(tools::account(ACCOUNT)?) } else { None };
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        if let Some((user, group)) = account {
            chown(folder, Some(user), Some(group))?;
            can_be_entered(folder, user)?;
        }
        let probe = Launch {
            program: binaries.join("pg_isready"),
            arguments: words(&["-q", "-h", "127.0.0.1", "-p", &port.number().to_string(), "-d", "postgres"]),
            ..Launch::default()
        };
        let launch = Launch { program: binaries.join("postgres"), arguments: arguments(&port, &options), account, ..Launch::default() };
        let server = Server::new(Plan {
            name: "postgres".to_owned(),
            folder: folder.to_owned(),
            port,
            launch,
            ready: Ready::Succeeds(probe),
            // After a kill it reads its log again first.
            ready_within: Duration::from_mins(1),
            // Its "fast" way: TERM would wait for all clients to leave.
            polite: "INT",
            ends_within: Duration::from_secs(15),
        });
        let postgres = Self { server, options, binaries, account };
        if !postgres.data().join("PG_VERSION").exists() {
            postgres.initialize()?;
        }
        Ok(postgres)
    }

    fn initialize(&self) -> anyhow::Result<()> {
        let mut arguments = words(&["-D", "data", "-U", &self.options.user, "-E", "UTF8", "--locale=C.UTF-8"]);
        arguments.extend(words(&["--no-sync", "--no-instructions"]));
        let password = self.folder().join("password");
        match &self.options.password {
            Some(text) => {
                fs::write(&password, text)?;
                if let Some((user, group)) = self.account {
                    chown(&password, Some(user), Some(group))?;
                }
                fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
                arguments.extend(words(&["-A", "scram-sha-256", "--pwfile", "password"]));
            }
            None => arguments.extend(words(&["-A", "trust"])),
        }
        let launch = Launch { program: self.binaries.join("initdb"), arguments, account: self.account, ..Launch::default() };
        let result = succeeded(&mut launch.command(self.folder()), LIMIT, false);
        if self.options.password.is_some() {
            fs::remove_file(&password)?;
        }
        result.map(drop)
    }

    /// For a client.
    pub fn url(&self, database: &str) -> String {
        let password = self.options.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{}{password}@{}/{database}", self.options.user, self.address())
    }

    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        self.query("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).map(drop)
    }

    /// Runs statements by `psql`; a line for each row, columns divided by `|`.
    pub fn query(&self, database: &str, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut psql = command(&self.binaries.join("psql").to_string_lossy(), &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-h", "127.0.0.1", "-p", &self.address().port().to_string(), "-U", &self.options.user, "-d", database, "-c", sql]);
        if let Some(password) = &self.options.password {
            psql.env("PGPASSWORD", password);
        }
        succeeded(&mut psql, LIMIT, false)
    }

    /// Stops it, copies its data to a folder that does not exist yet, and starts it.
    pub fn back_up(&self, to: &Path) -> anyhow::Result<()> {
        ensure!(!to.exists(), "{} is there already", to.display());
        self.stop()?;
        copy(&self.data(), to)?;
        self.start()
    }

    /// Stops it and starts it with the data of an earlier `back_up`, which may be used again.
    pub fn restore(&self, from: &Path) -> anyhow::Result<()> {
        self.stop()?;
        fs::remove_dir_all(self.data())?;
        copy(from, &self.data())?;
        self.start()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn arguments(port: &Port, options: &PostgresOptions) -> Vec<String> {
    let fsync = if options.fsync { "on" } else { "off" };
    let number = port.number().to_string();
    let defaults = owned(&[
        ("listen_addresses", "127.0.0.1"),
        ("port", &number),
        // None: the path of a socket may have no more than 107 bytes, and nobody here needs one.
        ("unix_socket_directories", ""),
        ("shared_buffers", "32MB"),
        ("fsync", fsync),
        ("full_page_writes", fsync),
        // Off, a kill loses rows whose commit was acknowledged.
        ("synchronous_commit", "on"),
    ]);
    let chosen: Vec<(&str, &str)> = options.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let settings = merged(defaults, &chosen).into_iter().flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]);
    words(&["-D", "data"]).into_iter().chain(settings).collect()
}

fn can_be_entered(folder: &Path, user: u32) -> anyhow::Result<()> {
    for above in folder.canonicalize()?.ancestors() {
        let there = above.metadata()?;
        let open = there.mode() & 0o001 != 0 || (there.uid() == user && there.mode() & 0o100 != 0);
        ensure!(open, "PostgreSQL runs as `{ACCOUNT}`, which can't enter {}", above.display());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    // With owners and permissions, of which PostgreSQL is particular.
    let mut copy = command("cp", &["-a"]);
    succeeded(copy.arg(from).arg(to), LIMIT, false).map(drop)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
