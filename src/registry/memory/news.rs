//! News inside one process: a ring that readers follow by number.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::registry::{News, NewsEvent, NewsReader, RegistryError};

#[derive(Debug, Clone)]
pub(super) struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Mutex<Ring>,
    more: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct Ring {
    news: VecDeque<News>,
    /// The number of the next one.
    end: u64,
    closed: bool,
}

impl Board {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { ring: Mutex::default(), more: Notify::new(), most: most.max(1) }))
    }

    pub(super) fn tell(&self, news: News) {
        let mut ring = self.0.ring.lock();
        if ring.news.len() == self.0.most {
            ring.news.pop_front();
        }
        ring.news.push_back(news);
        ring.end += 1;
        drop(ring);
        self.0.more.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.0.ring.lock().closed = true;
        self.0.more.notify_waiters();
    }
}

/// Where one reader is.
#[derive(Debug)]
pub(super) struct Reader {
    board: Board,
    /// The number of the next one to read; none before it has told that it began.
    next: Option<u64>,
    /// What was told until here is not told again.
    began_at: u64,
}

impl Reader {
    pub(super) fn new(board: Board) -> Self {
        let began_at = board.0.ring.lock().end;
        Self { board, next: None, began_at }
    }

    /// What can be told now.
    fn poll(&mut self) -> Option<Result<NewsEvent, RegistryError>> {
        let ring = self.board.0.ring.lock();
        if ring.closed {
            return Some(Err(RegistryError::Closed));
        }
        let Some(next) = self.next else {
            self.next = Some(self.began_at);
            return Some(Ok(NewsEvent::Lost));
        };
        let first = ring.end - ring.news.len() as u64;
        if next < first {
            self.next = Some(ring.end);
            return Some(Ok(NewsEvent::Lost));
        }
        let news = usize::try_from(next - first).ok().and_then(|index| ring.news.get(index))?;
        self.next = Some(next + 1);
        Some(Ok(NewsEvent::News(news.clone())))
    }
}

impl NewsReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<NewsEvent, RegistryError>> {
        async move {
            let board = self.board.clone();
            loop {
                // Before it looks, so that what comes after the look wakes it.
                let mut more = std::pin::pin!(board.0.more.notified());
                more.as_mut().enable();
                if let Some(event) = self.poll() {
                    return event;
                }
                more.await;
            }
        }
        .boxed()
    }
}
