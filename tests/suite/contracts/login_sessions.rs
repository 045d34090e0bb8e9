//! Login sessions on a real Redis: that it is away, that it comes back, and what it never holds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// `cargo xtask test --fast` leaves out what is named so.
mod real_redis {
    use std::sync::Arc;
    use std::time::Duration;

    use footfall::login::{Claim, CookieValue, LoginSessions};
    use footfall::registry::{LoginKey, RedisRegistry, Registry};
    use footfall::shutdown::Shutdown;
    use tempfile::TempDir;
    use tokio::task::block_in_place;
    use tokio::time::{Instant, sleep};
    use xtask::services::{Port, Redis, scratch};

    use crate::contracts::redis_registry::RedisHome;
    use crate::contracts::registry::user;
    use crate::support::soon;

    /// So that what is due is looked for every 2 s.
    const TTL: Duration = Duration::from_mins(1);

    struct World {
        redis: Redis,
        home: RedisHome,
        registry: Arc<dyn Registry>,
        sessions: LoginSessions,
        _shutdown: Shutdown,
        _folder: TempDir,
    }

    impl World {
        fn start() -> Self {
            let (redis, folder) = block_in_place(|| {
                let folder = scratch().unwrap();
                let redis = Redis::new(folder.path(), Port::free().unwrap(), &[("appendonly", "yes")]).unwrap();
                redis.start().unwrap();
                (redis, folder)
            });
            let (home, shutdown) = (RedisHome::on(&redis.url()), Shutdown::new());
            let registry: Arc<dyn Registry> = Arc::new(RedisRegistry::open(&home.settings, &shutdown).unwrap());
            let sessions = LoginSessions::start(Arc::clone(&registry), TTL, &shutdown);
            Self { redis, home, registry, sessions, _shutdown: shutdown, _folder: folder }
        }

        async fn shakes_hands(&self, cookie: Option<&str>) -> Claim {
            let start = Instant::now();
            let claim = self.sessions.recognize(cookie.map(|cookie| CookieValue::parse(cookie.as_bytes()).unwrap())).await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(1), "a handshake took {:?}", start.elapsed());
            claim
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn while_it_is_away_cookies_stay_and_what_could_not_begin_begins_later() {
        let world = World::start();
        let claim = world.shakes_hands(None).await;
        let (cookie, alice) = (claim.to_set().unwrap(), user("alice"));
        let before = world.sessions.join(claim, &alice).await.unwrap();
        assert!(world.registry.login(LoginKey::of(&cookie)).await.unwrap().is_some());

        block_in_place(|| world.redis.kill()).unwrap();
        let mut new = None;
        for _ in 0..5 {
            let claim = world.shakes_hands(Some(&cookie)).await;
            assert_eq!(claim.to_set(), None);
            let again = world.sessions.join(claim, &alice).await.unwrap();
            assert_eq!(again.public_id(), before.public_id());
            let claim = world.shakes_hands(None).await;
            let value = claim.to_set().unwrap();
            new = Some((value, world.sessions.join(claim, &alice).await.unwrap()));
        }

        let (new, membership) = new.unwrap();
        // A reload while it is away.
        let claim = world.shakes_hands(Some(&new)).await;
        let reloaded = world.sessions.join(claim, &alice).await.unwrap();
        assert_eq!(reloaded.public_id(), membership.public_id());
        let id = Arc::clone(membership.public_id());
        drop(membership);

        block_in_place(|| world.redis.start()).unwrap();
        soon("the login session that could not begin", async {
            while !matches!(world.registry.login(LoginKey::of(&new)).await, Ok(Some(login)) if login.user.as_ref() == Some(&alice)) {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let claim = world.shakes_hands(Some(&new)).await;
        assert_eq!(claim.to_set().as_deref(), Some(&*new));
        assert_eq!(*world.sessions.join(claim, &alice).await.unwrap().public_id(), id);
        let claim = world.shakes_hands(Some(&cookie)).await;
        assert_eq!(claim.to_set().as_deref(), Some(&*cookie), "it was kept over the restart");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_never_holds_a_cookie_or_a_public_id() {
        let world = World::start();
        let claim = world.shakes_hands(None).await;
        let cookie = claim.to_set().unwrap();
        let membership = world.sessions.join(claim, &user("alice")).await.unwrap();
        world.registry.end_login(LoginKey::of(&cookie)).await.unwrap();
        let claim = world.shakes_hands(None).await;
        let second = claim.to_set().unwrap();
        let another = world.sessions.join(claim, &user("alice")).await.unwrap();

        let keys: Vec<String> = world.home.ask(redis::cmd("KEYS").arg("*")).await;
        assert!(keys.iter().any(|key| key.ends_with(&LoginKey::of(&second).to_string())), "{keys:?}");
        let mut all = keys.join("\n").into_bytes();
        for key in &keys {
            let dump: Vec<u8> = world.home.ask(redis::cmd("DUMP").arg(key)).await;
            all.extend(dump);
        }
        for secret in [&*cookie, &*second, &**membership.public_id(), &**another.public_id()] {
            assert!(!all.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}
