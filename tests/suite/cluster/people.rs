//! Who comes and goes beside the load: tokens, CONNECTs that may be refused, and orders to `/api`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use footfall::message::{Code, UserName};
use serde_json::{Map, Value};
use stomp_frames::Command;
use tokio::time::{Instant, interval};

use super::world::World;
use crate::support::http::{self, Answer};
use crate::support::node::now_s;
use crate::support::stomp::{Client, Heard, connect};

/// The settings beside this file have it.
const SERVICE_TOKEN: &str = "the-service-token-of-the-clusters-tests";
const TOKENS_LAST: Duration = Duration::from_hours(1);

/// What became of a CONNECT.
pub(super) enum Came {
    In,
    Refused(String),
}

impl World {
    pub(super) fn token(&self, user: &str) -> String {
        self.token_with(user, Map::new())
    }

    /// With this `jti`.
    pub(super) fn token_named(&self, user: &str, id: &str) -> String {
        self.token_with(user, Map::from_iter([("jti".to_owned(), id.into())]))
    }

    fn token_with(&self, user: &str, claims: Map<String, Value>) -> String {
        self.issuer().issue(&UserName::new(user).unwrap(), &[], claims, TOKENS_LAST, now_s()).unwrap()
    }

    /// A client on each node.
    pub(super) async fn on_each_node(&self, token: &str) -> Vec<Client> {
        let mut clients = Vec::new();
        for node in self.nodes() {
            clients.push(Client::connect_with(node, token, "1.2", "0,0").await);
        }
        clients
    }
}

pub(super) async fn order(node: SocketAddr, method: &str, path: &str) -> Answer {
    let head = format!("Host: {node}\r\nAuthorization: Bearer {SERVICE_TOKEN}\r\nContent-Length: 0");
    http::ask(node, &format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n")).await
}

/// Nobody's token that was issued up to this second counts any more; the status of the answer.
pub(super) async fn log_out(node: SocketAddr, user: &str) -> u16 {
    order(node, "POST", &format!("/api/users/{user}/logout")).await.status
}

/// On how many sockets the registry says the user is connected.
pub(super) async fn sessions(node: SocketAddr, user: &str) -> Option<usize> {
    let answer = order(node, "GET", &format!("/api/users/{user}/sessions")).await;
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    (answer.status == 200).then(|| body["sessions"].as_array().map(Vec::len))?
}

/// Tries to come in, once.
pub(super) async fn come(node: SocketAddr, token: &str) -> (Came, Duration) {
    let mut client = Client::open(node).await;
    let began = Instant::now();
    client.say(&connect(token, "1.2", "0,0")).await;
    let frame = client.frame().await;
    let took = began.elapsed();
    match frame.command {
        Command::Connected => (Came::In, took),
        Command::Error => (Came::Refused(frame.header("code").unwrap_or_default().to_owned()), took),
        _ => panic!("{frame:?}"),
    }
}

/// Tries until it is let in; how long that took.
pub(super) async fn until_in(node: SocketAddr, token: &str, within: Duration) -> Duration {
    let began = Instant::now();
    let mut tries = interval(Duration::from_millis(50));
    loop {
        tries.tick().await;
        let Came::Refused(code) = come(node, token).await.0 else { return began.elapsed() };
        assert_eq!(code, Code::RegistryUnavailable.as_str());
        assert!(began.elapsed() < within, "nobody was let in within {within:?}");
    }
}

/// Waits for ERROR with this code and the close that goes with it, past whatever comes before.
pub(super) async fn put_out(client: &mut Client, code: Code) -> Instant {
    let mut told = false;
    loop {
        match client.hear().await {
            Heard::Frame(frame) if frame.command == Command::Error => {
                assert_eq!(frame.header("code"), Some(code.as_str()), "{frame:?}");
                told = true;
            }
            Heard::Close(close) => {
                assert!(told && close == Some(code.close().code()), "closed with {close:?}");
                return Instant::now();
            }
            Heard::End => panic!("the connection ended without a word"),
            Heard::Frame(_) | Heard::Beat => {}
        }
    }
}

/// How often each answer was given.
pub(super) fn counted(answers: impl IntoIterator<Item = Came>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        let name = match answer {
            Came::In => "in".to_owned(),
            Came::Refused(code) => code,
        };
        *counted.entry(name).or_default() += 1;
    }
    counted
}
