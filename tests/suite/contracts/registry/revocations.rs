//! Whose tokens no longer count.

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Revocation;
use footfall::registry::{Admission, Admitted, Demand, News, Registry, RegistryError};

use super::{Home, admission, live, news, node, nothing_more, reader, sessions_of, token, user};

/// As a node that starts does it.
async fn fill(registry: &Arc<dyn Registry>, list: Vec<Revocation>) {
    let refill = registry.begin_refill().await.unwrap().unwrap();
    registry.refill(list).await.unwrap();
    assert!(registry.finish_refill(refill).await.unwrap());
}

async fn is_revoked(registry: &Arc<dyn Registry>, name: &str, id: Option<&str>, issued_at: Option<u64>) -> bool {
    registry.is_revoked(user(name), id.map(token), issued_at).await.unwrap()
}

fn of_token(id: &str, until: u64) -> Revocation {
    Revocation::Token { token: token(id), until }
}

fn of_user(name: &str, issued_before: u64, until: u64) -> Revocation {
    Revocation::User { user: user(name), issued_before, until }
}

fn asking(name: &str, id: &str, issued_at: u64) -> Admission {
    let (token, issued_at) = (Some(token(id)), Some(issued_at));
    Admission { token, issued_at, demand: Demand::NotRevoked, ..admission(name, "s1", &node("a")) }
}

pub(crate) async fn what_was_revoked_is_not_known_before_it_is_filled(home: &impl Home) {
    let registry = home.open().await;
    let a = live(&registry, "a").await;
    for refused in [registry.admit(asking("alice", "j", 1)).await.map(drop), registry.is_revoked(user("alice"), None, None).await.map(drop)]
    {
        assert!(matches!(refused, Err(RegistryError::NotFilled)), "{refused:?}");
    }
    assert_eq!(sessions_of(&registry, "alice").await, []);
    // Who demands nothing needs no list.
    registry.admit(admission("alice", "s2", &a)).await.unwrap();
    fill(&registry, Vec::new()).await;
    assert!(matches!(registry.admit(asking("alice", "j", 1)).await.unwrap(), Admitted::In { .. }));
    assert_eq!(home.open().await.begin_refill().await.unwrap(), None, "once is enough");
}

pub(crate) async fn a_revoked_token_is_not_admitted(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    live(&one, "a").await;
    let until = home.now() + 100;
    fill(&one, vec![of_token("listed", until)]).await;
    let mut reader = reader(&two).await;
    one.revoke(of_token("j", until)).await.unwrap();
    for id in ["listed", "j"] {
        assert_eq!(two.admit(asking("alice", id, home.now())).await.unwrap(), Admitted::Revoked, "{id}");
        assert!(is_revoked(&two, "alice", Some(id), Some(home.now())).await);
    }
    assert_eq!(sessions_of(&two, "alice").await, []);
    assert!(matches!(two.admit(asking("alice", "other", 1)).await.unwrap(), Admitted::In { .. }));
    assert!(!is_revoked(&two, "alice", None, None).await);
    assert_eq!(news(&mut reader).await, News::TokenRevoked { token: token("j") });
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn a_users_older_tokens_are_revoked(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    live(&one, "a").await;
    fill(&one, Vec::new()).await;
    let mut reader = reader(&two).await;
    let until = home.now() + 100;
    one.revoke(of_user("alice", 1_000, until)).await.unwrap();
    assert_eq!(two.admit(asking("alice", "j", 999)).await.unwrap(), Admitted::Revoked);
    assert!(matches!(two.admit(asking("alice", "j", 1_000)).await.unwrap(), Admitted::In { .. }));
    assert!(matches!(two.admit(asking("bob", "j", 999)).await.unwrap(), Admitted::In { .. }));
    assert!(is_revoked(&two, "alice", None, None).await, "without a time it counts as old");
    assert_eq!(news(&mut reader).await, News::UserRevoked { user: user("alice"), issued_before: 1_000 });

    one.revoke(of_user("alice", 500, until)).await.unwrap();
    assert!(is_revoked(&two, "alice", None, Some(999)).await, "the later of two times counts");
    one.revoke(of_user("alice", 2_000, until)).await.unwrap();
    assert!(is_revoked(&two, "alice", None, Some(1_999)).await);
}

pub(crate) async fn revocations_lapse(home: &impl Home) {
    let registry = home.open().await;
    fill(&registry, Vec::new()).await;
    let (soon, later) = (home.now() + 2, home.now() + 100);
    registry.revoke(of_token("j", soon)).await.unwrap();
    registry.revoke(of_token("k", soon)).await.unwrap();
    registry.revoke(of_token("k", later)).await.unwrap();
    registry.revoke(of_user("alice", 1_000, soon)).await.unwrap();
    registry.revoke(of_token("for ever", u64::MAX)).await.unwrap();
    assert!(is_revoked(&registry, "bob", Some("j"), None).await && is_revoked(&registry, "alice", None, Some(1)).await);
    home.pass(Duration::from_secs(3)).await;
    assert!(!is_revoked(&registry, "bob", Some("j"), None).await && !is_revoked(&registry, "alice", None, Some(1)).await);
    assert!(is_revoked(&registry, "bob", Some("k"), None).await, "the later end counts");
    assert!(is_revoked(&registry, "bob", Some("for ever"), None).await);
}

pub(crate) async fn what_is_revoked_while_it_is_filled_stays(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let until = home.now() + 100;
    one.revoke(of_token("before", until)).await.unwrap();
    let refill = one.begin_refill().await.unwrap().unwrap();
    two.revoke(of_token("meanwhile", until)).await.unwrap();
    two.revoke(of_user("alice", 1_000, until)).await.unwrap();
    // What was read from the store may be older than what is here.
    one.refill(vec![of_token("listed", until), of_user("alice", 10, until)]).await.unwrap();
    one.refill(vec![of_token("meanwhile", home.now() - 1)]).await.unwrap();
    assert!(matches!(two.is_revoked(user("alice"), None, None).await, Err(RegistryError::NotFilled)), "not before it is finished");
    assert!(one.finish_refill(refill).await.unwrap());
    for id in ["before", "meanwhile", "listed"] {
        assert!(is_revoked(&two, "bob", Some(id), None).await, "{id}");
    }
    assert!(is_revoked(&two, "alice", None, Some(999)).await);
}

pub(crate) async fn a_filling_may_be_finished_twice_and_by_another(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let (first, second) = (one.begin_refill().await.unwrap().unwrap(), two.begin_refill().await.unwrap().unwrap());
    assert_ne!(first, second);
    assert!(one.finish_refill(first).await.unwrap());
    assert!(one.finish_refill(first).await.unwrap(), "the first answer may have been lost");
    two.refill(vec![of_token("j", home.now() + 100)]).await.unwrap();
    assert!(two.finish_refill(second).await.unwrap());
    assert!(is_revoked(&one, "bob", Some("j"), None).await);
}
