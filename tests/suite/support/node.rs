//! A node inside the test: port 0, its own store, and the settings that the test names.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use footfall::admission::Admissions;
use footfall::auth::{JwtAlgorithm, KeySettings};
use footfall::channel::{ChannelInterceptor, RateLimitSettings};
use footfall::message::Code;
use footfall::node::Node;
use footfall::settings::{Settings, load_text};
use footfall::shutdown::Shutdown;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::task::JoinHandle;

use super::stomp::{Client, send, subscribe};
use super::{PATIENCE, http, soon};

pub(crate) const SECRET: &str = "a secret of the tests with more than 32 bytes";

/// Rooms for everyone, and each user's own queues.
pub(crate) const OPEN: &str = r#"
    refusals = "notify"
    [[destinations]]
    pattern = "/topic/open.{name}"
    subscribe = "true"
    send = "true"
    wildcard = true
    [[destinations]]
    pattern = "/topic/kept.{name}"
    subscribe = "true"
    send = "true"
    store = true
    [[destinations]]
    pattern = "/user/queue/{name}"
    subscribe = "true"
    send = "params.name == 'notices'"
"#;

pub(crate) struct TestNode {
    pub(crate) address: SocketAddr,
    /// To end what may be ended.
    pub(crate) admissions: Admissions,
    /// If the settings have a port for metrics.
    pub(crate) metrics: Option<SocketAddr>,
    shutdown: Shutdown,
    running: JoinHandle<bool>,
    data: tempfile::TempDir,
}

impl TestNode {
    /// A node with these settings. What they don't say of rates is: any.
    pub(crate) async fn start(settings: &str) -> Self {
        Self::start_with(settings, Vec::new()).await
    }

    /// The same with further steps in the inbound channel.
    pub(crate) async fn start_with(settings: &str, interceptors: Vec<Box<dyn ChannelInterceptor>>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings, interceptors).await
    }

    /// Drains it and starts another one with what it stored.
    pub(crate) async fn restarted(self, settings: &str) -> Self {
        self.drain();
        assert!(soon("the node's end", self.running).await.unwrap());
        Self::start_in(self.data, settings, Vec::new()).await
    }

    async fn start_in(data: tempfile::TempDir, settings: &str, interceptors: Vec<Box<dyn ChannelInterceptor>>) -> Self {
        let mut settings: Settings =
            load_text("the test's settings", settings, std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
        settings.server.host = Ipv4Addr::LOCALHOST.into();
        settings.server.port = 0;
        settings.store.sqlite.path = data.path().join("footfall.db");
        let secret = Some(SECRET.into());
        settings.auth.keys.push(KeySettings {
            kid: None,
            algorithms: vec![JwtAlgorithm::HS256],
            secret,
            secret_file: None,
            public_key_file: None,
        });
        if settings.rate_limit == RateLimitSettings::default() {
            let any = NonZeroU32::new(1_000_000).unwrap();
            settings.rate_limit = RateLimitSettings { session_per_second: any, session_burst: any, user_per_second: any, user_burst: any };
        }
        let shutdown = Shutdown::new();
        let checked = settings.check().unwrap_or_else(|error| panic!("{error}"));
        let node = Node::start_checked(checked, interceptors, shutdown.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        let (address, metrics, admissions) = (node.address(), node.metrics_address(), node.admissions().clone());
        Self { address, admissions, metrics, shutdown, running: tokio::runtime::Handle::current().spawn(node.run()), data }
    }

    /// Holds the store's file as another program may, so that nothing is stored until this is dropped.
    pub(crate) async fn hold_store(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.data.path().join("footfall.db")).busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        connection
    }

    /// As SIGTERM does.
    pub(crate) fn drain(&self) {
        self.shutdown.begin();
    }

    /// Whether it ended well.
    pub(crate) async fn ended(self) -> bool {
        soon("the node's end", self.running).await.unwrap()
    }

    /// Waits until so many sockets are open.
    pub(crate) async fn until_connections(&self, expected: u64) {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        let mut last = u64::MAX;
        let settled = async {
            while last != expected {
                pause.tick().await;
                let ready: Value = serde_json::from_slice(&http::get(self.address, "/health/ready").await.body).unwrap();
                last = ready["connections"].as_u64().unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, settled).await;
        assert!(in_time.is_ok(), "{last} connections, not {expected}");
    }
}

/// A session with this token.
pub(crate) async fn connected(node: &TestNode, token: &str) -> Client {
    Client::connect_with(node.address, token, "1.2", "0,0").await
}

/// Settings with which a client that acknowledges nothing is soon too slow.
pub(crate) const NARROW: &str = "[server]\nmax_frame = 16384\nmax_outbox = 65536\n[session]\nwrite_timeout = \"60000ms\"\nack_window = 2\n";

/// A client that let too much wait and was ended for it, however fast it read; and whoever wrote to it.
pub(crate) async fn slow_consumer(node: &TestNode) -> (Client, Client) {
    let mut writer = Client::connect(node.address, "writer").await;
    let mut client = Client::connect(node.address, "slow").await;
    client.done(subscribe("0", "/topic/open.room").with_header("ack", "client")).await;
    for _ in 0..20 {
        writer.done(send("/topic/open.room", &"x".repeat(15_000))).await;
    }
    client.message().await;
    client.message().await;
    client.refused(Code::SlowConsumer).await;
    (writer, client)
}

/// A token for this user that is good for an hour.
pub(crate) fn token(user: &str) -> String {
    signed(&json!({ "sub": user, "exp": now_s() + 3600 }))
}

/// The same with a role.
pub(crate) fn token_with_role(user: &str, role: &str) -> String {
    signed(&json!({ "sub": user, "roles": [role], "exp": now_s() + 3600 }))
}

/// A token with an id that was issued a while ago.
pub(crate) fn token_named(user: &str, jti: &str) -> String {
    signed(&json!({ "sub": user, "jti": jti, "iat": now_s() - 60, "exp": now_s() + 3600 }))
}

/// A token with these claims, good or bad. A node must have been started before.
pub(crate) fn signed(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
