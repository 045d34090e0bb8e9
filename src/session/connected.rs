//! The frames of a connected client: each legal one becomes a request, an answer, or both.

use std::sync::Arc;

use bytes::Bytes;
use stomp_frames::{Command, Frame, FrameWriter, Text, Version};

use super::acknowledgement::{AckId, Named};
use super::delivery::notice;
use super::error::ProtocolError;
use super::receipts::{Answer, Asked, Open};
use super::request::{Refresh, Request, Send, Subscribe, short};
use super::settings::SessionSettings;
use super::subscriptions::{Added, Released, Subscriptions};
use super::{Effect, Effects};
use crate::message::{Message, Outcome, Refusal, SubscribeTo, Tag, Ticket};

#[derive(Debug)]
pub(super) struct Connected {
    pub(super) version: Version,
    pub(super) open: Open,
    pub(super) subscriptions: Subscriptions,
    /// Deliveries that NACK answered.
    pub(super) nacks: u64,
    notices: u64,
}

/// What a frame leads to, besides its effects.
pub(super) enum Next {
    Stay,
    Disconnect(Option<Text>),
}

/// A refusal that must end the session, with the receipt it answers.
pub(super) struct Fatal {
    pub(super) refusal: Refusal,
    pub(super) receipt: Option<Text>,
}

impl Connected {
    pub(super) fn new(version: Version) -> Self {
        Self { version, open: Open::default(), subscriptions: Subscriptions::default(), nacks: 0, notices: 0 }
    }

    pub(super) fn receive(&mut self, frame: &Frame, settings: &SessionSettings, effects: &mut Effects) -> Result<Next, ProtocolError> {
        self.check(frame)?;
        let receipt = short(frame, "receipt", settings)?;
        match frame.command {
            Command::Send => self.send(frame, receipt, settings, effects)?,
            Command::Subscribe => self.subscribe(frame, receipt, settings, effects)?,
            Command::Unsubscribe => self.unsubscribe(frame, receipt, effects)?,
            Command::Ack | Command::Nack => self.answer(frame, receipt, settings, effects)?,
            Command::Disconnect => return Ok(Next::Disconnect(receipt)),
            // `check` has named the better reason already.
            _ => return Err(ProtocolError::UnexpectedCommand(frame.command)),
        }
        Ok(Next::Stay)
    }

    /// What all commands have in common: the version knows them, and their headers are there.
    fn check(&self, frame: &Frame) -> Result<(), ProtocolError> {
        let command = frame.command;
        if matches!(command, Command::Connect | Command::Stomp) {
            return Err(ProtocolError::AlreadyConnected);
        }
        if !command.is_client() {
            return Err(ProtocolError::UnexpectedCommand(command));
        }
        if command.since() > self.version {
            return Err(ProtocolError::UnknownCommand(command, self.version));
        }
        let in_transaction = matches!(command, Command::Send | Command::Ack | Command::Nack) && frame.header("transaction").is_some();
        if in_transaction || matches!(command, Command::Begin | Command::Commit | Command::Abort) {
            return Err(ProtocolError::TransactionsUnsupported);
        }
        match command.required_headers(self.version).iter().find(|name| frame.header(name).is_none()) {
            Some(missing) => Err(ProtocolError::MissingHeader(command, missing)),
            None => Ok(()),
        }
    }

    fn send(
        &mut self,
        frame: &Frame,
        receipt: Option<Text>,
        settings: &SessionSettings,
        effects: &mut Effects,
    ) -> Result<(), ProtocolError> {
        if let Some(refresh) = Refresh::read(frame) {
            let ticket = self.open.send(receipt, refresh.size());
            effects.push(Effect::Ask(Request::Refresh(ticket, refresh)));
            return Ok(());
        }
        let send = Send::read(frame, settings)?;
        let ticket = self.open.send(receipt, send.size());
        effects.push(Effect::Ask(Request::Send(ticket, send)));
        Ok(())
    }

