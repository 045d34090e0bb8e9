//! Login sessions on a registry in memory, whose clock is the test's.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::{Claim, CookieValue, LoginSessions, Membership};
use crate::message::UserName;
use crate::registry::{Login, LoginKey, MemoryRegistry, MemoryRegistrySettings, RedisRegistry, RedisSettings, Registry};
use crate::shutdown::Shutdown;

const TTL: Duration = Duration::from_mins(30);
const MINUTE: Duration = Duration::from_mins(1);
const STRANGE: &str = "00112233445566778899aabbccddeeff";

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// The registry's clock goes as the runtime's does.
fn in_memory() -> (Arc<dyn Registry>, LoginSessions) {
    let start = Instant::now();
    let clock = move || 1_763_800_000_000 + u64::try_from(start.elapsed().as_millis()).unwrap();
    let settings = MemoryRegistrySettings { clock: Arc::new(clock), ..MemoryRegistrySettings::default() };
    on(Arc::new(MemoryRegistry::new(settings)))
}

fn on(registry: Arc<dyn Registry>) -> (Arc<dyn Registry>, LoginSessions) {
    let sessions = LoginSessions::start(Arc::clone(&registry), TTL, &Shutdown::new());
    (registry, sessions)
}

/// A handshake with this cookie, and the value that the client has after it.
async fn shakes_hands(sessions: &LoginSessions, cookie: Option<&str>) -> (Claim, Option<String>) {
    let presented = cookie.map(|cookie| CookieValue::parse(cookie.as_bytes()).unwrap());
    let claim = sessions.recognize(presented).await.unwrap();
    let set = claim.to_set();
    (claim, set)
}

/// A whole new client: its cookie and its session.
async fn comes(sessions: &LoginSessions, name: &str) -> (String, Membership) {
    let (claim, set) = shakes_hands(sessions, None).await;
    (set.unwrap(), sessions.join(claim, &user(name)).await.unwrap())
}

async fn comes_back(sessions: &LoginSessions, cookie: &str, name: &str) -> Membership {
    let (claim, set) = shakes_hands(sessions, Some(cookie)).await;
    assert_eq!(set.as_deref(), Some(cookie), "it is set again");
    sessions.join(claim, &user(name)).await.unwrap()
}

