//! Requests whose outcome is open, and the order in which their outcomes are told.

use std::collections::VecDeque;
use std::sync::Arc;

use stomp_frames::Text;

use crate::message::{Outcome, Tag, Ticket};

/// An outcome whose turn has come, and the receipts that ask for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) asked: Asked,
    pub(super) receipts: Vec<Text>,
    pub(super) outcome: Outcome,
}

/// What the session has to do besides telling.
#[derive(Debug)]
pub(super) enum Asked {
    Send,
    Subscribe(Arc<Tag>),
    Unsubscribe,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Send, Self::Send) | (Self::Unsubscribe, Self::Unsubscribe) => true,
            (Self::Subscribe(one), Self::Subscribe(another)) => Arc::ptr_eq(one, another),
            _ => false,
        }
    }
}

impl Eq for Asked {}

#[derive(Debug)]
struct OpenSend {
    ticket: Ticket,
    receipt: Option<Text>,
    bytes: usize,
    /// Known, but an earlier SEND's is not: a client may take a RECEIPT to cover all SENDs before it.
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct OpenOther {
    ticket: Ticket,
    asked: Asked,
    receipts: Vec<Text>,
}

/// Bounded by who feeds the session: see [`super::Session::wants_frames`].
#[derive(Debug, Default)]
pub(super) struct Open {
    newest: u64,
    /// In the order of the frames, so tickets rise.
    sends: VecDeque<OpenSend>,
    bytes: usize,
    others: Vec<OpenOther>,
}

impl Open {
    pub(super) fn send(&mut self, receipt: Option<Text>, bytes: usize) -> Ticket {
        let ticket = self.ticket();
        self.bytes += bytes;
        self.sends.push_back(OpenSend { ticket, receipt, bytes, outcome: None });
        ticket
    }

    pub(super) fn other(&mut self, asked: Asked, receipt: Option<Text>) -> Ticket {
        let ticket = self.ticket();
        self.others.push(OpenOther { ticket, asked, receipts: receipt.into_iter().collect() });
        ticket
    }

    /// A second SUBSCRIBE for a subscription whose first is open: it is answered with that one. Gives the receipt
    /// back if none is open.
    pub(super) fn join(&mut self, tag: &Arc<Tag>, receipt: Text) -> Option<Text> {
        let open = self.others.iter_mut().find(|open| matches!(&open.asked, Asked::Subscribe(known) if Arc::ptr_eq(known, tag)));
        match open {
            Some(open) => {
                open.receipts.push(receipt);
                None
            }
            None => Some(receipt),
        }
    }

    /// Notes an outcome; what can be told now comes from [`Self::next`]. A ticket that is not open is passed over.
    pub(super) fn resolve(&mut self, ticket: Ticket, outcome: Outcome) -> Option<Answer> {
        if let Some(index) = self.others.iter().position(|open| open.ticket == ticket) {
            let OpenOther { asked, receipts, .. } = self.others.remove(index);
            return Some(Answer { asked, receipts, outcome });
        }
        if let Ok(index) = self.sends.binary_search_by_key(&ticket, |open| open.ticket)
            && self.sends[index].outcome.is_none()
        {
            self.sends[index].outcome = Some(outcome);
        }
        None
    }

    /// The outcome of the oldest SEND, once it is known.
    pub(super) fn next(&mut self) -> Option<Answer> {
        self.sends.front()?.outcome.as_ref()?;
        let OpenSend { receipt, bytes, outcome, .. } = self.sends.pop_front()?;
        self.bytes -= bytes;
        Some(Answer { asked: Asked::Send, receipts: receipt.into_iter().collect(), outcome: outcome? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.others.is_empty()
    }

    /// SENDs, their bytes, and how much else waits.
    pub(super) fn count(&self) -> (usize, usize, usize) {
        (self.sends.len(), self.bytes, self.others.iter().map(|open| open.receipts.len().max(1)).sum())
    }

    fn ticket(&mut self) -> Ticket {
        self.newest += 1;
        Ticket(self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_are_told_in_their_order() {
        let mut open = Open::default();
        let tickets: Vec<_> = (0..3).map(|_| open.send(None, 10)).collect();
        assert_eq!(open.count(), (3, 30, 0));
        assert_eq!(open.resolve(tickets[2], Outcome::Done), None);
        assert_eq!(open.resolve(tickets[1], Outcome::Done), None);
        assert_eq!(open.next(), None);
        assert_eq!(open.resolve(tickets[0], Outcome::Done), None);
        assert_eq!(std::iter::from_fn(|| open.next()).count(), 3);
        assert_eq!(open.count(), (0, 0, 0));
    }

    #[test]
    fn an_outcome_counts_once() {
        let mut open = Open::default();
        let first = open.send(None, 0);
        let second = open.send(None, 0);
        open.resolve(second, Outcome::Done);
        open.resolve(second, Outcome::Refused(crate::message::Code::Unknown.into()));
        open.resolve(first, Outcome::Done);
        open.resolve(Ticket(99), Outcome::Done);
        let told: Vec<_> = std::iter::from_fn(|| open.next()).map(|answer| answer.outcome).collect();
        assert_eq!(told, [Outcome::Done, Outcome::Done]);
    }
}
