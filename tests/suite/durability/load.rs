//! Senders that never give up what was not receipted (or now and then do, for good), and subscribers that come back
//! with their last position. Each writes its log for the checker.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use footfall::message::{Close, Code, Destination, Position, UserName, keyed_id};
use stomp_frames::{Command, Frame};
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use super::checker::{Row, Sent, Subscriber};
use super::client::Client;
use super::random::Random;

/// SENDs of one connection without a receipt; less than a session may have in flight.
const WINDOW: usize = 48;
/// Between attempts to connect while the node is dead.
const AGAIN: Duration = Duration::from_millis(10);

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// Nothing new is sent; what is open is finished.
    Finishing,
}

/// What a sender leaves behind.
#[derive(Debug, Default)]
pub(crate) struct SenderLog {
    pub(crate) sent: Vec<(Uuid, Sent)>,
    pub(crate) receipts: Vec<Vec<Uuid>>,
}

/// What a subscriber leaves behind, and anything but a clean resume.
#[derive(Debug, Default)]
pub(crate) struct SubscriberLog {
    pub(crate) subscriber: Subscriber,
    pub(crate) resumed: usize,
    pub(crate) surprises: Vec<String>,
}

struct Pending {
    id: Uuid,
    key: String,
    room: usize,
    /// Whether it went out on this connection.
    sent: bool,
}

pub(crate) struct Sender {
    pub(crate) user: UserName,
    pub(crate) address: SocketAddr,
    pub(crate) rooms: Vec<Destination>,
    pub(crate) random: Random,
    pub(crate) stage: watch::Receiver<Stage>,
}

impl Sender {
    /// Sends until the stage says to finish, and then until everything that was not given up has its receipt.
    pub(crate) async fn run(mut self) -> SenderLog {
        let mut log = SenderLog::default();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        let mut number = 0_u64;
        loop {
            if *self.stage.borrow() == Stage::Finishing && pending.is_empty() {
                return log;
            }
            let Ok(client) = Client::connect(self.address, &self.user).await else {
                sleep(AGAIN).await;
                continue;
            };
            // Whatever comes of it: the connection is over, and what it left open is sent again on the next one.
            let _ended = self.serve(client, &mut pending, &mut number, &mut log).await;
            // Some clients close their tab instead.
            pending.retain(|_| !self.random.once_in(40));
            for pending in &mut pending {
                pending.sent = false;
            }
        }
    }

    async fn serve(
        &mut self,
        mut client: Client,
        pending: &mut VecDeque<Pending>,
        number: &mut u64,
        log: &mut SenderLog,
    ) -> std::io::Result<()> {
        log.receipts.push(Vec::new());
        loop {
            let finishing = *self.stage.borrow() == Stage::Finishing;
            while !finishing && pending.len() < WINDOW {
                let room = self.random.index(self.rooms.len());
                let key = format!("{}-{number}", self.user.as_str());
                *number += 1;
                let id = keyed_id(&self.user, &self.rooms[room], &key);
                // Before it goes out: whatever is delivered later was sent.
                log.sent.push((id, Sent { destination: self.rooms[room].as_str().to_owned(), receipted: false }));
                pending.push_back(Pending { id, key, room, sent: false });
            }
            if pending.is_empty() {
                return Ok(());
            }
            let frames: Vec<_> = pending.iter().filter(|pending| !pending.sent).map(|pending| self.frame(pending)).collect();
            for pending in pending.iter_mut() {
                pending.sent = true;
            }
            client.send(&frames).await?;
            let frame = client.receive().await?;
            if frame.command != Command::Receipt {
                return Ok(());
            }
            let receipt = frame.header("receipt-id").unwrap_or_default();
            let place = pending.iter().position(|pending| pending.key == receipt).expect("a receipt that was asked for");
            let done = pending.remove(place).expect("at its place");
            log.receipts.last_mut().expect("a connection").push(done.id);
            // Searched from the end, where it is.
            if let Some((_, sent)) = log.sent.iter_mut().rev().find(|(id, _)| *id == done.id) {
                sent.receipted = true;
            }
        }
    }

    fn frame(&self, pending: &Pending) -> Frame {
        Frame::new(Command::Send)
            .with_header("destination", self.rooms[pending.room].as_str().to_owned())
            .with_header("idempotency-key", pending.key.clone())
            .with_header("receipt", pending.key.clone())
            .with_body(pending.key.clone())
    }
}

pub(crate) struct Reader {
    pub(crate) user: UserName,
    pub(crate) address: SocketAddr,
    pub(crate) room: Destination,
    /// The sequence at which this reader has all, once that is known.
    pub(crate) head: watch::Receiver<Option<u64>>,
}

impl Reader {
    /// Reads until it has everything up to the head.
    pub(crate) async fn run(mut self) -> SubscriberLog {
        let mut log = SubscriberLog::default();
        log.subscriber.destination = self.room.as_str().to_owned();
        let mut last: Option<Position> = None;
        while !self.has_all(last) {
            let Ok(client) = Client::connect(self.address, &self.user).await else {
                sleep(AGAIN).await;
                continue;
            };
            let _ended = self.read(client, &mut last, &mut log).await;
        }
        log
    }

    fn has_all(&self, last: Option<Position>) -> bool {
        self.head.borrow().is_some_and(|head| last.is_some_and(|last| last.sequence >= head))
    }

    async fn read(&mut self, mut client: Client, last: &mut Option<Position>, log: &mut SubscriberLog) -> std::io::Result<()> {
        let resumes = last.is_some();
        let subscribe = Frame::new(Command::Subscribe)
            .with_header("id", "0")
            .with_header("destination", self.room.as_str().to_owned())
            .with_header("receipt", "subscribed");
        let subscribe = match last {
            Some(position) => subscribe.with_header("after", position.to_string()),
            None => subscribe,
        };
        client.send(&[subscribe]).await?;
        while !self.has_all(*last) {
            let frame = tokio::select! {
                frame = client.receive() => frame?,
                changed = self.head.changed() => {
                    changed.map_err(std::io::Error::other)?;
                    continue;
                }
            };
            match frame.command {
                Command::Message => {
                    let position: Position = frame.header("position").unwrap_or_default().parse().expect("a position");
                    let id: Uuid = frame.header("message-id").unwrap_or_default().parse().expect("an id");
                    if last.is_some_and(|last| last.epoch != position.epoch) {
                        log.surprises.push(format!("{position} came after {last:?}"));
                    }
                    *last = Some(position);
                    log.subscriber.got.push(Row { sequence: position.sequence, id });
                }
                Command::Receipt if resumes => {
                    log.resumed += 1;
                    if frame.header("recovered") != Some("true") {
                        log.surprises.push(format!("{frame:?} for a resume after {last:?}"));
                    }
                }
                Command::Receipt => {
                    // Without one the store could not say where the room stands: come back and ask again.
                    let Some(Ok(position)) = frame.header("position").map(str::parse::<Position>) else { return Ok(()) };
                    log.subscriber.start = position.sequence;
                    *last = Some(position);
                }
                Command::Error if is_to_come_back(&frame) => return Ok(()),
                _ => {
                    log.surprises.push(format!("{frame:?}"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A busy machine may make a reader slow or the store late; then the broker says so, and the checker finds every hole.
fn is_to_come_back(error: &Frame) -> bool {
    let code = error.header("code").unwrap_or_default();
    Code::ALL.iter().any(|known| known.as_str() == code && known.close() == Close::Reconnect)
}
