//! A subscriber reads one destination, and comes back with its last position whenever a connection ends.

use std::convert::Infallible;

use footfall::message::{Destination, Position};
use stomp_frames::{Command, Frame};
use tokio::sync::watch;
use uuid::Uuid;

use super::calling::Calling;
use super::client::{Client, Gone};
use super::journal::{Name, What};
use super::{Heads, Live};

pub(crate) struct Subscriber {
    pub(crate) calling: Calling,
    pub(crate) destination: Destination,
    pub(crate) name: Name,
    /// The last position of each destination, once that is known.
    pub(crate) heads: watch::Receiver<Option<Heads>>,
    pub(crate) live: Live,
    pub(crate) last: Option<Position>,
}

impl Subscriber {
    /// Reads until it has everything up to the head.
    pub(crate) async fn run(mut self) {
        while !self.has_all() {
            let client = self.calling.connect().await;
            let Err(gone) = self.read(client).await;
            self.calling.ended(&gone).await;
        }
    }

    fn has_all(&self) -> bool {
        let heads = self.heads.borrow();
        let (Some(heads), Some(last)) = (&*heads, self.last) else { return false };
        heads.get(self.destination.as_str()).is_none_or(|head| last.epoch == head.epoch && last.sequence >= head.sequence)
    }

    async fn read(&mut self, mut client: Client) -> Result<Infallible, Gone> {
        let after = self.last;
        let subscribe = Frame::new(Command::Subscribe)
            .with_header("id", "0")
            .with_header("destination", self.destination.as_str().to_owned())
            .with_header("receipt", "subscribed");
        let subscribe = match after {
            Some(position) => subscribe.with_header("after", position.to_string()),
            None => subscribe,
        };
        client.send(&[subscribe]).await?;
        while !self.has_all() {
            let frame = tokio::select! {
                frame = client.receive() => frame?,
                changed = self.heads.changed() => {
                    changed.map_err(|_| Gone::Done)?;
                    continue;
                }
            };
            match frame.command {
                Command::Message => self.received(&frame)?,
                Command::Receipt => self.subscribed(&frame, after)?,
                Command::Error => {
                    self.calling.error(&frame, None);
                    return Err(Gone::Closed(frame.header("code").unwrap_or_default().to_owned()));
                }
                other => return Err(self.garbled(&format!("{other:?} came: {frame:?}"))),
            }
        }
        Err(Gone::Done)
    }

    fn subscribed(&mut self, frame: &Frame, after: Option<Position>) -> Result<(), Gone> {
        let recovered = frame.header("recovered").map(|recovered| recovered == "true");
        let position = frame.header("position").map(str::parse::<Position>);
        let position = match position {
            Some(Ok(position)) => position,
            // Without one the store could not say where the destination stands: come back and ask again.
            None => return Err(Gone::Closed("no position".to_owned())),
            Some(Err(bad)) => return Err(self.garbled(&format!("{bad} {frame:?}"))),
        };
        self.calling.journal.write(What::Subscribed { destination: self.name.clone(), after, recovered, position });
        // The receipt of a resume comes after what was missed, so the last position is known already.
        if recovered != Some(true) {
            self.last = Some(position);
        }
        self.calling.served();
        self.live.one_more();
        Ok(())
    }

    fn received(&mut self, frame: &Frame) -> Result<(), Gone> {
        let position = frame.header("position").and_then(|position| position.parse::<Position>().ok());
        let id = frame.header("message-id").and_then(|id| id.parse::<Uuid>().ok());
        let (Some(position), Some(id)) = (position, id) else { return Err(self.garbled(&format!("{frame:?}"))) };
        let destination = frame.header("destination").unwrap_or_default();
        let destination = if *destination == *self.name { self.name.clone() } else { destination.into() };
        self.calling.journal.write(What::Received { destination, position, id });
        self.last = Some(position);
        Ok(())
    }

    fn garbled(&self, what: &str) -> Gone {
        self.calling.journal.surprise(what.to_owned());
        Gone::Garbled(what.to_owned())
    }
}
