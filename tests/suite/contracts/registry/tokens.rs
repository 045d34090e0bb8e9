//! Which tokens count where only registered ones do.

use std::sync::Arc;
use std::time::Duration;

use footfall::registry::{Admission, Admitted, Demand, News, Registered, RegisteredToken};

use super::{Home, admission, live, news, nothing_more, reader, token, user};

fn registered(id: &str, name: &str, expires_at: u64) -> RegisteredToken {
    RegisteredToken { id: token(id), user: user(name), roles: None, expires_at }
}

pub(crate) async fn a_token_is_registered_once(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let mut reader = reader(&one).await;
    let plain = registered("j", "alice", home.now() + 100);
    assert_eq!(one.registered(token("j")).await.unwrap(), None);
    assert_eq!(one.register(plain.clone()).await.unwrap(), Registered::New);
    assert_eq!(two.register(plain.clone()).await.unwrap(), Registered::Same);
    assert_eq!(two.registered(token("j")).await.unwrap(), Some(plain.clone()));

    let roles: Arc<[Box<str>]> = ["ADMIN".into(), "a\nb".into()].into();
    let admin = RegisteredToken { roles: Some(roles), ..plain.clone() };
    assert_eq!(two.register(admin.clone()).await.unwrap(), Registered::Changed);
    assert_eq!(one.registered(token("j")).await.unwrap(), Some(admin.clone()));
    assert_eq!(news(&mut reader).await, News::TokenChanged { token: token("j") });
    let none: Arc<[Box<str>]> = [].into();
    let nothing = RegisteredToken { roles: Some(none), ..admin };
    assert_eq!(two.register(nothing.clone()).await.unwrap(), Registered::Changed, "no roles are not the token's own");
    assert_eq!(one.registered(token("j")).await.unwrap(), Some(nothing));
    assert_eq!(news(&mut reader).await, News::TokenChanged { token: token("j") });
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn a_token_belongs_to_one_user(home: &impl Home) {
    let registry = home.open().await;
    let of_alice = registered("j", "alice", home.now() + 100);
    registry.register(of_alice.clone()).await.unwrap();
    assert_eq!(registry.register(registered("j", "bob", home.now() + 100)).await.unwrap(), Registered::Others);
    assert_eq!(registry.registered(token("j")).await.unwrap(), Some(of_alice));
    assert_eq!(registry.registered_of(user("bob")).await.unwrap(), []);
    registry.unregister(token("j")).await.unwrap();
    assert_eq!(registry.register(registered("j", "bob", home.now() + 100)).await.unwrap(), Registered::New);
}

pub(crate) async fn a_token_lapses(home: &impl Home) {
    let registry = home.open().await;
    let (soon, later) = (registered("soon", "alice", home.now() + 2), registered("later", "alice", home.now() + 100));
    registry.register(later.clone()).await.unwrap();
    registry.register(soon.clone()).await.unwrap();
    assert_eq!(registry.registered_of(user("alice")).await.unwrap(), [soon.clone(), later.clone()], "the first to end comes first");
    home.pass(Duration::from_secs(3)).await;
    assert_eq!(registry.registered(token("soon")).await.unwrap(), None);
    assert_eq!(registry.registered_of(user("alice")).await.unwrap(), std::slice::from_ref(&later));
    assert!(!registry.unregister(token("soon")).await.unwrap());
    // What ends when time does is no special case.
    let never = registered("never", "alice", u64::MAX);
    registry.register(never.clone()).await.unwrap();
    registry.register(registered("past", "alice", 1)).await.unwrap();
    assert_eq!(registry.registered_of(user("alice")).await.unwrap(), [later, never]);
}

pub(crate) async fn a_token_that_is_unregistered_is_news(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let mut reader = reader(&two).await;
    one.register(registered("j", "alice", home.now() + 100)).await.unwrap();
    assert!(one.unregister(token("j")).await.unwrap());
    assert!(!one.unregister(token("j")).await.unwrap());
    assert_eq!(two.registered(token("j")).await.unwrap(), None);
    assert_eq!(news(&mut reader).await, News::TokenRevoked { token: token("j") });
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn all_tokens_of_a_user_are_unregistered(home: &impl Home) {
    let registry = home.open().await;
    let mut reader = reader(&registry).await;
    let until = home.now() + 100;
    for (id, name) in [("a1", "alice"), ("a2", "alice"), ("b1", "bob")] {
        registry.register(registered(id, name, until)).await.unwrap();
    }
    assert_eq!(registry.unregister_all_of(user("alice")).await.unwrap(), 2);
    assert_eq!(registry.unregister_all_of(user("alice")).await.unwrap(), 0);
    assert_eq!(registry.registered_of(user("alice")).await.unwrap(), []);
    assert_eq!(registry.registered_of(user("bob")).await.unwrap(), [registered("b1", "bob", until)]);
    for id in ["a1", "a2"] {
        assert_eq!(news(&mut reader).await, News::TokenRevoked { token: token(id) });
    }
    nothing_more(&registry, &mut reader).await;
}

pub(crate) async fn only_registered_tokens_are_admitted(home: &impl Home) {
    let registry = home.open().await;
    let a = live(&registry, "a").await;
    let of_alice = registered("j", "alice", home.now() + 100);
    registry.register(of_alice.clone()).await.unwrap();
    let ask = |name: &str, id: Option<&str>| {
        let admission = Admission { token: id.map(token), demand: Demand::Registered, ..admission(name, "s1", &a) };
        registry.admit(admission)
    };
    match ask("alice", Some("j")).await.unwrap() {
        Admitted::In { registered, .. } => assert_eq!(registered, Some(of_alice)),
        other => panic!("{other:?}"),
    }
    for (name, id) in [("alice", Some("other")), ("alice", None), ("bob", Some("j"))] {
        assert_eq!(ask(name, id).await.unwrap(), Admitted::NotRegistered, "{name} {id:?}");
    }
    assert_eq!(registry.sessions_of(user("bob")).await.unwrap(), [], "who is refused leaves nothing");
    registry.unregister(token("j")).await.unwrap();
    assert_eq!(ask("alice", Some("j")).await.unwrap(), Admitted::NotRegistered);
}
