//! Who comes in and who stays while a real Redis is away, or comes back empty.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// `cargo xtask test --fast` leaves out what is named so.
mod real_redis {
    use std::sync::Arc;
    use std::time::Duration;

    use footfall::admission::{AdmissionSettings, Admissions, Arrival, Counting, Stay};
    use footfall::broker::{Outbox, OutboxSettings};
    use footfall::message::{Code, Refusal, User};
    use footfall::metrics::Metrics;
    use footfall::registry::{RedisRegistry, RegisteredToken, Registry};
    use footfall::shutdown::Shutdown;
    use footfall::store::{SqliteSettings, SqliteStore};
    use tempfile::TempDir;
    use tokio::task::block_in_place;
    use tokio::time::{Instant, sleep};
    use xtask::services::{Port, Redis, scratch};

    use crate::contracts::redis_registry::RedisHome;
    use crate::contracts::registry::{node, token, user};
    use crate::support::node::now_s;
    use crate::support::soon;

    /// The failure matrix's for a refusal.
    const REFUSED_WITHIN: Duration = Duration::from_secs(2);

    /// A Redis that keeps nothing, and what a node makes of it.
    struct World {
        redis: Redis,
        registry: Arc<dyn Registry>,
        admissions: Admissions,
        shutdown: Shutdown,
        _folder: TempDir,
    }

    impl World {
        async fn start(counting: Counting, grace: Duration) -> Self {
            let (redis, folder) = block_in_place(|| {
                let folder = scratch().unwrap();
                let redis = Redis::new(folder.path(), Port::free().unwrap(), &[]).unwrap();
                redis.start().unwrap();
                (redis, folder)
            });
            let (home, shutdown) = (RedisHome::on(&redis.url()), Shutdown::new());
            let registry: Arc<dyn Registry> = Arc::new(RedisRegistry::open(&home.settings, &shutdown).unwrap());
            let path = folder.path().join("footfall.db");
            let store = SqliteStore::open(&SqliteSettings { path, ..SqliteSettings::default() }).await.unwrap();
            let settings = AdmissionSettings {
                counting,
                max_sessions: None,
                grace,
                longest_token: Duration::from_hours(24),
                leeway: Duration::ZERO,
                node: node("a"),
                address: "a:1".into(),
            };
            let metrics = Metrics::default().registry().clone();
            let started = Admissions::start(settings, Arc::clone(&registry), Arc::new(store), Arc::new(|| 0), metrics, &shutdown);
            let admissions = started.await.unwrap();
            Self { redis, registry, admissions, shutdown, _folder: folder }
        }

        fn kill(&self) {
            block_in_place(|| self.redis.kill()).unwrap();
        }

        fn start_again(&self) {
            block_in_place(|| self.redis.start()).unwrap();
        }

        async fn comes(&self, session: &str, bearer: User) -> Result<(Stay, Arc<Outbox>), Refusal> {
            let outbox = Arc::new(Outbox::new(OutboxSettings::default()));
            let arrival = Arrival { user: bearer, session: session.into(), outbox: Arc::clone(&outbox), login: None };
            let (_, stay) = self.admissions.admit(arrival).await?;
            Ok((stay, outbox))
        }

        async fn is_refused(&self, session: &str, bearer: User, code: Code) {
            let start = Instant::now();
            let refusal = self.comes(session, bearer).await.unwrap_err();
            assert_eq!(refusal.code, code);
            assert!(start.elapsed() < REFUSED_WITHIN, "{:?}", start.elapsed());
        }

        /// Until the node has given this Redis what it lost.
        async fn until_back(&self, sessions: usize) {
            soon("the sessions", async {
                while !self.registry.sessions_of(user("alice")).await.is_ok_and(|found| found.len() == sessions) {
                    sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
    }

    fn bearer(id: &str) -> User {
        User {
            name: user("alice"),
            roles: Arc::new([]),
            claims: Arc::new(serde_json::Value::Null),
            expires_at: None,
            token: Some(token(id)),
            issued_at: Some(now_s()),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn while_it_is_away_nobody_comes_in_and_who_is_in_may_refresh() {
        let world = World::start(Counting::NotRevoked, Duration::ZERO).await;
        let (stay, outbox) = world.comes("s1", bearer("one")).await.unwrap();
        world.kill();
        world.is_refused("s2", bearer("one"), Code::RegistryUnavailable).await;
        // Its session harms nobody, and would be ended by a refusal.
        stay.refresh(bearer("two")).await.unwrap();
        // Revoked meanwhile: the store and this node know it.
        world.admissions.revoke_token(token("gone"), None).await.unwrap();
        assert_eq!(stay.refresh(bearer("gone")).await.unwrap_err().code, Code::TokenRevoked);
        assert_eq!(outbox.ended(), None, "it goes on with the token that it had");
        world.admissions.revoke_token(token("two"), None).await.unwrap();
        assert_eq!(outbox.ended(), Some(Code::TokenRevoked));
        world.start_again();
        world.until_back(1).await;
        world.is_refused("s3", bearer("gone"), Code::TokenRevoked).await;
        world.comes("s4", bearer("four")).await.unwrap();
        world.shutdown.begin();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_grace_a_token_that_was_let_in_just_now_comes_in_again() {
        let world = World::start(Counting::NotRevoked, Duration::from_secs(30)).await;
        drop(world.comes("s1", bearer("known")).await.unwrap());
        world.comes("s2", bearer("revoked")).await.unwrap();
        world.kill();
        let again = world.comes("s3", bearer("known")).await.unwrap();
        world.is_refused("s4", bearer("unknown"), Code::RegistryUnavailable).await;
        world.admissions.revoke_token(token("revoked"), None).await.unwrap();
        world.is_refused("s5", bearer("revoked"), Code::TokenRevoked).await;
        // Who came in by grace is known to the registry that came back.
        world.start_again();
        world.until_back(1).await;
        drop(again);
        world.until_back(0).await;
        world.shutdown.begin();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_empty_one_ends_nobody_and_lets_in_only_whom_it_knows() {
        let world = World::start(Counting::Registered, Duration::ZERO).await;
        let one = RegisteredToken { id: token("one"), user: user("alice"), roles: None, expires_at: now_s() + 600 };
        world.admissions.register(one, None).await.unwrap();
        let (_stay, outbox) = world.comes("s1", bearer("one")).await.unwrap();
        world.kill();
        world.start_again();
        world.until_back(1).await;
        assert_eq!(outbox.ended(), None, "Redis forgot, and nobody revoked anything");
        world.is_refused("s2", bearer("one"), Code::TokenRevoked).await;
        // On purpose it ends all the same.
        world.admissions.revoke_token(token("one"), None).await.unwrap();
        assert_eq!(outbox.ended(), Some(Code::TokenRevoked));
        world.shutdown.begin();
    }
}
