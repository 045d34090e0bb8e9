//! Who is connected where.

use std::time::Duration;

use footfall::registry::{Admission, Admitted, LiveSession, News, NodeRun, Renewal, Why};
use futures_util::future::join_all;

use super::{Home, LONG, admission, admit, at_most, ids, lease, live, news, node, nothing_more, reader, sessions_of, token, user};

const SHORT: Duration = Duration::from_secs(1);

pub(crate) async fn sessions_are_there_until_they_leave(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let (a, b) = (live(&one, "a").await, live(&two, "b").await);
    let mut reader = reader(&one).await;
    admit(&one, Admission { token: Some(token("j")), ..admission("alice", "s1", &a) }).await;
    home.pass(Duration::from_millis(20)).await;
    admit(&two, admission("alice", "s2", &b)).await;
    admit(&two, admission("bob", "s3", &b)).await;

    let sessions = sessions_of(&two, "alice").await;
    assert_eq!(ids(&sessions), ["s1", "s2"]);
    assert_eq!((&sessions[0].user, &sessions[0].node, &sessions[0].token), (&user("alice"), &a, &Some(token("j"))));
    assert!(sessions[0].since_ms < sessions[1].since_ms && sessions[1].token.is_none(), "{sessions:?}");

    one.leave(user("alice"), "s1".into()).await.unwrap();
    one.leave(user("alice"), "s1".into()).await.unwrap();
    one.leave(user("bob"), "s2".into()).await.unwrap();
    assert_eq!(ids(&sessions_of(&two, "alice").await), ["s2"]);
    assert_eq!(ids(&sessions_of(&two, "bob").await), ["s3"]);
    assert_eq!(sessions_of(&two, "nobody").await, []);
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn sessions_vanish_with_their_node_and_can_be_put_back(home: &impl Home) {
    let registry = home.open().await;
    let (a, b) = (node("a"), live(&registry, "b").await);
    registry.renew(lease(&a), SHORT).await.unwrap();
    admit(&registry, admission("alice", "s1", &a)).await;
    admit(&registry, admission("alice", "s2", &b)).await;
    let before = sessions_of(&registry, "alice").await;
    assert_eq!(ids(&before), ["s1", "s2"]);

    home.pass(2 * SHORT).await;
    assert_eq!(ids(&sessions_of(&registry, "alice").await), ["s2"]);

    assert_eq!(registry.renew(lease(&a), LONG).await.unwrap(), Renewal::Anew);
    registry.keep(vec![before[0].clone()]).await.unwrap();
    registry.keep(Vec::new()).await.unwrap();
    assert_eq!(sessions_of(&registry, "alice").await, before);
    registry.give_back(a).await.unwrap();
    assert_eq!(ids(&sessions_of(&registry, "alice").await), ["s2"]);
}

pub(crate) async fn sessions_of_an_earlier_start_are_no_more(home: &impl Home) {
    let registry = home.open().await;
    let earlier = live(&registry, "a").await;
    let later = NodeRun { started_ms: earlier.started_ms + 1, ..earlier.clone() };
    admit(&registry, at_most(1, admission("alice", "s1", &earlier))).await;
    registry.renew(lease(&later), LONG).await.unwrap();
    assert_eq!(sessions_of(&registry, "alice").await, []);
    let pushed_out = admit(&registry, at_most(1, admission("alice", "s2", &later))).await;
    assert_eq!(pushed_out, [], "who is no more can't be pushed out");
    assert_eq!(ids(&sessions_of(&registry, "alice").await), ["s2"]);
}

pub(crate) async fn the_oldest_session_is_pushed_out(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let (a, b) = (live(&one, "a").await, live(&two, "b").await);
    let mut reader = reader(&two).await;
    for (registry, session, node) in [(&one, "s1", &a), (&two, "s2", &b), (&one, "s3", &a)] {
        assert_eq!(admit(registry, at_most(3, admission("alice", session, node))).await, []);
        home.pass(Duration::from_millis(20)).await;
    }
    let before = sessions_of(&one, "alice").await;
    // The limit may have become smaller meanwhile.
    let pushed_out = admit(&two, at_most(2, admission("alice", "s4", &b))).await;
    assert_eq!(pushed_out, before[..2]);
    assert_eq!(ids(&sessions_of(&one, "alice").await), ["s3", "s4"]);
    for LiveSession { id, node, .. } in pushed_out {
        let told = News::SessionEnded { user: user("alice"), session: id, node: node.name, why: Why::PushedOut };
        assert_eq!(news(&mut reader).await, told);
    }
    assert_eq!(ids(&admit(&one, at_most(2, admission("bob", "s5", &a))).await), Vec::<&str>::new(), "limits are each user's own");
}

pub(crate) async fn sessions_of_silent_nodes_are_pushed_out_first(home: &impl Home) {
    let registry = home.open().await;
    let (a, b) = (live(&registry, "a").await, node("b"));
    registry.renew(lease(&b), SHORT).await.unwrap();
    admit(&registry, admission("alice", "old-and-live", &a)).await;
    home.pass(Duration::from_millis(20)).await;
    admit(&registry, admission("alice", "young-and-silent", &b)).await;
    home.pass(2 * SHORT).await;
    let pushed_out = admit(&registry, at_most(2, admission("alice", "new", &a))).await;
    assert_eq!(ids(&pushed_out), ["young-and-silent"]);
    assert_eq!(ids(&sessions_of(&registry, "alice").await), ["old-and-live", "new"]);
}

pub(crate) async fn an_admission_asked_again_changes_nothing(home: &impl Home) {
    let registry = home.open().await;
    let a = live(&registry, "a").await;
    admit(&registry, at_most(2, admission("alice", "s1", &a))).await;
    home.pass(Duration::from_millis(20)).await;
    admit(&registry, at_most(2, admission("alice", "s2", &a))).await;
    let before = sessions_of(&registry, "alice").await;
    home.pass(Duration::from_millis(20)).await;
    let Admitted::In { since_ms, pushed_out, registered } = registry.admit(at_most(2, admission("alice", "s1", &a))).await.unwrap() else {
        panic!()
    };
    assert_eq!((since_ms, pushed_out, registered), (before[0].since_ms, Vec::new(), None));
    assert_eq!(sessions_of(&registry, "alice").await, before);
}

pub(crate) async fn sessions_that_come_at_once_leave_as_many_as_may_be(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let (a, b) = (live(&one, "a").await, live(&two, "b").await);
    let coming = (0..40).map(|number| {
        let (registry, node) = if number % 2 == 0 { (&one, &a) } else { (&two, &b) };
        admit(registry, at_most(3, admission("alice", &format!("s{number}"), node)))
    });
    let mut gone: Vec<_> = join_all(coming).await.into_iter().flatten().collect();
    let stayed = sessions_of(&one, "alice").await;
    assert_eq!(stayed.len(), 3, "{stayed:?}");
    gone.extend(stayed);
    gone.sort_by(|one, other| one.id.cmp(&other.id));
    gone.dedup_by(|one, other| one.id == other.id);
    assert_eq!(gone.len(), 40, "each was pushed out once or stayed");
}

pub(crate) async fn without_a_limit_everyone_stays(home: &impl Home) {
    let registry = home.open().await;
    let (a, dead) = (live(&registry, "a").await, live(&registry, "b").await);
    for number in 0..100 {
        let node = if number < 5 { &dead } else { &a };
        assert_eq!(admit(&registry, admission("alice", &format!("s{number}"), node)).await, []);
    }
    registry.give_back(dead).await.unwrap();
    assert_eq!(sessions_of(&registry, "alice").await.len(), 95);
}

pub(crate) async fn a_session_is_ended_by_whoever_asks(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let a = live(&one, "a").await;
    let mut reader = reader(&one).await;
    admit(&one, admission("alice", "s1", &a)).await;
    assert!(!two.end(user("bob"), "s1".into()).await.unwrap(), "it is alice's");
    assert!(two.end(user("alice"), "s1".into()).await.unwrap());
    assert!(!two.end(user("alice"), "s1".into()).await.unwrap());
    assert_eq!(sessions_of(&one, "alice").await, []);
    let told = News::SessionEnded { user: user("alice"), session: "s1".into(), node: "a".into(), why: Why::Asked };
    assert_eq!(news(&mut reader).await, told);
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn names_of_any_kind_are_kept_apart(home: &impl Home) {
    let registry = home.open().await;
    let a = live(&registry, "a").await;
    // What a key, a pattern or a line of a value could be taken for.
    let names = ["a", "a:b", "a*", "{a}", "a b", "=filled", "ü:ö", "u:a", "a\u{2028}b", "%s"];
    for (number, name) in names.iter().enumerate() {
        let session = format!("s:{number} {{x}}");
        admit(&registry, at_most(1, Admission { token: Some(token(name)), ..admission(name, &session, &a) })).await;
    }
    for (number, name) in names.iter().enumerate() {
        let sessions = sessions_of(&registry, name).await;
        assert_eq!(ids(&sessions), [format!("s:{number} {{x}}")], "{name}");
        assert_eq!(sessions[0].token, Some(token(name)));
    }
}
