//! What every node is told.

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Revocation;
use footfall::registry::{LoginKey, News, NewsEvent, Registry, RegistryError};
use tokio::time::{Instant, timeout};

use super::{Home, LONG, admission, lease, news, next, node, nothing_more, reader, token, user};
use crate::support::PATIENCE;

async fn tell(registry: &Arc<dyn Registry>, id: &str) {
    registry.revoke(Revocation::Token { token: token(id), until: u64::MAX }).await.unwrap();
}

fn told(id: &str) -> News {
    News::TokenRevoked { token: token(id) }
}

pub(crate) async fn a_reader_begins_lost_and_then_misses_nothing(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    tell(&one, "before").await;
    let mut reader = two.news();
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    tell(&one, "after").await;
    assert_eq!(news(&mut reader).await, told("after"));
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn every_reader_is_told_in_the_order_of_the_changes(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let mut readers = [reader(&one).await, reader(&one).await, reader(&two).await];
    let ids: Vec<_> = (0..60).map(|number| format!("j{number}")).collect();
    let start = Instant::now();
    for (number, id) in ids.iter().enumerate() {
        tell(if number % 2 == 0 { &one } else { &two }, id).await;
    }
    for reader in &mut readers {
        for id in &ids {
            assert_eq!(news(reader).await, told(id));
        }
    }
    // Five times what it may take; the machine may be busy.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

pub(crate) async fn a_reader_that_was_away_too_long_is_lost_and_goes_on(home: &impl Home) {
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    tell(&registry, "first").await;
    assert_eq!(news(&mut reader).await, told("first"));
    // More than a home that forgets keeps.
    for number in 0..300 {
        tell(&registry, &format!("j{number}")).await;
    }
    home.forget_news().await;
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    tell(&registry, "after").await;
    assert_eq!(news(&mut reader).await, told("after"));
    nothing_more(&registry, &mut reader).await;
}

pub(crate) async fn waiting_for_news_may_be_given_up(home: &impl Home) {
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    let ids: Vec<_> = (0..200).map(|number| format!("j{number}")).collect();
    let telling = async {
        for id in &ids {
            tell(&registry, id).await;
        }
    };
    let reading = async {
        let (mut read, mut given_up, end) = (Vec::new(), 0, Instant::now() + PATIENCE);
        while read.len() < ids.len() && Instant::now() < end {
            match timeout(Duration::from_millis(1), reader.next()).await {
                Ok(event) => read.push(event.unwrap()),
                Err(_) => given_up += 1,
            }
        }
        (read, given_up)
    };
    let ((read, given_up), ()) = tokio::join!(reading, telling);
    assert_eq!(read, ids.iter().map(|id| NewsEvent::News(told(id))).collect::<Vec<_>>(), "given up {given_up} times");
}

pub(crate) async fn a_closed_registry_says_so(home: &impl Home) {
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    assert!(registry.state().available);
    registry.close().await;
    registry.close().await;
    assert!(!registry.state().available);
    assert!(matches!(timeout(PATIENCE, reader.next()).await.unwrap(), Err(RegistryError::Closed)));
    for closed in [
        registry.renew(lease(&node("a")), LONG).await.map(drop),
        registry.nodes().await.map(drop),
        registry.admit(admission("alice", "s", &node("a"))).await.map(drop),
        registry.sessions_of(user("alice")).await.map(drop),
        registry.registered(token("j")).await.map(drop),
        registry.begin_refill().await.map(drop),
        registry.login(LoginKey::of("c")).await.map(drop),
    ] {
        assert!(matches!(closed, Err(RegistryError::Closed)), "{closed:?}");
    }
}