    fn subscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<Text>,
        settings: &SessionSettings,
        effects: &mut Effects,
    ) -> Result<(), ProtocolError> {
        let subscribe = Subscribe::read(frame, self.version, settings)?;
        match self.subscriptions.add(&subscribe.to, &subscribe.tag, settings.max_subscriptions)? {
            Added::New => {
                let ticket = self.open.other(Asked::Subscribe(Arc::clone(&subscribe.tag)), receipt);
                effects.push(Effect::Ask(Request::Subscribe(ticket, subscribe)));
            }
            // Its receipt says that the subscription is live, so it may have to wait until that is true.
            Added::Known(tag) => {
                if let Some(receipt) = receipt.and_then(|receipt| self.open.join(&tag, receipt)) {
                    effects.push(Effect::Write(self.receipt(&receipt, &Outcome::Done)));
                }
            }
        }
        Ok(())
    }

    /// A subscription that is not there is as gone as the client wants it: its RECEIPT comes, and no error. Clients
    /// unsubscribe from what was refused or ended under them, and Spring lets them.
    fn unsubscribe(&mut self, frame: &Frame, receipt: Option<Text>, effects: &mut Effects) -> Result<(), ProtocolError> {
        let id = match (frame.header("id"), frame.header("destination")) {
            (Some(id), _) => Some(Box::from(id)),
            // STOMP 1.0: "It requires either a destination header or an id header".
            (None, Some(destination)) => self.subscriptions.id_of(&SubscribeTo::parse(destination)?),
            (None, None) => return Err(ProtocolError::MissingHeader(frame.command, "id")),
        };
        match id.and_then(|id| self.subscriptions.remove(&id)) {
            Some(tag) => {
                let ticket = self.open.other(Asked::Unsubscribe, receipt);
                effects.push(Effect::Ask(Request::Unsubscribe(ticket, tag)));
            }
            None => self.acknowledge(receipt, effects),
        }
        Ok(())
    }

    fn answer(
        &mut self,
        frame: &Frame,
        receipt: Option<Text>,
        settings: &SessionSettings,
        effects: &mut Effects,
    ) -> Result<(), ProtocolError> {
        let Released { answered, due } = self.subscriptions.answer(&Named::read(frame, self.version)?, settings.ack_window)?;
        if frame.command == Command::Nack {
            self.nacks += answered;
        }
        self.acknowledge(receipt, effects);
        effects.extend(due.into_iter().map(|(message, tag, id)| Effect::Deliver(message, tag, id)));
        Ok(())
    }

    /// Notes an outcome and tells all whose turn has come; stops at the first that ends the session.
    pub(super) fn resolve(&mut self, ticket: Ticket, outcome: Outcome, session: &str, effects: &mut Effects) -> Result<(), Fatal> {
        if let Some(answer) = self.open.resolve(ticket, outcome) {
            self.tell(answer, session, effects)?;
        }
        while let Some(answer) = self.open.next() {
            self.tell(answer, session, effects)?;
        }
        Ok(())
    }

    fn tell(&mut self, answer: Answer, session: &str, effects: &mut Effects) -> Result<(), Fatal> {
        let Answer { asked, receipts, outcome } = answer;
        let Outcome::Refused(refusal) = outcome else {
            if let Asked::Subscribe(tag) = &asked {
                self.subscriptions.granted(tag);
            }
            effects.extend(receipts.iter().map(|receipt| Effect::Write(self.receipt(receipt, &outcome))));
            return Ok(());
        };
        if let Asked::Subscribe(tag) = &asked {
            self.subscriptions.refused(tag);
        }
        // Without a receipt it is told all the same, once.
        let receipts = if receipts.is_empty() { vec![None] } else { receipts.into_iter().map(Some).collect() };
        for receipt in receipts {
            let Some((tag, ack)) = self.errors(&refusal) else { return Err(Fatal { refusal, receipt }) };
            self.notices += 1;
            let frame = notice(&refusal, receipt.as_deref(), (&tag, ack), (session, self.notices), self.version);
            effects.push(Effect::Telling(refusal.code));
            effects.push(Effect::Write(frame));
        }
        Ok(())
    }

    /// A subscription that was granted may not stay: it ends, and the client is told.
    pub(super) fn withdraw(&mut self, tag: &Arc<Tag>, refusal: Refusal, session: &str, effects: &mut Effects) -> Result<(), Fatal> {
        if !self.subscriptions.withdraw(tag) {
            return Ok(());
        }
        let Some((errors, ack)) = self.errors(&refusal) else { return Err(Fatal { refusal, receipt: None }) };
        effects.push(Effect::Telling(refusal.code));
        self.notices += 1;
        effects.push(Effect::Write(notice(&refusal, None, (&errors, ack), (session, self.notices), self.version)));
        Ok(())
    }

    fn errors(&mut self, refusal: &Refusal) -> Option<(Arc<Tag>, Option<AckId>)> {
        if refusal.notify { self.subscriptions.errors() } else { None }
    }

    fn acknowledge(&self, receipt: Option<Text>, effects: &mut Effects) {
        effects.extend(receipt.map(|receipt| Effect::Write(self.receipt(&receipt, &Outcome::Done))));
    }

    pub(super) fn receipt(&self, receipt: &str, outcome: &Outcome) -> Bytes {
        let mut writer = FrameWriter::new(Command::Receipt, self.version);
        writer.header("receipt-id", receipt);
        if let Outcome::Subscribed { position, recovered } = outcome {
            if let Some(position) = position {
                writer.header("position", &position.to_string());
            }
            if let Some(recovered) = recovered {
                writer.header("recovered", if *recovered { "true" } else { "false" });
            }
        }
        writer.finish(&[])
    }

    pub(super) fn track(&mut self, message: &Arc<Message>, tag: &Arc<Tag>, settings: &SessionSettings) -> Option<AckId> {
        self.subscriptions.track(message, tag, settings.ack_window)
    }
}
