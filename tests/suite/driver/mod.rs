//! Clients by the hundred, on whichever node answers, and each writes a journal for [`crate::checker`]. Knows nothing of
//! what is done to the nodes meanwhile.

mod calling;
mod client;
mod journal;
mod manner;
mod sender;
mod subscriber;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use footfall::auth::Issuer;
use footfall::message::{Destination, Position, UserName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};

pub(crate) use self::calling::Calling;
pub(crate) use self::journal::{Entry, Journal, Log, Name, What};
pub(crate) use self::manner::Manner;
pub(crate) use self::sender::Pace;
use self::sender::Sender;
use self::subscriber::Subscriber;
use crate::support::random::Random;

/// How a sender's name begins, and its log's.
pub(crate) const SENDER: &str = "sender-";

/// How far the run is, for senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Nothing new is sent; what is open is finished.
    Finishing,
}

/// The last position of each destination that has one.
pub(crate) type Heads = Arc<BTreeMap<String, Position>>;

/// How often a SUBSCRIBE was answered.
#[derive(Debug, Clone)]
struct Live(watch::Sender<usize>);

impl Live {
    fn one_more(&self) {
        self.0.send_modify(|live| *live += 1);
    }
}

/// All clients of one run.
pub(crate) struct Crowd {
    issuer: Issuer,
    destinations: Arc<[Destination]>,
    names: Arc<[Name]>,
    manner: Manner,
    began: Instant,
    random: Random,
    stage: watch::Sender<Stage>,
    heads: watch::Sender<Option<Heads>>,
    live: Live,
    senders: Vec<Running>,
    subscribers: Vec<Running>,
    /// Of those who write for themselves.
    others: Vec<Journal>,
}

/// One client, and what it has written.
struct Running {
    client: JoinHandle<()>,
    journal: Journal,
}

/// Senders, and what they do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) senders: usize,
    /// Of each.
    pub(crate) pace: Pace,
    /// Once in so many messages that a lost connection left open, the sender closes its tab instead of sending again.
    pub(crate) gives_up_once_in: Option<u64>,
}

impl Crowd {
    /// Nobody yet; tokens are this issuer's.
    pub(crate) fn new(issuer: Issuer, destinations: &[Destination], random: Random, manner: Manner) -> Self {
        Self {
            issuer,
            destinations: destinations.into(),
            names: destinations.iter().map(|destination| destination.as_str().into()).collect(),
            manner,
            began: Instant::now(),
            random,
            stage: watch::Sender::new(Stage::Running),
            heads: watch::Sender::new(None),
            live: Live(watch::Sender::new(0)),
            senders: Vec::new(),
            subscribers: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Since the run began, as the journals have it.
    pub(crate) fn clock(&self) -> Duration {
        self.began.elapsed()
    }

    /// A journal for a client of another kind, to be judged with the others.
    pub(crate) fn journal(&mut self, client: &str) -> Journal {
        let journal = Journal::new(client.to_owned(), self.began);
        self.others.push(journal.clone());
        journal
    }

    /// More senders, over these nodes and all destinations.
    pub(crate) fn send(&mut self, nodes: &[SocketAddr], sending: Sending) {
        for number in self.senders.len()..self.senders.len() + sending.senders {
            let (user, calling) = self.calling(&format!("{SENDER}{number}"), nodes, number);
            let journal = calling.journal.clone();
            let sender = Sender {
                user,
                calling,
                destinations: self.destinations.clone(),
                names: self.names.clone(),
                pace: sending.pace,
                gives_up_once_in: sending.gives_up_once_in,
                stage: self.stage.subscribe(),
                pending: VecDeque::new(),
                made: 0,
            };
            self.senders.push(Running { client: spawn(sender.run()), journal });
        }
    }

    /// More subscribers, spread over these nodes and all destinations.
    pub(crate) fn subscribe(&mut self, nodes: &[SocketAddr], subscribers: usize) {
        for number in self.subscribers.len()..self.subscribers.len() + subscribers {
            let place = number % self.destinations.len();
            // By rounds of the destinations, so that each of them has its subscribers on several nodes.
            let node = number / self.destinations.len() + number;
            self.subscriber(nodes, node, self.destinations[place].clone(), self.names[place].clone());
        }
    }

    /// Subscribers of a destination that no sender knows, one after another over these nodes.
    pub(crate) fn subscribe_to(&mut self, destination: &Destination, nodes: &[SocketAddr], subscribers: usize) {
        let name: Name = destination.as_str().into();
        for node in 0..subscribers {
            self.subscriber(nodes, node, destination.clone(), name.clone());
        }
    }

    fn subscriber(&mut self, nodes: &[SocketAddr], node: usize, destination: Destination, name: Name) {
        let (_, calling) = self.calling(&format!("subscriber-{}", self.subscribers.len()), nodes, node);
        let journal = calling.journal.clone();
        let subscriber = Subscriber { calling, destination, name, heads: self.heads.subscribe(), live: self.live.clone(), last: None };
        self.subscribers.push(Running { client: spawn(subscriber.run()), journal });
    }

    fn calling(&mut self, user: &str, nodes: &[SocketAddr], node: usize) -> (UserName, Calling) {
        let now_s = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let journal = Journal::new(user.to_owned(), self.began);
        let user = UserName::new(user).unwrap();
        let token = self.issuer.issue(&user, &[], serde_json::Map::new(), Duration::from_hours(24), now_s).unwrap();
        (user, Calling::new(nodes.into(), node, token, journal, self.random.split(), self.manner))
    }

    /// How often a SUBSCRIBE was answered so far.
    pub(crate) fn answered(&self) -> usize {
        *self.live.0.borrow()
    }

    /// Waits until SUBSCRIBEs were answered so often.
    pub(crate) async fn until_answered(&self, times: usize, within: Duration) {
        let mut live = self.live.0.subscribe();
        let answered = timeout(within, live.wait_for(|live| *live >= times)).await.is_ok();
        assert!(answered, "{} of {times} SUBSCRIBEs were answered within {within:?}", self.answered());
    }

    /// No sender makes a new message, and each sends until all it has is receipted. Who did not get there in time is
    /// written down.
    pub(crate) async fn finish_sending(&mut self, within: Duration) {
        self.stage.send_replace(Stage::Finishing);
        finish(&mut self.senders, within).await;
    }

    /// Subscribers read up to these heads. Who did not get there in time is written down. Answers all journals.
    pub(crate) async fn finish_reading(mut self, heads: Heads, within: Duration) -> Vec<Log> {
        self.heads.send_replace(Some(heads));
        finish(&mut self.subscribers, within).await;
        let clients = self.senders.iter().chain(&self.subscribers).map(|running| &running.journal);
        clients.chain(&self.others).map(Journal::take).collect()
    }
}

async fn finish(clients: &mut [Running], within: Duration) {
    let end = tokio::time::Instant::now() + within;
    for Running { client, journal } in clients {
        if let Ok(ended) = timeout_at(end, &mut *client).await {
            ended.unwrap();
        } else {
            client.abort();
            journal.surprise(format!("it was not done within {within:?}"));
        }
    }
}

impl Drop for Running {
    /// A test that panics leaves no client behind.
    fn drop(&mut self) {
        self.client.abort();
    }
}

fn spawn(client: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[expect(clippy::disallowed_methods, reason = "clients of a test, which ends them")]
    tokio::spawn(client)
}
