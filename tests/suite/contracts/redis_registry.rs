//! The registry in a real Redis: the contract, and what only Redis can lose or keep.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use footfall::message::Revocation;
use footfall::registry::{
    Admission, Demand, LiveSession, Login, LoginKey, NewsEvent, RedisRegistry, RedisSettings, RegisteredToken, Registry, RegistryError,
};
use footfall::shutdown::Shutdown;
use redis::Cmd;
use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::registry::{
    Home, LONG, admission, admit, at_most, ids, lease, live, news, next, node, nothing_more, reader, registry_contract, sessions_of, token,
    user,
};
use crate::support::{servers, soon};

/// Keys of its own on a Redis that others use too.
pub(crate) struct RedisHome {
    pub(crate) settings: RedisSettings,
}

impl RedisHome {
    fn new() -> Self {
        Self::on(&block_in_place(|| servers::redis().url()))
    }

    pub(crate) fn on(url: &str) -> Self {
        Self { settings: RedisSettings { url: url.into(), prefix: format!("t{}", Uuid::new_v4().simple()), ..RedisSettings::default() } }
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.settings.prefix)
    }

    /// Past the registry, as any other program would.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        redis::Client::open(self.settings.url.expose_secret()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> T {
        command.query_async(&mut self.connection().await).await.unwrap()
    }
}

impl Home for RedisHome {
    async fn open(&self) -> Arc<dyn Registry> {
        Arc::new(RedisRegistry::open(&self.settings, &Shutdown::new()).unwrap())
    }

    async fn pass(&self, time: Duration) {
        // Redis has its own clock, and nobody moves it.
        sleep(time).await;
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    async fn forget_news(&self) {
        let left: u64 = self.ask(redis::cmd("XTRIM").arg(self.key("news")).arg("MAXLEN").arg(2)).await;
        assert!(left > 100, "{left}");
    }
}

/// `cargo xtask test --fast` leaves out what is named so.
mod real_redis {
    use super::{RedisHome, registry_contract};

