//! What no longer counts: kept until its time is over, and read as a whole or by what changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use footfall::consumers::{KeepOf, RetentionSettings, apply_retention};
use footfall::message::{Revocation, Revoked, TokenId, UserName};
use footfall::store::{Keep, Store};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Home, Writer, many, topic};

/// Seconds since 1970 that are years away.
const FAR: u64 = 4_000_000_000;
const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn of_token(id: &str, until: u64) -> Revocation {
    Revocation::Token { token: TokenId::new(id).unwrap(), until }
}

pub(crate) fn of_user(name: &str, issued_before: u64, until: u64) -> Revocation {
    Revocation::User { user: UserName::new(name).unwrap(), issued_before, until }
}

/// All that changed since then, by pages of so many.
async fn since(store: &Arc<dyn Store>, since_ms: u64, limit: usize) -> Vec<Revocation> {
    let mut all: Vec<Revocation> = Vec::new();
    loop {
        let page = store.revocations(since_ms, all.last().map(Revocation::about), limit).await.unwrap();
        assert!(page.revocations.len() <= limit);
        if page.revocations.is_empty() {
            return all;
        }
        all.extend(page.revocations);
    }
}

pub(crate) async fn revoked(store: &Arc<dyn Store>) -> Vec<Revocation> {
    since(store, 0, 500).await
}

async fn revoke_all(store: &Arc<dyn Store>, revocations: impl IntoIterator<Item = Revocation>) {
    let calls = stream::iter(revocations).map(|revocation| store.revoke(revocation)).buffer_unordered(64);
    calls.try_collect::<()>().await.unwrap();
}

async fn now_ms(store: &Arc<dyn Store>) -> u64 {
    store.revocations(0, None, 0).await.unwrap().now_ms
}

/// A moment of the store's clock behind all that was written.
async fn a_later_moment(store: &Arc<dyn Store>) -> u64 {
    let before = now_ms(store).await;
    loop {
        let now = now_ms(store).await;
        // Two, since a clock may be rounded up.
        if now > before + 2 {
            return now;
        }
    }
}

pub(crate) async fn of_two_revocations_the_later_times_win(home: &impl Home) {
    let store = home.open().await;
    assert_eq!(revoked(&store).await, []);
    for (name, untils) in [("rising", [FAR, FAR + 5]), ("falling", [FAR + 5, FAR])] {
        for until in untils {
            store.revoke(of_token(name, until)).await.unwrap();
        }
    }
    // Each of the two times for itself.
    let pairs = [((10, FAR), (20, FAR + 5)), ((20, FAR + 5), (10, FAR)), ((20, FAR), (10, FAR + 5)), ((10, FAR + 5), (20, FAR))];
    for (name, (first, second)) in ["a", "b", "c", "d"].into_iter().zip(pairs) {
        for (issued_before, until) in [first, second] {
            store.revoke(of_user(name, issued_before, until)).await.unwrap();
        }
    }
    let mut expected = vec![of_token("falling", FAR + 5), of_token("rising", FAR + 5)];
    expected.extend(["a", "b", "c", "d"].map(|name| of_user(name, 20, FAR + 5)));
    assert_eq!(revoked(&store).await, expected);
}

pub(crate) async fn a_token_and_a_user_of_one_name_are_apart(home: &impl Home) {
    let store = home.open().await;
    store.revoke(of_token("alice", FAR)).await.unwrap();
    assert_eq!(revoked(&store).await, [of_token("alice", FAR)]);
    store.revoke(of_user("alice", 7, FAR + 1)).await.unwrap();
    assert_eq!(revoked(&store).await, [of_token("alice", FAR), of_user("alice", 7, FAR + 1)]);
    let after_the_token = Some(Revoked::Token(TokenId::new("alice").unwrap()));
    assert_eq!(store.revocations(0, after_the_token, 9).await.unwrap().revocations, [of_user("alice", 7, FAR + 1)]);
}

