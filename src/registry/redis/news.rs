//! News in Redis: a stream of the last ten thousand, which each node reads by itself.
//!
//! A reader always reads from the last entry it knows, which must still be there and the same. So it notices by itself
//! whatever can go wrong: entries that went before it came, a Redis that came back empty or with an older state, a stream
//! that was thrown away.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::link::Link;
use super::scripts;
use crate::message::{TokenId, UserName};
use crate::registry::{LoginKey, News, NewsEvent, NewsReader, RegistryError, Why};

/// How often a reader looks though nobody told it to.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// So many entries are read at once.
const PAGE: usize = 512;

/// An entry as it stands there: its id, then names and values in turn.
type Entry = (String, Vec<Vec<u8>>);

#[derive(Debug)]
pub(super) struct Reader {
    link: Arc<Link>,
    stream: String,
    told: watch::Receiver<u64>,
    closed: CancellationToken,
    /// The last entry that was read; none if the reader is lost.
    last: Option<Entry>,
    read: VecDeque<News>,
}

impl Reader {
    pub(super) fn new(link: Arc<Link>, stream: String, told: watch::Receiver<u64>, closed: CancellationToken) -> Self {
        Self { link, stream, told, closed, last: None, read: VecDeque::new() }
    }

    /// Finds where to begin.
    async fn begin(&mut self) -> Result<(), RegistryError> {
        let mut script = scripts::BEGIN_NEWS.prepare_invoke();
        script.key(&*self.stream).arg(Uuid::new_v4().to_string());
        let mut entries: Vec<Entry> = self.link.call(&script).await?;
        self.last = entries.pop();
        Ok(())
    }

    /// Reads what comes after `last`. True if there may be more.
    async fn look(&mut self, last: &Entry) -> Result<bool, RegistryError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(&*self.stream).arg(&*last.0).arg("+").arg("COUNT").arg(PAGE + 1);
        let entries: Vec<Entry> = self.link.call(&range).await?;
        if entries.first() != Some(last) {
            warn!("news were lost; what must be known is loaded again");
            self.last = None;
            return Ok(true);
        }
        let more = entries.len() > PAGE;
        for (id, fields) in &entries[1..] {
            if let Some(news) = news(fields) {
                self.read.push_back(news);
            } else {
                // Of a newer node, or the entry that a reader began with.
                debug!(id, "an entry of the stream is no news to this node");
            }
        }
        self.last = entries.into_iter().next_back();
        Ok(more)
    }

    async fn next_event(&mut self) -> Result<NewsEvent, RegistryError> {
        loop {
            if let Some(news) = self.read.pop_front() {
                return Ok(NewsEvent::News(news));
            }
            // Before it looks, so that what comes after the look is noticed.
            self.told.mark_unchanged();
            let more = match self.last.clone() {
                None => {
                    self.begin().await.inspect_err(|error| debug!(%error, "news can't be read now")).ok();
                    if self.last.is_some() {
                        return Ok(NewsEvent::Lost);
                    }
                    false
                }
                Some(last) => match self.look(&last).await {
                    Ok(more) => more,
                    Err(RegistryError::Closed) => return Err(RegistryError::Closed),
                    Err(error) => {
                        debug!(%error, "news can't be read now");
                        false
                    }
                },
            };
            if self.read.is_empty() && !more {
                self.wait().await?;
            }
        }
    }

    async fn wait(&mut self) -> Result<(), RegistryError> {
        let mut a_while = pin!(sleep(LOOK_EVERY));
        tokio::select! {
            () = self.closed.cancelled() => Err(RegistryError::Closed),
            changed = self.told.changed() => {
                // Nobody is left to tell; then only time does.
                if changed.is_err() {
                    a_while.as_mut().await;
                }
                Ok(())
            }
            () = &mut a_while => Ok(()),
        }
    }
}

impl NewsReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<NewsEvent, RegistryError>> {
        self.next_event().boxed()
    }
}

fn news(fields: &[Vec<u8>]) -> Option<News> {
    let (pairs, _) = fields.as_chunks::<2>();
    let pairs = pairs.iter().map(|[name, value]| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)));
    let fields = pairs.collect::<Option<BTreeMap<_, _>>>()?;
    let user = || UserName::new(fields.get("user")?).ok();
    let token = || TokenId::new(fields.get("token")?).ok();
    match *fields.get("kind")? {
        "token-revoked" => Some(News::TokenRevoked { token: token()? }),
        "token-changed" => Some(News::TokenChanged { token: token()? }),
        "user-revoked" => Some(News::UserRevoked { user: user()?, issued_before: fields.get("issued-before")?.parse().ok()? }),
        "session-ended" => {
            let why = match *fields.get("why")? {
                "pushed-out" => Why::PushedOut,
                "asked" => Why::Asked,
                _ => return None,
            };
            let (session, node) = ((*fields.get("session")?).into(), (*fields.get("node")?).into());
            Some(News::SessionEnded { user: user()?, session, node, why })
        }
        "login-ended" => Some(News::LoginEnded { login: LoginKey::parse(fields.get("login")?)?, user: user() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_news_is_passed_over() {
        let read = |text: &str| news(&text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        let token = TokenId::new("j").unwrap();
        assert_eq!(read("kind token-revoked token j later-field x"), Some(News::TokenRevoked { token }));
        for text in [
            "kind began by x",
            "kind token-revoked",
            "kind of-a-newer-node token j",
            "kind user-revoked user a issued-before soon",
            "kind session-ended user a session s node n why not",
            "kind login-ended login x",
            "kind",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(news(&[vec![0xff], vec![]]), None);
    }
}