    registry_contract!(RedisHome::new());
}

/// Of everything something.
async fn use_all(registry: &Arc<dyn Registry>, now: u64) {
    let a = live(registry, "a").await;
    let until = now + 100;
    let refill = registry.begin_refill().await.unwrap().unwrap();
    registry.finish_refill(refill).await.unwrap();
    registry.revoke(Revocation::Token { token: token("r"), until }).await.unwrap();
    registry.register(RegisteredToken { id: token("j"), user: user("alice"), roles: None, expires_at: until }).await.unwrap();
    admit(registry, Admission { token: Some(token("j")), demand: Demand::Registered, ..admission("alice", "s1", &a) }).await;
    registry.begin_login(LoginKey::of("cookie"), Login::new(Some(user("alice")), "").unwrap(), LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_keys_are_those_of_the_documentation() {
    let home = RedisHome::new();
    use_all(&home.open().await, home.now()).await;
    let keys: Vec<String> = home.ask(redis::cmd("KEYS").arg(home.key("*"))).await;
    let mut found = BTreeSet::new();
    for key in keys {
        let kind: String = home.ask(redis::cmd("TYPE").arg(&key)).await;
        let life: i64 = home.ask(redis::cmd("PTTL").arg(&key)).await;
        let name = key.strip_prefix(&home.key("")).unwrap();
        let name = name.split_once(':').map_or_else(|| name.to_owned(), |(kind, _)| format!("{kind}:…"));
        found.insert((name, kind, life > 0));
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/redis.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `{footfall}:"));
    let told: BTreeSet<_> = rows
        .map(|row| {
            let mut cells = row.split(" | ");
            let (name, kind, life) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
            let name = name.trim_end_matches('`').split('<').next().unwrap();
            (if name.ends_with(':') { format!("{name}…") } else { name.to_owned() }, kind.to_owned(), life != "for ever")
        })
        .collect();
    assert_eq!(found, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clusters_with_prefixes_of_their_own_do_not_meet() {
    let (one, two) = (RedisHome::new(), RedisHome::new());
    let (here, there) = (one.open().await, two.open().await);
    use_all(&here, one.now()).await;
    assert_eq!(there.nodes().await.unwrap().seen, []);
    assert_eq!(sessions_of(&there, "alice").await, []);
    assert!(matches!(there.is_revoked(user("alice"), None, None).await, Err(RegistryError::NotFilled)));
    let mut reader = reader(&there).await;
    assert!(here.end(user("alice"), "s1".into()).await.unwrap());
    nothing_more(&there, &mut reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_news_are_pushed() {
    let home = RedisHome::new();
    let (one, two) = (home.open().await, home.open().await);
    let mut reader = reader(&two).await;
    soon("the subscription", async {
        while !two.state().pushed {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // A reader that waits looks by itself each second, so that 20 would take 20 s if nobody said that there are news.
    let start = Instant::now();
    for _ in 0..20 {
        let telling = async {
            sleep(Duration::from_millis(20)).await;
            one.revoke(Revocation::Token { token: token("j"), until: u64::MAX }).await.unwrap();
        };
        tokio::join!(news(&mut reader), telling);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_news_that_redis_lost_are_noticed() {
    let home = RedisHome::new();
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    let tell = async |id: &str| registry.revoke(Revocation::Token { token: token(id), until: u64::MAX }).await.unwrap();
    tell("one").await;
    news(&mut reader).await;
    // As after a failover to a replica that had less, and went on from there.
    let last: Vec<(String, Vec<String>)> =
        home.ask(redis::cmd("XREVRANGE").arg(home.key("news")).arg("+").arg("-").arg("COUNT").arg(1)).await;
    let deleted: u64 = home.ask(redis::cmd("XDEL").arg(home.key("news")).arg(&last[0].0)).await;
    assert_eq!(deleted, 1);
    tell("two").await;
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    // And as when it is thrown away altogether.
    let () = home.ask(redis::cmd("DEL").arg(home.key("news"))).await;
    tell("three").await;
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    nothing_more(&registry, &mut reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_entries_that_nobody_understands_are_passed_over() {
    let home = RedisHome::new();
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    for value in [&b"of-a-newer-node"[..], &[0xff, 0]] {
        let _: String = home.ask(redis::cmd("XADD").arg(home.key("news")).arg("*").arg("kind").arg(value)).await;
    }
    nothing_more(&registry, &mut reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_keys_of_another_kind_are_an_error_and_not_overwritten() {
    let home = RedisHome::new();
    let registry = home.open().await;
    for name in ["nodes", "sessions:alice", "revoked", "tokens:alice"] {
        let () = home.ask(redis::cmd("SET").arg(home.key(name)).arg("somebody's letters")).await;
    }
    for refused in [
        registry.renew(lease(&node("a")), LONG).await.map(drop),
        registry.sessions_of(user("alice")).await.map(drop),
        registry.begin_refill().await.map(drop),
        registry.registered_of(user("alice")).await.map(drop),
        registry.keep(vec![LiveSession { user: user("alice"), id: "s".into(), node: node("a"), token: None, since_ms: 1 }]).await,
    ] {
        assert!(matches!(refused, Err(RegistryError::Corrupt(_))), "{refused:?}");
    }
    let there: String = home.ask(redis::cmd("GET").arg(home.key("nodes"))).await;
    assert_eq!(there, "somebody's letters");
    assert!(registry.state().available, "it did answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_revocations_that_lapsed_are_removed() {
    let home = RedisHome::new();
    let registry = home.open().await;
    for number in 0..600 {
        registry.revoke(Revocation::Token { token: token(&format!("j{number}")), until: home.now() + 1 }).await.unwrap();
    }
    registry.revoke(Revocation::User { user: user("alice"), issued_before: 5, until: home.now() + 1000 }).await.unwrap();
    // Two rounds of the upkeep.
    tokio::time::timeout(Duration::from_mins(1), async {
        while home.ask::<u64>(redis::cmd("HLEN").arg(home.key("revoked"))).await > 1 {
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();
    let left: Vec<String> = home.ask(redis::cmd("HKEYS").arg(home.key("revoked"))).await;
    assert_eq!(left, ["u:alice"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_sessions_of_dead_nodes_do_not_pile_up() {
    let home = RedisHome::new();
    let registry = home.open().await;
    let a = live(&registry, "a").await;
    // Of a node whose lease lapsed two minutes ago, and of one that nobody remembers, in a Redis that remembers longer.
    let ago = |seconds: u64| (home.now() - seconds) * 1000;
    let mut put = redis::cmd("HSET");
    put.arg(home.key("nodes")).arg("=began").arg(ago(3000));
    put.arg("l:b").arg(format!("{} 7", ago(120))).arg("a:b").arg("0\nb:1\n0.1.0");
    put.arg("l:c").arg(format!("{} 7", ago(20))).arg("a:c").arg("0\nc:1\n0.1.0");
    let () = home.ask(&put).await;
    let mut put = redis::cmd("HSET");
    put.arg(home.key("sessions:alice"));
    for (id, node) in [("dead", "b"), ("forgotten", "d"), ("silent", "c")] {
        put.arg(id).arg(format!("{}\n7\n{node}\n", ago(200)));
    }
    let () = home.ask(&put).await;
    let pushed_out = admit(&registry, at_most(3, admission("alice", "s1", &a))).await;
    assert_eq!(ids(&pushed_out), Vec::<&str>::new(), "the dead do not count");
    let mut there: Vec<String> = home.ask(redis::cmd("HKEYS").arg(home.key("sessions:alice"))).await;
    there.sort();
    assert_eq!(there, ["s1", "silent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_tls_to_a_server_without_is_refused_in_time() {
    let mut home = RedisHome::new();
    home.settings.url = block_in_place(|| servers::redis().url()).replace("redis://", "rediss://").into();
    let start = Instant::now();
    let error = home.open().await.nodes().await.unwrap_err();
    assert!(error.is_retryable() && start.elapsed() < Duration::from_secs(2), "{error:?}");
}