pub(crate) async fn whoever_is_revoked_comes_back_as_he_was(home: &impl Home) {
    let store = home.open().await;
    let long = ["x".repeat(256), "ü".repeat(128), "\u{10FFFF}".repeat(64)];
    let strange = ["'; DROP TABLE revocations; --", "\"", "\\", "%", "_", " ", " a ", "a", "A", "ä", "a\u{308}", "null", "42", "[]", "😀"];
    let names: Vec<&str> = strange.into_iter().chain(long.iter().map(String::as_str)).collect();
    let mut expected = Vec::new();
    for name in &names {
        expected.extend([of_token(name, FAR), of_user(name, 0, FAR)]);
    }
    revoke_all(&store, expected.clone()).await;
    expected.sort_by_key(Revocation::about);
    for limit in [1, 500] {
        assert_eq!(since(&store, 0, limit).await, expected, "by bytes, not by a language");
    }
}

pub(crate) async fn revocations_are_read_page_by_page(home: &impl Home) {
    let store = home.open().await;
    let mut expected: Vec<_> = (0..500).flat_map(|n| [of_token(&format!("t{n}"), FAR + n), of_user(&format!("u{n}"), n, FAR)]).collect();
    revoke_all(&store, expected.clone()).await;
    expected.sort_by_key(Revocation::about);
    let mut after = None;
    for (page, rest) in [(0..300, 300), (300..600, 300), (600..900, 300), (900..1_000, 100), (1_000..1_000, 0)] {
        let found = store.revocations(0, after, 300).await.unwrap().revocations;
        assert_eq!((found.len(), &found[..]), (rest, &expected[page]));
        after = found.last().map(Revocation::about);
    }
    assert_eq!(since(&store, 1, 300).await, expected, "all have changed since 1970");
    // From something that is not in the list.
    let after = Some(Revoked::User(UserName::new("u499\u{10FFFF}").unwrap()));
    assert_eq!(store.revocations(0, after, 1).await.unwrap().revocations, [of_user("u5", 5, FAR)]);
    assert_eq!(store.revocations(0, None, 0).await.unwrap().revocations, []);
}

pub(crate) async fn what_was_revoked_since_is_told(home: &impl Home) {
    let store = home.open().await;
    let begun = now_ms(&store).await;
    revoke_all(&store, ["a", "b", "c", "d"].map(|id| of_token(id, FAR))).await;
    assert_eq!(since(&store, begun.saturating_sub(5), 9).await.len(), 4);
    let moment = a_later_moment(&store).await;
    assert_eq!(since(&store, moment, 9).await, []);
    revoke_all(&store, [of_token("c", FAR + 9), of_token("e", FAR), of_user("a", 1, FAR), of_token("f", 1)]).await;
    let expected = [of_token("c", FAR + 9), of_token("e", FAR), of_user("a", 1, FAR)];
    for limit in [1, 2, 9] {
        assert_eq!(since(&store, moment, limit).await, expected, "by pages of {limit}");
    }
    let last = a_later_moment(&store).await;
    assert_eq!(since(&store, last, 9).await, []);
    assert_eq!(since(&store, u64::MAX, 9).await, []);
    assert_eq!(revoked(&store).await.len(), 6);
}

pub(crate) async fn what_has_lapsed_is_not_listed_and_then_forgotten(home: &impl Home) {
    let store = home.open().await;
    let now = now_ms(&store).await / 1_000;
    let stays = [of_token("for ever", u64::MAX >> 1), of_token("later", now + 100), of_user("later", 1, now + 100)];
    let lapsed = (0..1_500).flat_map(|n| [of_token(&format!("t{n}"), now - n % 90), of_user(&format!("u{n}"), now + 100, now)]);
    revoke_all(&store, lapsed).await;
    revoke_all(&store, stays.clone()).await;
    // Its time was over, and now is not.
    store.revoke(of_token("t7", now + 100)).await.unwrap();
    let mut expected = stays.to_vec();
    expected.push(of_token("t7", now + 100));
    expected.sort_by_key(Revocation::about);
    assert_eq!((revoked(&store).await, since(&store, 1, 9).await), (expected.clone(), expected.clone()));
    assert_eq!(store.forget_revocations().await.unwrap(), 2_999);
    assert_eq!(store.forget_revocations().await.unwrap(), 0);
    assert_eq!(revoked(&store).await, expected);
    // What was forgotten leaves nothing behind.
    store.revoke(of_user("u7", 5, now + 100)).await.unwrap();
    assert!(revoked(&store).await.contains(&of_user("u7", 5, now + 100)));
    // Beyond what a database can count is as good as for ever.
    store.revoke(of_user("v", u64::MAX, u64::MAX)).await.unwrap();
    assert!(
        matches!(revoked(&store).await.pop(), Some(Revocation::User { until, issued_before, .. }) if until.min(issued_before) >= u64::MAX >> 1)
    );
}

