//! Nodes and their sessions, as Redis has them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{RedisRegistry, millis, odd, scripts, tokens};
use crate::message::{TokenId, UserName};
use crate::registry::{
    Admission, Admitted, Demand, KEEP_EVERY, Lease, Leases, LiveSession, MAX_BATCH, NodeRun, NodeSeen, Nodes, RegistryError, Renewal,
    Sessions,
};

/// How long Redis has a user's sessions after one of them was last added or kept.
const KEPT_FOR: Duration = Duration::from_secs(4 * KEEP_EVERY.as_secs());

impl Leases for RedisRegistry {
    fn renew(&self, lease: Lease, ttl: Duration) -> BoxFuture<'_, Result<Renewal, RegistryError>> {
        async move {
            let mut script = scripts::RENEW.prepare_invoke();
            script.key(self.keys.nodes()).arg(&*lease.node.name).arg(lease.node.started_ms).arg(millis(ttl));
            script.arg(format!("{}\n{}\n{}", lease.connections, lease.address, lease.version)).arg(millis(Nodes::REMEMBERED));
            let renewal: String = self.link.call(&script).await?;
            match renewal.as_str() {
                "kept" => Ok(Renewal::Kept),
                "anew" => Ok(Renewal::Anew),
                "replaced" => Ok(Renewal::Replaced),
                _ => Err(odd("a renewal")),
            }
        }
        .boxed()
    }

    fn give_back(&self, node: NodeRun) -> BoxFuture<'_, Result<(), RegistryError>> {
        async move {
            let mut script = scripts::GIVE_BACK.prepare_invoke();
            script.key(self.keys.nodes()).arg(&*node.name).arg(node.started_ms);
            self.link.call(&script).await
        }
        .boxed()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Nodes, RegistryError>> {
        async move {
            let mut script = scripts::LIST_NODES.prepare_invoke();
            script.key(self.keys.nodes());
            let (now, fields): (u64, BTreeMap<String, String>) = self.link.call(&script).await?;
            nodes(now, &fields).ok_or_else(|| odd("a node's lease"))
        }
        .boxed()
    }
}

fn nodes(now_ms: u64, fields: &BTreeMap<String, String>) -> Option<Nodes> {
    let mut nodes = Nodes::default();
    for (field, value) in fields {
        if field == "=began" {
            let began_ms: u64 = value.parse().ok()?;
            nodes.remembers = Duration::from_millis(now_ms.saturating_sub(began_ms)).min(Nodes::REMEMBERED);
        } else if let Some(name) = field.strip_prefix("l:") {
            let (until_ms, started_ms) = value.split_once(' ')?;
            let until_ms: u64 = until_ms.parse().ok()?;
            let mut about = fields.get(&format!("a:{name}"))?.split('\n');
            let node = NodeRun { name: name.into(), started_ms: started_ms.parse().ok()? };
            let connections = about.next()?.parse().ok()?;
            let lease = Lease { node, connections, address: about.next()?.into(), version: about.next()?.into() };
            let holds_for = until_ms.checked_sub(now_ms).filter(|left| *left > 0).map(Duration::from_millis);
            let gone_for = Duration::from_millis(now_ms.saturating_sub(until_ms));
            nodes.seen.push(NodeSeen { lease, holds_for, gone_for });
        }
    }
    Some(nodes)
}

impl Sessions for RedisRegistry {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<Admitted, RegistryError>> {
        async move {
            let Admission { user, session, node, token, issued_at, demand, max_sessions } = admission;
            let mut script = scripts::ADMIT.prepare_invoke();
            script.key(self.keys.sessions(&user)).key(self.keys.nodes()).key(self.keys.revoked());
            script.key(self.keys.token(token.as_ref())).key(self.keys.news());
            script.arg(&*self.keys.channel).arg(user.as_str()).arg(&*session).arg(&*node.name).arg(node.started_ms);
            script.arg(text(token.as_ref())).arg(issued_at.map_or_else(String::new, |issued_at| issued_at.to_string()));
            script.arg(match demand {
                Demand::Nothing => "nothing",
                Demand::NotRevoked => "not-revoked",
                Demand::Registered => "registered",
            });
            script.arg(max_sessions.map_or(0, std::num::NonZeroU32::get)).arg(millis(KEPT_FOR));
            let answer: Vec<String> = self.link.call(&script).await?;
            admitted(&user, token, &answer)
        }
        .boxed()
    }

    fn leave(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<(), RegistryError>> {
        async move { self.link.call(redis::cmd("HDEL").arg(self.keys.sessions(&user)).arg(&*session)).await }.boxed()
    }

    fn keep(&self, sessions: Vec<LiveSession>) -> BoxFuture<'_, Result<(), RegistryError>> {
        debug_assert!(sessions.len() <= MAX_BATCH, "{} sessions are more than one call takes", sessions.len());
        async move {
            if sessions.is_empty() {
                return Ok(());
            }
            let mut pipeline = redis::pipe();
            for session in &sessions {
                let key = self.keys.sessions(&session.user);
                pipeline.cmd("HSET").arg(&key).arg(&*session.id).arg(written(session)).ignore();
                pipeline.cmd("PEXPIRE").arg(&key).arg(millis(KEPT_FOR)).ignore();
            }
            self.link.call(&pipeline).await
        }
        .boxed()
    }

