//! A Redis that is killed, comes back empty, is silent, throws keys away, or does not let anyone in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Revocation;
use footfall::registry::{ANSWER_WITHIN, Admission, Admitted, Demand, News, NewsEvent, Registry, RegistryError, Renewal};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use xtask::services::{Port, Redis, scratch};

use super::redis_registry::RedisHome;
use super::registry::{Home, LONG, admission, admit, lease, live, news, next, node, nothing_more, reader, sessions_of, token, user};
use crate::support::soon;

/// A Redis of its own, which dies with the test.
struct Server {
    redis: Redis,
    home: RedisHome,
    _folder: TempDir,
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Self {
        block_in_place(|| {
            let folder = scratch().unwrap();
            let redis = Redis::new(folder.path(), Port::free().unwrap(), settings).unwrap();
            redis.start().unwrap();
            let home = RedisHome::on(&redis.url());
            Self { redis, home, _folder: folder }
        })
    }

    fn kill(&self) {
        block_in_place(|| self.redis.kill()).unwrap();
    }

    fn start_again(&self) {
        block_in_place(|| self.redis.start()).unwrap();
    }

    async fn configure(&self, key: &str, value: &str) {
        let () = self.home.ask(redis::cmd("CONFIG").arg("SET").arg(key).arg(value)).await;
    }
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !is().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn fill(registry: &Arc<dyn Registry>, list: Vec<Revocation>) {
    let refill = registry.begin_refill().await.unwrap().unwrap();
    registry.refill(list).await.unwrap();
    assert!(registry.finish_refill(refill).await.unwrap());
}

fn revoked() -> Revocation {
    Revocation::Token { token: token("revoked"), until: u64::MAX }
}

async fn comes_in(registry: &Arc<dyn Registry>, id: &str) -> Result<Admitted, RegistryError> {
    let asking = admission("alice", "s1", &node("a"));
    registry.admit(Admission { token: Some(token(id)), issued_at: Some(1), demand: Demand::NotRevoked, ..asking }).await
}

/// What a call says while Redis is away, and that it says so in time.
async fn refused(registry: &Arc<dyn Registry>) -> Duration {
    let start = Instant::now();
    let error = comes_in(registry, "j").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable(_)), "{error:?}");
    let took = start.elapsed();
    assert!(took < ANSWER_WITHIN, "{took:?}");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_comes_back_empty_admits_nobody_before_it_is_filled() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    let a = live(&registry, "a").await;
    fill(&registry, vec![revoked()]).await;
    let mut reader = reader(&registry).await;
    assert_eq!(comes_in(&registry, "revoked").await.unwrap(), Admitted::Revoked);
    admit(&registry, admission("alice", "s0", &a)).await;
    let before = sessions_of(&registry, "alice").await;

    server.kill();
    for _ in 0..20 {
        refused(&registry).await;
    }
    assert!(!registry.state().available);
    server.start_again();
    until("an answer", async || match comes_in(&registry, "revoked").await {
        Err(RegistryError::NotFilled) => true,
        Err(RegistryError::Unavailable(_)) => false,
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    assert!(registry.state().available);

    // What a node then does.
    fill(&registry, vec![revoked()]).await;
    assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Anew);
    registry.keep(before.clone()).await.unwrap();
    assert_eq!(comes_in(&registry, "revoked").await.unwrap(), Admitted::Revoked);
    assert_eq!(sessions_of(&registry, "alice").await, before);
    let nodes = registry.nodes().await.unwrap();
    assert!(nodes.gone_for("somebody else").unwrap() < Duration::from_mins(1), "it does not know who was there before: {nodes:?}");
    nothing_more(&registry, &mut reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_forgot_while_it_was_filled_is_not_filled() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    let refill = registry.begin_refill().await.unwrap().unwrap();
    registry.refill(vec![revoked()]).await.unwrap();
    server.kill();
    server.start_again();
    let mut finished = None;
    until("an answer", async || {
        finished = registry.finish_refill(refill).await.ok();
        finished.is_some()
    })
    .await;
    assert_eq!(finished, Some(false));
    assert!(matches!(comes_in(&registry, "revoked").await, Err(RegistryError::NotFilled)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_keeps_its_data_is_taken_up_where_it_was() {
    let server = Server::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let registry = server.home.open().await;
    let a = live(&registry, "a").await;
    fill(&registry, vec![revoked()]).await;
    let mut reader = reader(&registry).await;
    admit(&registry, admission("alice", "s1", &a)).await;
    server.kill();
    refused(&registry).await;
    server.start_again();
    until("an answer", async || registry.nodes().await.is_ok()).await;
    assert_eq!(comes_in(&registry, "revoked").await.unwrap(), Admitted::Revoked);
    assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Kept);
    assert_eq!(sessions_of(&registry, "alice").await.len(), 1);
    nothing_more(&registry, &mut reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_is_silent_holds_nobody_up() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    live(&registry, "a").await;
    fill(&registry, vec![revoked()]).await;
    let mut reader = reader(&registry).await;
    block_in_place(|| server.redis.pause()).unwrap();
    join_all((0..50).map(|_| refused(&registry))).await;
    // Once it is known to be silent, one caller at a time still asks; the others hear so at once.
    let mut slow = 0;
    for took in join_all((0..50).map(|_| refused(&registry))).await {
        slow += usize::from(took > Duration::from_millis(500));
    }
    assert!(slow <= 1, "{slow} of 50 waited");
    let told = tokio::time::timeout(Duration::from_millis(1), reader.next()).await;
    assert!(told.is_err(), "silence is no news: {told:?}");
    block_in_place(|| server.redis.resume()).unwrap();
    until("an answer", async || comes_in(&registry, "j").await.is_ok()).await;
    registry.revoke(Revocation::Token { token: token("k"), until: u64::MAX }).await.unwrap();
    assert_eq!(news(&mut reader).await, News::TokenRevoked { token: token("k") });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_news_come_without_pub_sub() {
    let server = Server::start(&[]);
    let (one, two) = (server.home.open().await, server.home.open().await);
    let mut reader = reader(&two).await;
    until("the subscription", async || two.state().pushed).await;
    let () = server.home.ask(redis::cmd("ACL").arg("SETUSER").arg("default").arg("-subscribe")).await;
    let killed: u64 = server.home.ask(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await;
    assert_eq!(killed, 2);
    until("the cut", async || !two.state().pushed).await;
    for id in ["j1", "j2", "j3"] {
        let start = Instant::now();
        one.revoke(Revocation::Token { token: token(id), until: u64::MAX }).await.unwrap();
        assert_eq!(news(&mut reader).await, News::TokenRevoked { token: token(id) });
        // The target is 2 s.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    assert!(!two.state().pushed && two.state().available);
    let () = server.home.ask(redis::cmd("ACL").arg("SETUSER").arg("default").arg("+subscribe")).await;
    until("the subscription", async || two.state().pushed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_connection_that_was_cut_is_made_again_for_the_next_call() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    let a = live(&registry, "a").await;
    for _ in 0..10 {
        let killed: u64 = server.home.ask(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
        assert!(killed > 0);
        assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Kept);
    }
    assert!(registry.state().available);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_throws_keys_away_is_noticed() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    let a = live(&registry, "a").await;
    fill(&registry, vec![revoked()]).await;
    let mut reader = reader(&registry).await;
    admit(&registry, admission("alice", "s0", &a)).await;
    assert!(!registry.state().evicting);
    server.configure("maxmemory-policy", "allkeys-lru").await;
    server.configure("maxmemory", "1").await;
    until("an eviction of everything", async || {
        // A write has it make room.
        drop(redis::cmd("SET").arg("more").arg("x").query_async::<()>(&mut server.home.connection().await).await);
        server.home.ask::<u64>(&redis::cmd("DBSIZE")).await == 0
    })
    .await;
    server.configure("maxmemory", "100mb").await;
    // Where it matters it is noticed at once, whatever Redis says of itself.
    assert!(matches!(comes_in(&registry, "revoked").await, Err(RegistryError::NotFilled)));
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Anew);
    until("the warning", async || registry.state().evicting).await;
    server.configure("maxmemory-policy", "noeviction").await;
    until("the end of it", async || !registry.state().evicting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_that_is_full_refuses_and_is_read() {
    let server = Server::start(&[]);
    let registry = server.home.open().await;
    let a = live(&registry, "a").await;
    fill(&registry, vec![revoked()]).await;
    admit(&registry, admission("alice", "s0", &a)).await;
    server.configure("maxmemory", "1").await;
    let full = comes_in(&registry, "j").await.unwrap_err();
    assert!(full.is_retryable(), "{full:?}");
    assert!(registry.is_revoked(user("alice"), Some(token("revoked")), None).await.unwrap());
    assert_eq!(sessions_of(&registry, "alice").await.len(), 1);
    server.configure("maxmemory", "0").await;
    assert!(matches!(comes_in(&registry, "j").await.unwrap(), Admitted::In { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_redis_lets_in_whom_it_knows() {
    let server = Server::start(&[]);
    server.configure("requirepass", "canary-7f3a").await;
    let mut home = RedisHome::on(&server.redis.url());
    for wrong in [None, Some("canary-other")] {
        home.settings.password = wrong.map(Into::into);
        let registry = home.open().await;
        let error = registry.nodes().await.unwrap_err();
        assert!(matches!(error, RegistryError::Unusable(_)), "{error:?}");
        assert!(!format!("{error} {error:?} {registry:?}").contains("canary"));
    }
    home.settings.password = Some("canary-7f3a".into());
    let registry = home.open().await;
    live(&registry, "a").await;
    assert!(!format!("{registry:?}").contains("canary"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_registry_opens_before_its_redis_is_there() {
    let server = Server::start(&[]);
    server.kill();
    let registry = server.home.open().await;
    let mut news = registry.news();
    refused(&registry).await;
    server.start_again();
    assert_eq!(next(&mut news).await, NewsEvent::Lost);
    live(&registry, "a").await;
}
