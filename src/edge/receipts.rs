//! Senders on this node that wait until their message was stored (`receipt = "stored"`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::message::Code;

/// It was stored, or never will be, for this reason.
type Answer = Result<(), Code>;

/// Who waits for which message. Bounded by what sessions may have in flight.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<Answer>>>>,
}

/// Waits for one message to come back from the bus. Registered before the message is published, else the answer
/// could come first.
#[derive(Debug)]
pub struct Stored {
    id: Uuid,
    answer: oneshot::Receiver<Answer>,
    receipts: Arc<Receipts>,
}

impl Receipts {
    pub(super) fn expect(self: &Arc<Self>, id: Uuid) -> Stored {
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().entry(id).or_default().push(sender);
        Stored { id, answer, receipts: Arc::clone(self) }
    }

    pub(super) fn is_waiting(&self, id: Uuid) -> bool {
        self.waiting.lock().contains_key(&id)
    }

    pub(super) fn answer(&self, id: Uuid, answer: Answer) {
        for sender in self.waiting.lock().remove(&id).into_iter().flatten() {
            // Who gave up waiting needs no answer.
            let _gave_up = sender.send(answer);
        }
    }
}

impl Stored {
    /// Resolves once the message is stored or refused; never if nobody says so, so callers set a limit.
    pub async fn stored(mut self) -> Result<(), Code> {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.answer.close();
        if let Entry::Occupied(mut entry) = self.receipts.waiting.lock().entry(self.id) {
            entry.get_mut().retain(|sender| !sender.is_closed());
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_for_a_message_are_answered() {
        let receipts = Arc::new(Receipts::default());
        let id = Uuid::now_v7();
        let (first, second) = (receipts.expect(id), receipts.expect(id));
        receipts.answer(id, Err(Code::NotAccepted));
        assert_eq!((first.stored().await, second.stored().await), (Err(Code::NotAccepted), Err(Code::NotAccepted)));
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let receipts = Arc::new(Receipts::default());
        let id = Uuid::now_v7();
        let (first, second) = (receipts.expect(id), receipts.expect(id));
        drop(first);
        assert!(receipts.is_waiting(id));
        drop(second);
        assert!(!receipts.is_waiting(id));
    }
}
