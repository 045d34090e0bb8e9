//! Nodes and their sessions.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{MemoryRegistry, Step};
use crate::message::UserName;
use crate::registry::sessions::SILENT_FOR;
use crate::registry::{
    Admission, Admitted, Demand, Lease, Leases, LiveSession, MAX_BATCH, News, NodeRun, NodeSeen, Nodes, RegisteredToken, RegistryError,
    Renewal, Sessions, Why,
};

#[derive(Debug)]
pub(super) struct Who {
    began_ms: u64,
    nodes: BTreeMap<Arc<str>, Node>,
    sessions: HashMap<UserName, HashMap<Arc<str>, LiveSession>>,
}

#[derive(Debug)]
struct Node {
    lease: Lease,
    until_ms: u64,
}

impl Who {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { began_ms: now_ms, nodes: BTreeMap::new(), sessions: HashMap::new() }
    }

    fn renew(&mut self, lease: Lease, ttl: Duration, now_ms: u64) -> Renewal {
        let held = self.nodes.get(&lease.node.name).filter(|node| node.until_ms > now_ms).map(|node| node.lease.node.started_ms);
        if held.is_some_and(|started_ms| started_ms > lease.node.started_ms) {
            return Renewal::Replaced;
        }
        let renewal = if held == Some(lease.node.started_ms) { Renewal::Kept } else { Renewal::Anew };
        self.nodes.insert(Arc::clone(&lease.node.name), Node { lease, until_ms: now_ms.saturating_add(millis(ttl)) });
        self.nodes.retain(|_, node| node.until_ms.saturating_add(millis(Nodes::REMEMBERED)) > now_ms);
        renewal
    }

    fn give_back(&mut self, run: &NodeRun, now_ms: u64) {
        if let Some(node) = self.nodes.get_mut(&run.name).filter(|node| node.lease.node == *run) {
            node.until_ms = node.until_ms.min(now_ms);
        }
    }

    fn nodes(&self, now_ms: u64) -> Nodes {
        let seen = |node: &Node| NodeSeen {
            lease: node.lease.clone(),
            holds_for: node.until_ms.checked_sub(now_ms).filter(|left| *left > 0).map(Duration::from_millis),
            gone_for: Duration::from_millis(now_ms.saturating_sub(node.until_ms)),
        };
        let remembers = Duration::from_millis(now_ms.saturating_sub(self.began_ms)).min(Nodes::REMEMBERED);
        Nodes { seen: self.nodes.values().map(seen).collect(), remembers }
    }

    fn is_live(&self, run: &NodeRun, now_ms: u64) -> bool {
        self.nodes.get(&run.name).is_some_and(|node| node.lease.node == *run && node.until_ms > now_ms)
    }

    fn is_dead(&self, run: &NodeRun, now_ms: u64) -> bool {
        let silent_since = match self.nodes.get(&run.name) {
            Some(node) if node.lease.node == *run => node.until_ms,
            // A later start, or an earlier one that it replaced.
            Some(_) => return true,
            None => self.began_ms,
        };
        silent_since.saturating_add(millis(SILENT_FOR)) <= now_ms
    }

    /// Adds a session; since when it is there, and those it displaced.
    fn add(&mut self, mut session: LiveSession, most: Option<NonZeroU32>, now_ms: u64) -> (u64, Vec<LiveSession>) {
        let mut of_user = self.sessions.remove(&session.user).unwrap_or_default();
        of_user.retain(|_, session| !self.is_dead(&session.node, now_ms));
        if let Some(there) = of_user.remove(&session.id) {
            session.since_ms = there.since_ms;
        }
        let mut pushed_out = Vec::new();
        if let Some(most) = most {
            let mut others: Vec<_> = of_user.values().cloned().collect();
            others.sort_by_cached_key(|other| (self.is_live(&other.node, now_ms), other.since_ms, Arc::clone(&other.id)));
            let most_others = usize::try_from(most.get() - 1).unwrap_or(usize::MAX);
            others.truncate(others.len().saturating_sub(most_others));
            pushed_out = others;
        }
        for session in &pushed_out {
            of_user.remove(&session.id);
        }
        let (user, since_ms) = (session.user.clone(), session.since_ms);
        of_user.insert(Arc::clone(&session.id), session);
        self.sessions.insert(user, of_user);
        (since_ms, pushed_out)
    }

    fn remove(&mut self, user: &UserName, session: &str) -> Option<LiveSession> {
        let of_user = self.sessions.get_mut(user)?;
        let removed = of_user.remove(session);
        if of_user.is_empty() {
            self.sessions.remove(user);
        }
        removed
    }

    fn sessions_of(&self, user: &UserName, now_ms: u64) -> Vec<LiveSession> {
        let of_user = self.sessions.get(user).into_iter().flat_map(HashMap::values);
        let mut live: Vec<_> = of_user.filter(|session| self.is_live(&session.node, now_ms)).cloned().collect();
        live.sort_by_cached_key(|session| (session.since_ms, Arc::clone(&session.id)));
        live
    }
}

