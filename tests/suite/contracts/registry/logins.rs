//! What outlives sockets.

use std::time::Duration;

use footfall::registry::{Login, LoginKey, News};

use super::{Home, LONG, news, nothing_more, reader, user};

const SHORT: Duration = Duration::from_secs(2);

fn login(name: Option<&str>, data: &str) -> Login {
    Login::new(name.map(user), data).unwrap()
}

pub(crate) async fn a_login_session_slides(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let (key, other) = (LoginKey::of("cookie"), LoginKey::of("other"));
    let first = login(None, "a\nb");
    assert_eq!(one.login(key).await.unwrap(), None);
    assert!(one.begin_login(key, first.clone(), SHORT).await.unwrap());
    assert!(one.begin_login(other, first.clone(), SHORT).await.unwrap());
    assert!(!two.begin_login(key, login(None, "another"), SHORT).await.unwrap(), "it is taken");
    assert_eq!(two.login(key).await.unwrap(), Some(first.clone()));

    home.pass(SHORT * 3 / 4).await;
    assert_eq!(two.touch_login(key, SHORT).await.unwrap(), Some(first));
    home.pass(SHORT * 3 / 4).await;
    assert_eq!(one.login(other).await.unwrap(), None, "nobody came back");
    let second = login(Some("alice"), "");
    assert!(one.change_login(key, second.clone(), SHORT).await.unwrap());
    home.pass(SHORT * 3 / 4).await;
    assert_eq!(two.login(key).await.unwrap(), Some(second));
    home.pass(SHORT).await;
    assert_eq!(two.touch_login(key, SHORT).await.unwrap(), None);
    assert_eq!(two.login(key).await.unwrap(), None);
    assert!(one.begin_login(key, login(None, ""), SHORT).await.unwrap());
}

pub(crate) async fn a_login_session_that_ended_does_not_come_back(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let mut reader = reader(&two).await;
    let key = LoginKey::of("cookie");
    one.begin_login(key, login(Some("alice"), ""), LONG).await.unwrap();
    assert!(two.end_login(key).await.unwrap());
    assert!(!two.end_login(key).await.unwrap());
    assert!(!one.change_login(key, login(Some("alice"), "late"), LONG).await.unwrap());
    assert_eq!(one.touch_login(key, LONG).await.unwrap(), None);
    assert_eq!(one.login(key).await.unwrap(), None);
    assert_eq!(one.logins_of(user("alice")).await.unwrap(), []);
    assert_eq!(news(&mut reader).await, News::LoginEnded { login: key, user: Some(user("alice")) });
    nothing_more(&one, &mut reader).await;
}

pub(crate) async fn login_sessions_are_listed_by_user(home: &impl Home) {
    let registry = home.open().await;
    let keys: Vec<_> = ["c1", "c2", "c3", "c4"].map(LoginKey::of).to_vec();
    registry.begin_login(keys[0], login(Some("alice"), "1"), SHORT).await.unwrap();
    registry.begin_login(keys[1], login(None, "2"), LONG).await.unwrap();
    registry.begin_login(keys[2], login(Some("alice"), "3"), LONG).await.unwrap();
    registry.begin_login(keys[3], login(Some("bob"), "4"), LONG).await.unwrap();
    registry.change_login(keys[1], login(Some("alice"), "2"), LONG).await.unwrap();
    let listed = |wanted: &[(usize, &str)]| {
        let mut listed: Vec<_> = wanted.iter().map(|(index, data)| (keys[*index], login(Some("alice"), data))).collect();
        listed.sort_by_key(|(key, _)| *key);
        listed
    };
    assert_eq!(registry.logins_of(user("alice")).await.unwrap(), listed(&[(0, "1"), (1, "2"), (2, "3")]));
    // One becomes another user's, one lapses, and one would have if nobody had come.
    registry.change_login(keys[2], login(Some("bob"), "3"), LONG).await.unwrap();
    home.pass(SHORT / 2).await;
    registry.touch_login(keys[0], LONG).await.unwrap();
    registry.touch_login(keys[1], SHORT / 2).await.unwrap();
    home.pass(SHORT).await;
    assert_eq!(registry.logins_of(user("alice")).await.unwrap(), listed(&[(0, "1")]));
    assert_eq!(registry.logins_of(user("nobody")).await.unwrap(), []);
}

pub(crate) async fn a_user_has_so_many_login_sessions_and_no_more(home: &impl Home) {
    let (one, two) = (home.open().await, home.open().await);
    let mut reader = reader(&one).await;
    let keys: Vec<_> = (0..Login::MOST_OF_USER + 3).map(|number| LoginKey::of(&number.to_string())).collect();
    let is_there = async |index: usize| one.login(keys[index]).await.unwrap().is_some();
    let most = Login::MOST_OF_USER;
    for key in &keys[..most - 1] {
        assert!(one.begin_login(*key, login(Some("alice"), ""), LONG).await.unwrap());
    }
    // One that became another user's, one that was ended and one that lapsed take nobody's place.
    one.change_login(keys[0], login(Some("bob"), ""), LONG).await.unwrap();
    one.end_login(keys[1]).await.unwrap();
    assert_eq!(news(&mut reader).await, News::LoginEnded { login: keys[1], user: Some(user("alice")) });
    two.touch_login(keys[2], SHORT / 2).await.unwrap();
    home.pass(SHORT).await;
    two.touch_login(keys[3], LONG * 2).await.unwrap();
    for key in &keys[most - 1..] {
        assert!(two.begin_login(*key, login(Some("alice"), ""), LONG * 2).await.unwrap());
    }
    assert_eq!(one.logins_of(user("alice")).await.unwrap().len(), most);
    assert_eq!(one.logins_of(user("bob")).await.unwrap().len(), 1);
    for (index, expected) in [(0, true), (3, true), (4, true), (most + 2, true)] {
        assert_eq!(is_there(index).await, expected, "{index}");
    }

    // From now on whoever would lapse first makes room, but not the one that begins, and not whoever came back.
    let late = LoginKey::of("late");
    assert!(two.begin_login(late, login(Some("alice"), ""), LONG / 2).await.unwrap());
    assert!(one.login(late).await.unwrap().is_some());
    assert!(!two.begin_login(late, login(Some("alice"), "again"), LONG).await.unwrap());
    assert_eq!(one.logins_of(user("alice")).await.unwrap().len(), most);
    let next = LoginKey::of("next");
    assert!(two.begin_login(next, login(Some("alice"), ""), LONG).await.unwrap());
    assert_eq!(one.login(late).await.unwrap(), None);
    let left = one.logins_of(user("alice")).await.unwrap();
    assert!(left.len() == most && left.iter().any(|(key, _)| *key == keys[3]));
    // One that is written anew is no further one.
    assert!(two.change_login(next, login(Some("alice"), "changed"), LONG).await.unwrap());
    assert_eq!(one.logins_of(user("alice")).await.unwrap().len(), most);
    assert!(is_there(0).await, "it is bob's");
    // One that was ended makes room at once.
    assert!(one.end_login(keys[3]).await.unwrap());
    assert_eq!(news(&mut reader).await, News::LoginEnded { login: keys[3], user: Some(user("alice")) });
    assert!(two.begin_login(LoginKey::of("last"), login(Some("alice"), ""), LONG).await.unwrap());
    assert_eq!(one.logins_of(user("alice")).await.unwrap().len(), most);
    nothing_more(&one, &mut reader).await;
}
