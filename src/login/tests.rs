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
async fn it_stays_its_users_and_another_one_gets_a_cookie_next_time() {
    let (registry, sessions) = in_memory();
    let keys = async |name: &str| registry.logins_of(user(name)).await.unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let (cookie, alice) = comes(&sessions, "alice").await;
    let (bobs, _) = shakes_hands(&sessions, Some(&cookie)).await;
    let (between, _) = shakes_hands(&sessions, Some(&cookie)).await;
    assert!(sessions.join(bobs, &user("bob")).await.is_none());
    assert_eq!((keys("alice").await, keys("bob").await), (vec![LoginKey::of(&cookie)], vec![]));
    // Her tab is not disturbed by it.
    assert_eq!(sessions.join(between, &user("alice")).await.unwrap().public_id(), alice.public_id());

    let (claim, set) = shakes_hands(&sessions, Some(&cookie)).await;
    let new = set.unwrap();
    assert_ne!(new, cookie);
    let bob = sessions.join(claim, &user("bob")).await.unwrap();
    assert_ne!(bob.public_id(), alice.public_id());
    assert_eq!((keys("alice").await, keys("bob").await), (vec![LoginKey::of(&cookie)], vec![LoginKey::of(&new)]));
}

#[tokio::test(start_paused = true)]
async fn whoever_came_unasked_with_anothers_does_not_keep_it() {
    let (registry, sessions) = in_memory();
    let key = LoginKey::of(STRANGE);
    registry.begin_login(key, Login::of_user(user("mallory")), TTL).await.unwrap();
    // As while the registry was away.
    assert!(sessions.0.held.join(key, &user("alice"), None, Instant::now()));
    sleep(TTL * 3).await;
    assert!(!is_there(&registry, STRANGE).await);
    assert_eq!(registry.logins_of(user("alice")).await.unwrap(), []);
}

/// Until the registry, which is silent, is known to be so.
async fn is_away(registry: &Arc<dyn Registry>) {
    registry.login(LoginKey::of(STRANGE)).await.unwrap_err();
    assert!(!registry.state().available);
}

#[tokio::test]
async fn a_registry_that_is_known_to_be_silent_is_not_asked() {
    let (registry, sessions) = silent().await;
    is_away(&registry).await;
    // Until one caller may ask again, also if another one failed half a second after this.
    sleep(Duration::from_millis(1500)).await;
    for presented in [None, Some(STRANGE)] {
        let (claim, _) = shakes_hands(&sessions, presented).await;
        let start = Instant::now();
        sessions.join(claim, &user("alice")).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    }
    let start = Instant::now();
    registry.login(LoginKey::of(STRANGE)).await.unwrap_err();
    assert!(start.elapsed() > Duration::from_millis(300), "the question is left to who waits for the answer: {:?}", start.elapsed());
}

#[tokio::test]
async fn while_the_registry_is_silent_a_reload_changes_nothing_in_what_has_yet_to_begin() {
    let (registry, sessions) = silent().await;
    is_away(&registry).await;
    let (cookie, first) = comes(&sessions, "alice").await;
    let (claim, _) = shakes_hands(&sessions, Some(&cookie)).await;
    let reloaded = sessions.join(claim, &user("alice")).await.unwrap();
    drop(first);
    let (claim, _) = shakes_hands(&sessions, Some(&cookie)).await;
    assert!(sessions.join(claim, &user("bob")).await.is_none(), "it is alice's");
    let due = super::held::Due { key: LoginKey::of(&cookie), user: user("alice"), begins: true };
    assert_eq!(sessions.0.held.due(Instant::now()), [due]);
    drop(reloaded);
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

#[tokio::test]
async fn one_that_comes_back_before_it_could_begin_begins_then() {
    let (registry, sessions) = in_memory();
    // What is due has been looked for, so this is not begun before the next look.
    tokio::task::yield_now().await;
    let key = LoginKey::of(STRANGE);
    assert!(sessions.0.held.join(key, &user("alice"), Some(super::Standing::Unbegun), Instant::now()));
    let (claim, set) = shakes_hands(&sessions, Some(STRANGE)).await;
    assert_eq!(set, None, "it is not replaced");
    let membership = sessions.join(claim, &user("alice")).await.unwrap();
    assert_eq!(*membership.public_id(), CookieValue::parse(STRANGE.as_bytes()).unwrap().public_id(&user("alice")));
    assert!(is_there(&registry, STRANGE).await && !sessions.0.held.is_unbegun(key));
}

#[test]
fn nothing_of_it_is_shown() {
    let claim = Claim { value: CookieValue::parse(STRANGE.as_bytes()).unwrap(), standing: super::Claimed::Known };
    assert!(!format!("{claim:?}").contains(STRANGE));
}