async fn is_there(registry: &Arc<dyn Registry>, cookie: &str) -> bool {
    registry.login(LoginKey::of(cookie)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_handshake_alone_leaves_nothing_behind() {
    let (registry, sessions) = in_memory();
    let (_, made) = shakes_hands(&sessions, None).await;
    let made = made.unwrap();
    assert!(!is_there(&registry, &made).await);
    let (_, other) = shakes_hands(&sessions, Some(&made)).await;
    assert_ne!(other, Some(made), "nobody was admitted with it");
}

#[tokio::test]
async fn the_first_connection_belongs_to_it_and_so_do_those_that_bring_it() {
    let (registry, sessions) = in_memory();
    let (cookie, first) = comes(&sessions, "alice").await;
    assert!(is_there(&registry, &cookie).await);
    let second = comes_back(&sessions, &cookie, "alice").await;
    assert_eq!(first.public_id(), second.public_id());
    let (other, elsewhere) = comes(&sessions, "alice").await;
    assert_ne!(other, cookie);
    assert_ne!(elsewhere.public_id(), first.public_id());
}

#[tokio::test]
async fn nobody_chooses_a_value() {
    let (registry, sessions) = in_memory();
    let (claim, set) = shakes_hands(&sessions, Some(STRANGE)).await;
    assert_ne!(set.as_deref(), Some(STRANGE));
    let replaced = sessions.join(claim, &user("alice")).await.unwrap();
    assert!(!is_there(&registry, STRANGE).await);
    assert_ne!(*replaced.public_id(), CookieValue::parse(STRANGE.as_bytes()).unwrap().public_id(&user("alice")));
}

#[tokio::test]
async fn one_that_was_ended_is_not_continued() {
    let (registry, sessions) = in_memory();
    let (cookie, open) = comes(&sessions, "alice").await;
    let (between, _) = shakes_hands(&sessions, Some(&cookie)).await;
    assert!(registry.end_login(LoginKey::of(&cookie)).await.unwrap());
    assert!(sessions.join(between, &user("alice")).await.is_none());
    let (_, set) = shakes_hands(&sessions, Some(&cookie)).await;
    assert_ne!(set.as_deref(), Some(&*cookie));
    drop(open);
    assert!(!is_there(&registry, &cookie).await);
}

#[tokio::test(start_paused = true)]
async fn the_sockets_of_one_that_was_ended_don_t_bring_it_back() {
    let (registry, sessions) = in_memory();
    let (cookie, _open) = comes(&sessions, "alice").await;
    registry.end_login(LoginKey::of(&cookie)).await.unwrap();
    sleep(TTL * 2).await;
    assert!(!is_there(&registry, &cookie).await);
}

#[tokio::test]
async fn another_user_takes_it_over_and_gets_another_id() {
    let (registry, sessions) = in_memory();
    let (cookie, alice) = comes(&sessions, "alice").await;
    let kept = Login::new(Some(user("alice")), "what is kept for alice").unwrap();
    registry.change_login(LoginKey::of(&cookie), kept.clone(), TTL).await.unwrap();
    let again = comes_back(&sessions, &cookie, "alice").await;
    assert_eq!(registry.login(LoginKey::of(&cookie)).await.unwrap(), Some(kept));
    let bob = comes_back(&sessions, &cookie, "bob").await;
    assert_ne!(bob.public_id(), again.public_id());
    assert_eq!(alice.public_id(), again.public_id());
    assert_eq!(registry.logins_of(user("alice")).await.unwrap(), []);
    assert_eq!(registry.logins_of(user("bob")).await.unwrap(), [(LoginKey::of(&cookie), Login::of_user(user("bob")))]);
}

#[tokio::test(start_paused = true)]
async fn it_lives_while_somebody_is_connected_and_its_whole_time_after() {
    let (registry, sessions) = in_memory();
    let (cookie, one) = comes(&sessions, "alice").await;
    sleep(TTL * 5).await;
    let two = comes_back(&sessions, &cookie, "alice").await;
    drop(one);
    sleep(TTL * 5).await;
    assert!(is_there(&registry, &cookie).await);
    drop(two);
    sleep(MINUTE * 29).await;
    assert!(is_there(&registry, &cookie).await);
    sleep(TTL / 3 + MINUTE * 2).await;
    assert!(!is_there(&registry, &cookie).await);
    let (_, set) = shakes_hands(&sessions, Some(&cookie)).await;
    assert_ne!(set, Some(cookie));
}

#[tokio::test(start_paused = true)]
async fn each_connect_makes_it_live_its_whole_time_again() {
    let (registry, sessions) = in_memory();
    let (cookie, one) = comes(&sessions, "alice").await;
    drop(one);
    for _ in 0..5 {
        sleep(MINUTE * 29).await;
        drop(comes_back(&sessions, &cookie, "alice").await);
    }
    assert!(is_there(&registry, &cookie).await);
}

/// Takes connections, and says nothing.
async fn silent() -> (Arc<dyn Registry>, LoginSessions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let shutdown = Shutdown::new();
    shutdown.spawn("silence", async move {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    on(Arc::new(RedisRegistry::open(&RedisSettings { url: url.as_str().into(), ..RedisSettings::default() }, &shutdown).unwrap()))
}

#[tokio::test]
async fn a_registry_that_is_silent_holds_nobody_up_and_costs_nobody_the_cookie() {
    let (_, sessions) = silent().await;
    for _ in 0..3 {
        let start = Instant::now();
        let (claim, set) = shakes_hands(&sessions, Some(STRANGE)).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(set, None, "what can't be judged is left as it is");
        let start = Instant::now();
        let membership = sessions.join(claim, &user("alice")).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(*membership.public_id(), CookieValue::parse(STRANGE.as_bytes()).unwrap().public_id(&user("alice")));
    }
    let start = Instant::now();
    let (_, new) = comes(&sessions, "alice").await;
    assert!(start.elapsed() < Duration::from_secs(1) && !new.public_id().is_empty());
}

#[test]
fn nothing_of_it_is_shown() {
    let claim = Claim { value: CookieValue::parse(STRANGE.as_bytes()).unwrap(), standing: super::Claimed::Known };
    assert!(!format!("{claim:?}").contains(STRANGE));
}