    fn sessions_of(&self, user: UserName) -> BoxFuture<'_, Result<Vec<LiveSession>, RegistryError>> {
        async move {
            let mut script = scripts::SESSIONS_OF.prepare_invoke();
            script.key(self.keys.sessions(&user)).key(self.keys.nodes());
            let answer: Vec<String> = self.link.call(&script).await?;
            let mut sessions = read_all(&user, &answer)?;
            sessions.sort_by(|one, other| (one.since_ms, &one.id).cmp(&(other.since_ms, &other.id)));
            Ok(sessions)
        }
        .boxed()
    }

    fn end(&self, user: UserName, session: Arc<str>) -> BoxFuture<'_, Result<bool, RegistryError>> {
        async move {
            let mut script = scripts::END_SESSION.prepare_invoke();
            script.key(self.keys.sessions(&user)).key(self.keys.news());
            script.arg(&*self.keys.channel).arg(user.as_str()).arg(&*session);
            self.link.call(&script).await
        }
        .boxed()
    }
}

fn text(token: Option<&TokenId>) -> &str {
    token.map_or("", TokenId::as_str)
}

/// As the scripts read it: a line each for since, the node's start, its name, and the token.
fn written(session: &LiveSession) -> String {
    let LiveSession { node, token, since_ms, .. } = session;
    format!("{since_ms}\n{}\n{}\n{}", node.started_ms, node.name, text(token.as_ref()))
}

fn read(user: &UserName, id: &str, value: &str) -> Option<LiveSession> {
    let mut lines = value.split('\n');
    let since_ms = lines.next()?.parse().ok()?;
    let started_ms = lines.next()?.parse().ok()?;
    let node = NodeRun { name: lines.next()?.into(), started_ms };
    let token = match lines.next()? {
        "" => None,
        token => Some(TokenId::new(token).ok()?),
    };
    Some(LiveSession { user: user.clone(), id: id.into(), node, token, since_ms })
}

/// Ids and values in turn.
fn read_all(user: &UserName, answer: &[String]) -> Result<Vec<LiveSession>, RegistryError> {
    let (pairs, _) = answer.as_chunks::<2>();
    pairs.iter().map(|[id, value]| read(user, id, value).ok_or_else(|| odd("a session"))).collect()
}

fn admitted(user: &UserName, token: Option<TokenId>, answer: &[String]) -> Result<Admitted, RegistryError> {
    match answer {
        [verdict] => match verdict.as_str() {
            "revoked" => Ok(Admitted::Revoked),
            "not-registered" => Ok(Admitted::NotRegistered),
            "not-filled" => Err(RegistryError::NotFilled),
            _ => Err(odd("an admission")),
        },
        [_, since_ms, registered, pushed_out @ ..] => {
            let registered = match (token, registered.as_str()) {
                (Some(token), value) if !value.is_empty() => Some(tokens::read(token, value)?),
                _ => None,
            };
            let since_ms = since_ms.parse().map_err(|_| odd("an admission"))?;
            Ok(Admitted::In { since_ms, pushed_out: read_all(user, pushed_out)?, registered })
        }
        _ => Err(odd("an admission")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let user = UserName::new("alice").unwrap();
        for token in [None, Some(TokenId::new("a b").unwrap())] {
            let node = NodeRun { name: "n-1".into(), started_ms: 17 };
            let session = LiveSession { user: user.clone(), id: "s".into(), node, token, since_ms: 1_763_800_000_000 };
            assert_eq!(read(&user, "s", &written(&session)), Some(session));
        }
        for value in ["", "1\n2", "x\n1\nn\n", "1\nx\nn\n", "1\n1\nn"] {
            assert_eq!(read(&user, "s", value), None, "{value:?}");
        }
    }

    #[test]
    fn a_list_of_nodes_that_footfall_did_not_write_is_refused() {
        let list = |fields: &[(&str, &str)]| nodes(100, &fields.iter().map(|(field, value)| ((*field).into(), (*value).into())).collect());
        let fine = list(&[("=began", "40"), ("l:a", "130 7"), ("a:a", "3\nhost:1\n0.1.0"), ("l:b", "90 8"), ("a:b", "0\n\n")]).unwrap();
        assert_eq!(fine.remembers, Duration::from_millis(60));
        let [a, b] = fine.seen.as_slice() else { panic!("{fine:?}") };
        assert_eq!((a.lease.connections, &*a.lease.address, a.holds_for), (3, "host:1", Some(Duration::from_millis(30))));
        assert_eq!((b.lease.node.started_ms, b.holds_for, b.gone_for), (8, None, Duration::from_millis(10)));
        for fields in
            [&[("l:a", "130 7")][..], &[("l:a", "130"), ("a:a", "3\nh\n1")], &[("l:a", "x 7"), ("a:a", "3\nh\n1")], &[("=began", "")]]
        {
            assert_eq!(list(fields), None, "{fields:?}");
        }
    }
}
