//! A sender never gives up what was not receipted (or now and then does, for good): whatever a connection left open
//! goes out again on the next one, under the same `idempotency-key`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::{Destination, UserName, keyed_id};
use stomp_frames::{Command, Frame};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use uuid::Uuid;

use super::Stage;
use super::calling::Calling;
use super::client::{Client, Gone};
use super::journal::{Name, What};

/// SENDs of one connection without a receipt; less than a session may have in flight.
const WINDOW: usize = 48;
/// Five times what a SEND may take to end in RECEIPT or ERROR (G2); who waits longer waits for something that won't come.
const OVERDUE: Duration = Duration::from_secs(45);

/// How fast a sender makes messages; never more than its window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As many as find room in the window.
    Flood,
    /// One in this time.
    Every(Duration),
}

pub(crate) struct Sender {
    pub(crate) user: UserName,
    pub(crate) calling: Calling,
    pub(crate) destinations: Arc<[Destination]>,
    pub(crate) names: Arc<[Name]>,
    pub(crate) pace: Pace,
    /// Once in so many messages that a lost connection left open, its user closes the tab instead of sending again.
    pub(crate) gives_up_once_in: Option<u64>,
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) made: u64,
}

pub(crate) struct Pending {
    id: Uuid,
    key: String,
    destination: usize,
    /// When it went out on this connection.
    sent: Option<Instant>,
}

impl Sender {
    /// Sends until the stage says to finish, and then until everything that was not given up has its receipt.
    pub(crate) async fn run(mut self) {
        let mut ticks = match self.pace {
            Pace::Flood => None,
            Pace::Every(time) => Some(interval(time)),
        };
        if let Some(ticks) = &mut ticks {
            // What could not be made while no node answered is not made up for: the rate is at most what it says.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        }
        while self.is_running() || !self.pending.is_empty() {
            let client = self.calling.connect().await;
            let Err(gone) = self.serve(client, &mut ticks).await;
            self.calling.ended(&gone).await;
            if let Some(times) = self.gives_up_once_in.filter(|_| self.is_running()) {
                self.pending.retain(|_| !self.calling.random.once_in(times));
            }
            for pending in &mut self.pending {
                pending.sent = None;
            }
        }
    }

    fn is_running(&self) -> bool {
        *self.stage.borrow() == Stage::Running
    }

    async fn serve(&mut self, mut client: Client, ticks: &mut Option<Interval>) -> Result<Infallible, Gone> {
        loop {
            while self.pace == Pace::Flood && self.is_running() && self.pending.len() < WINDOW {
                self.make();
            }
            self.send_what_is_open(&mut client).await?;
            let oldest = self.pending.front().and_then(|pending| pending.sent);
            let (running, room) = (self.is_running(), self.pending.len() < WINDOW);
            if !running && oldest.is_none() {
                return Err(Gone::Done);
            }
            tokio::select! {
                frame = client.receive() => self.answered(&frame?)?,
                () = tick(ticks), if running && room => self.make(),
                _ = self.stage.changed(), if running => {}
                () = sleep_until(oldest.unwrap_or_else(Instant::now) + OVERDUE), if oldest.is_some() => {
                    self.calling.journal.surprise(format!("no answer to a SEND for {OVERDUE:?}"));
                    return Err(Gone::Silent(OVERDUE));
                }
            }
        }
    }

    async fn send_what_is_open(&mut self, client: &mut Client) -> Result<(), Gone> {
        let mut frames = Vec::new();
        for pending in self.pending.iter_mut().filter(|pending| pending.sent.is_none()) {
            pending.sent = Some(Instant::now());
            // Before it goes out: whatever is delivered later was sent.
            self.calling.journal.write(What::Sent { destination: self.names[pending.destination].clone(), id: pending.id });
            frames.push(frame(pending, &self.destinations[pending.destination]));
        }
        if frames.is_empty() { Ok(()) } else { client.send(&frames).await }
    }

    fn make(&mut self) {
        let destination = self.calling.random.index(self.destinations.len());
        let key = format!("{}-{}", self.user.as_str(), self.made);
        self.made += 1;
        let id = keyed_id(&self.user, &self.destinations[destination], &key);
        self.pending.push_back(Pending { id, key, destination, sent: None });
    }

    fn answered(&mut self, frame: &Frame) -> Result<(), Gone> {
        let receipt = frame.header("receipt-id");
        let place = receipt.and_then(|receipt| self.pending.iter().position(|pending| pending.key == receipt));
        match (frame.command, place) {
            (Command::Receipt, Some(place)) => {
                let done = self.pending.remove(place).expect("at its place");
                self.calling.journal.write(What::Receipted { id: done.id });
                self.calling.served();
                Ok(())
            }
            (Command::Error, _) => {
                self.calling.error(frame, place.map(|place| self.pending[place].id));
                Err(Gone::Closed(frame.header("code").unwrap_or_default().to_owned()))
            }
            _ => {
                self.calling.journal.surprise(format!("{frame:?}"));
                Err(Gone::Garbled(format!("{:?} was not asked for", frame.command)))
            }
        }
    }
}

fn frame(pending: &Pending, destination: &Destination) -> Frame {
    Frame::new(Command::Send)
        .with_header("destination", destination.as_str().to_owned())
        .with_header("idempotency-key", pending.key.clone())
        .with_header("receipt", pending.key.clone())
        .with_body(pending.key.clone())
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