impl Step<'_> {
    fn admit(self, admission: Admission) -> Result<Admitted, RegistryError> {
        let Admission { user, session, node, token, issued_at, demand, max_sessions } = admission;
        let mut registered: Option<RegisteredToken> = None;
        match demand {
            Demand::Nothing => {}
            Demand::NotRevoked => {
                if self.tables.revocations.is_revoked(&user, token.as_ref(), issued_at, self.now_ms)? {
                    return Ok(Admitted::Revoked);
                }
            }
            Demand::Registered => {
                let found = token.as_ref().and_then(|token| self.tables.tokens.get(token, self.now_ms));
                registered = found.filter(|found| found.user == user).cloned();
                if registered.is_none() {
                    return Ok(Admitted::NotRegistered);
                }
            }
        }
        let session = LiveSession { user, id: session, node, token, since_ms: self.now_ms };
        let (since_ms, pushed_out) = self.tables.who.add(session, max_sessions, self.now_ms);
        for session in &pushed_out {
            self.board.tell(ended(session, Why::PushedOut));
        }
        Ok(Admitted::In { since_ms, pushed_out, registered })
    }
}

fn ended(session: &LiveSession, why: Why) -> News {
    News::SessionEnded { user: session.user.clone(), session: Arc::clone(&session.id), node: Arc::clone(&session.node.name), why }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Leases for MemoryRegistry {
    fn renew(&self, lease: Lease, ttl: Duration) -> BoxFuture<'_, Result<Renewal, RegistryError>> {
        self.step(|step| Ok(step.tables.who.renew(lease, ttl, step.now_ms)))
    }

    fn give_back(&self, node: NodeRun) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.step(|step| {
            step.tables.who.give_back(&node, step.now_ms);
            Ok(())
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Nodes, RegistryError>> {
        self.step(|step| Ok(step.tables.who.nodes(step.now_ms)))
    }
}

impl Sessions for MemoryRegistry {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Admitted, RegistryError>> {
        self.step(|step| step.admit(admission))
    }

    fn leave(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.step(|step| {
            step.tables.who.remove(&user, &session);
            Ok(())
        })
    }

    fn keep(&self, sessions: Vec<LiveSession>) -> BoxFuture<'_, Result<(), RegistryError>> {
        debug_assert!(sessions.len() <= MAX_BATCH, "{} sessions are more than one call takes", sessions.len());
        self.step(|step| {
            for session in sessions {
                step.tables.who.sessions.entry(session.user.clone()).or_default().insert(Arc::clone(&session.id), session);
            }
            Ok(())
        })
    }

    fn sessions_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<LiveSession>, RegistryError>> {
        self.step(|step| Ok(step.tables.who.sessions_of(&user, step.now_ms)))
    }

    fn end(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<bool, RegistryError>> {
        self.step(|step| {
            let removed = step.tables.who.remove(&user, &session);
            if let Some(removed) = &removed {
                step.board.tell(ended(removed, Why::Asked));
            }
            Ok(removed.is_some())
        })
    }
}
