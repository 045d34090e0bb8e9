//! ACK and NACK: which deliveries of a subscription are unanswered, and what waits until some are.
//!
//! Nothing is delivered again here: an answer only makes room for the next delivery.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use stomp_frames::{Frame, Version, ack_header};
use uuid::Uuid;

use super::error::ProtocolError;
use crate::message::{AckMode, Message};

/// Names one delivery of a session: which of its subscriptions, in the order they were made, and which of that one's
/// deliveries. Two counters are enough to tell an id that was answered before from one that was never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckId {
    pub(super) serial: u64,
    pub(super) number: u64,
}

impl AckId {
    /// The line of MESSAGE that a client answers with, to be written between the subscription's head and the rest.
    /// Empty in 1.0 and 1.1, whose clients answer with the message id.
    pub fn line(self, version: Version) -> Bytes {
        match version {
            Version::V1_0 | Version::V1_1 => Bytes::new(),
            Version::V1_2 => ack_header(&self.to_string(), version),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (serial, number) = text.split_once('-')?;
        let id = Self { serial: serial.parse().ok()?, number: number.parse().ok()? };
        // Only the one spelling that was sent: no signs, no leading zeros.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for AckId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.serial, self.number)
    }
}

/// What an ACK or NACK frame names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// STOMP 1.2: `id`.
    Delivery(AckId),
    /// STOMP 1.0 and 1.1: `message-id`; the subscription always in 1.1, perhaps in 1.0.
    Message(Uuid, Option<&'a str>),
}

impl<'a> Named<'a> {
    /// Required headers are there already.
    ///
    /// In 1.0 and 1.1 a message id says nothing of the session that got it, so every id that has the form of ours is
    /// taken for one that was answered before; only other texts are unknown.
    pub(super) fn read(frame: &'a Frame, version: Version) -> Result<Self, ProtocolError> {
        let named = if version == Version::V1_2 {
            frame.header("id").and_then(AckId::parse).map(Self::Delivery)
        } else {
            let id = frame.header("message-id").and_then(|id| Uuid::try_parse(id).ok());
            id.map(|id| Self::Message(id, frame.header("subscription")))
        };
        named.ok_or(ProtocolError::UnknownAck)
    }
}

/// The unanswered deliveries of one subscription.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The number of the newest delivery.
    issued: u64,
    unanswered: VecDeque<(u64, Uuid)>,
    /// What found the window full, oldest first.
    held: VecDeque<Arc<Message>>,
    held_bytes: usize,
}

impl Window {
    /// Numbers a delivery, or holds it back if `limit` are unanswered. Order is kept, since every answer is followed
    /// by [`Self::refill`], so that nothing is held while there is room.
    pub(super) fn track(&mut self, message: &Arc<Message>, limit: usize) -> Option<u64> {
        if self.unanswered.len() >= limit {
            self.held_bytes += message.size();
            self.held.push_back(Arc::clone(message));
            return None;
        }
        Some(self.number(message.id))
    }

    /// A number for something that is small and must not wait; its ACK will be one that needs no room.
    pub(super) fn untracked(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// How many deliveries this answers; 0 if they were answered before.
    pub(super) fn answer(&mut self, number: u64, mode: AckMode) -> Result<u64, ProtocolError> {
        if number == 0 || number > self.issued {
            return Err(ProtocolError::UnknownAck);
        }
        let before = self.unanswered.partition_point(|(known, _)| *known < number);
        let is_there = self.unanswered.get(before).is_some_and(|(known, _)| *known == number);
        let through = before + usize::from(is_there);
        Ok(self.forget(if mode == AckMode::Client { 0..through } else { before..through }))
    }

    /// The same by the message's id. None if it is not among the unanswered.
    pub(super) fn answer_message(&mut self, id: Uuid, mode: AckMode) -> Option<u64> {
        let found = self.unanswered.iter().position(|(_, known)| *known == id)?;
        Some(self.forget(if mode == AckMode::Client { 0..found + 1 } else { found..found + 1 }))
    }

    /// What was held and now finds room, with its number.
    pub(super) fn refill(&mut self, limit: usize) -> Vec<(Arc<Message>, u64)> {
        let room = limit.saturating_sub(self.unanswered.len()).min(self.held.len());
        let due: Vec<_> = self.held.drain(..room).collect();
        due.into_iter()
            .map(|message| {
                self.held_bytes -= message.size();
                let number = self.number(message.id);
                (message, number)
            })
            .collect()
    }

    fn number(&mut self, id: Uuid) -> u64 {
        self.issued += 1;
        self.unanswered.push_back((self.issued, id));
        self.issued
    }

    fn forget(&mut self, range: std::ops::Range<usize>) -> u64 {
        self.unanswered.drain(range).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_id_has_one_spelling() {
        let id = AckId { serial: 3, number: 17 };
        assert_eq!(id.to_string(), "3-17");
        assert_eq!(AckId::parse("3-17"), Some(id));
        for text in ["", "3", "3-", "-17", "03-17", "3-017", "+3-17", "3-+17", "3-17 ", "3-17-1", "3--17", "99999999999999999999-1"] {
            assert_eq!(AckId::parse(text), None, "{text:?}");
        }
    }

    fn window(deliveries: u64) -> Window {
        let mut window = Window::default();
        for number in 1..=deliveries {
            assert_eq!(window.number(Uuid::from_u128(number.into())), number);
        }
        window
    }

    #[test]
    fn a_cumulative_answer_covers_all_before_it() {
        let mut window = window(5);
        assert_eq!(window.answer(3, AckMode::Client), Ok(3));
        assert_eq!(window.answer(2, AckMode::Client), Ok(0));
        assert_eq!(window.answer_message(Uuid::from_u128(5), AckMode::Client), Some(2));
        assert!(window.unanswered.is_empty());
    }

    #[test]
    fn an_individual_answer_covers_one() {
        let mut window = window(3);
        assert_eq!(window.answer(2, AckMode::ClientIndividual), Ok(1));
        assert_eq!(window.answer(2, AckMode::ClientIndividual), Ok(0));
        assert_eq!(window.answer_message(Uuid::from_u128(1), AckMode::ClientIndividual), Some(1));
        assert_eq!(window.unanswered.len(), 1);
    }

    #[test]
    fn what_was_never_given_out_is_unknown() {
        let mut window = window(3);
        for number in [0, 4, u64::MAX] {
            assert_eq!(window.answer(number, AckMode::Client), Err(ProtocolError::UnknownAck));
        }
        assert_eq!(window.answer_message(Uuid::from_u128(9), AckMode::Client), None);
    }
}