pub(crate) async fn retention_forgets_revocations(home: &impl Home) {
    let store = home.open().await;
    revoke_all(&store, [of_token("old", 1), of_token("new", FAR)]).await;
    let keep_of: KeepOf = Arc::new(|_: &_, _| Keep { count: None, not_before_ms: None });
    let settings = RetentionSettings { interval: HOUR, idempotency_window: HOUR };
    apply_retention(store.as_ref(), &keep_of, settings).await.unwrap();
    assert_eq!(store.forget_revocations().await.unwrap(), 0, "there was nothing left");
    assert_eq!(revoked(&store).await, [of_token("new", FAR)]);
}

pub(crate) async fn revocations_are_there_when_opened_again(home: &impl Home) {
    let store = home.open().await;
    let expected = [of_token("j", FAR), of_user("alice", 7, FAR)];
    revoke_all(&store, expected.clone()).await;
    store.close().await;
    drop(store);
    let store = home.open().await;
    assert_eq!(revoked(&store).await, expected);
    store.revoke(of_user("alice", 6, FAR + 1)).await.unwrap();
    assert_eq!(revoked(&store).await[1], of_user("alice", 7, FAR + 1));
}

/// Many at once of a few, from each of these stores; the latest of all times is what is left.
pub(crate) async fn revoke_at_once(stores: &[Arc<dyn Store>]) {
    const ROUNDS: u64 = 40;
    let tasks: Vec<_> = (0..8)
        .zip(stores.iter().cycle().map(Arc::clone))
        .map(|(task, store)| {
            tokio::spawn(async move {
                let mut told = BTreeMap::new();
                for round in 0..ROUNDS {
                    // Up, down and across, each task in another order.
                    let (time, until) = ((round * 7 + task * 3) % 101, FAR + (round * 31 + task * 17) % 103);
                    let name = if (round + task) % 3 == 0 { "a" } else { "b" };
                    store.revoke(of_user(name, time, until)).await.unwrap();
                    store.revoke(of_token(name, until)).await.unwrap();
                    let entry = told.entry(name).or_insert((0, 0));
                    *entry = (time.max(entry.0), until.max(entry.1));
                }
                told
            })
        })
        .collect();
    let mut latest = BTreeMap::new();
    for task in tasks {
        for (name, (time, until)) in task.await.unwrap() {
            let entry = latest.entry(name).or_insert((0, 0));
            *entry = (time.max(entry.0), until.max(entry.1));
        }
    }
    let expected: Vec<_> = latest
        .iter()
        .map(|(name, (_, until))| of_token(name, *until))
        .chain(latest.iter().map(|(name, (time, until))| of_user(name, *time, *until)))
        .collect();
    for store in stores {
        assert_eq!(revoked(store).await, expected);
    }
}

pub(crate) async fn revocations_at_once_leave_the_latest_times(home: &impl Home) {
    revoke_at_once(&[home.open().await]).await;
}

pub(crate) async fn revoking_and_appending_go_on_beside_each_other(home: &impl Home) {
    let store = home.open().await;
    let appenders: Vec<_> = (0..4)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                let own = topic(&format!("p{number}"));
                for _ in 0..20 {
                    log.append(&many(&own, 50)).await;
                }
                assert_eq!(log.all(&own).await.len(), 1_000);
            })
        })
        .collect();
    revoke_all(&store, (0..500).map(|n| of_token(&format!("t{n}"), FAR))).await;
    for appender in appenders {
        appender.await.unwrap();
    }
    assert_eq!(revoked(&store).await.len(), 500);
}
