//! What rules see, which policy decides, and which settings are no policies.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::message::{Code, Refusal, SendTo, SubscribeTo, User, UserName};

pub(super) const NOW: u64 = 1_800_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    destinations: Vec<DestinationSettings>,
    #[serde(default)]
    applications: Vec<ApplicationSettings>,
}

pub(super) fn compile(toml: &str) -> Result<Policies, PolicyError> {
    let Settings { destinations, applications } = toml::from_str(toml).unwrap();
    Policies::compile(&destinations, &applications, Refusals::Close).map_err(|mut errors| errors.remove(0))
}

pub(super) fn policies(toml: &str) -> Policies {
    compile(toml).unwrap_or_else(|error| panic!("{toml}\n{error}"))
}

pub(super) fn user_with(name: &str, roles: &[&str], claims: Value) -> User {
    User {
        name: UserName::new(name).unwrap(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        claims: Arc::new(claims),
        expires_at: None,
        token: None,
        issued_at: None,
    }
}

pub(super) fn alice() -> User {
    user_with("alice", &["USER"], json!({ "sub": "alice", "rooms": ["42", "43"], "org": { "id": 7 }, "level": 3 }))
}

pub(super) fn text(body: &str) -> OutgoingMessage<'_> {
    OutgoingMessage { headers: &[], body: body.as_bytes(), content_type: None }
}

pub(super) fn subscribe(policies: &Policies, user: &User, to: &str) -> Result<SubscribeGrant, Refusal> {
    policies.subscribe(user, &SubscribeTo::parse(to).unwrap(), NOW)
}

pub(super) fn send(policies: &Policies, user: &User, to: &str, body: &str) -> Result<SendGrant, Refusal> {
    policies.send(user, &SendTo::parse(to).unwrap(), &text(body), NOW)
}

fn code<T>(result: Result<T, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

/// A rule for SENDs to `/topic/rooms.{room}`.
fn sends(rule: &str, user: &User, message: &OutgoingMessage<'_>) -> bool {
    let policies = policies(&format!("[[destinations]]\npattern = '/topic/rooms.{{room}}'\nsend = '''{rule}'''"));
    policies.send(user, &SendTo::parse("/topic/rooms.42").unwrap(), message, NOW).is_ok()
}

#[test]
fn rules_see_user_claims_params_and_message() {
    let headers: Vec<(Box<str>, Box<str>)> = vec![("x-kind".into(), "offer".into()), ("lang".into(), "de".into())];
    let body = r#"{"price":12,"tags":["a","b"],"deep":{"er":null},"half":0.5,"big":18446744073709551615}"#;
    let message = OutgoingMessage { headers: &headers, body: body.as_bytes(), content_type: Some("application/json") };
    for rule in [
        "true",
        "user.name == 'alice'",
        "'USER' in user.roles",
        "user.roles == ['USER'] && size(user.roles) == 1 && user.roles[0] == 'USER'",
        "user == {'name': 'alice', 'roles': ['USER']}",
        "params.room == '42' && params['room'] == '42' && params == {'room': '42'}",
        "params.room in claims.rooms",
        "params.room in claims.rooms || 'ADMIN' in user.roles",
        "claims.rooms.exists(room, room == params.room)",
        "claims.org.id == 7 && claims['org']['id'] + 1 == 8",
        "has(claims.org.id) && has(claims.level) && !has(claims.banned)",
        "claims.level >= 3 && type(claims.level) == int",
        "destination == '/topic/rooms.42'",
        "!member",
        "now == 1800000000 && now > 1700000000",
        "message.size > 10 && message.size < 1000",
        "message.headers.lang == 'de' && message.headers['x-kind'] == 'offer'",
        "message.headers['content-type'].startsWith('application/')",
        "message.json.price == 12 && message.json.price + 1 > claims.level",
        "message.json.tags.all(tag, tag in ['a', 'b', 'c'])",
        "message.json.deep.er == null && message.json['half'] == 0.5 && message.json.big > 1.0",
        "has(message.json.price) && !has(message.json.other)",
        "[1, 2].exists(x, [3, 2].exists(y, x == y))",
        "claims.nowhere == 1 || true",
    ] {
        assert!(sends(rule, &alice(), &message), "{rule}");
    }
    for rule in [
        "false",
        "user.name == 'bob'",
        "'ADMIN' in user.roles",
        "params.room in claims.org",
        "member",
        "message.json.price > 100",
        "now < 1700000000",
    ] {
        assert!(!sends(rule, &alice(), &message), "{rule}");
    }
}

#[test]
fn whatever_goes_wrong_in_a_rule_denies() {
    for rule in [
        "claims.nowhere == 1",
        "claims.nowhere != 'banned'",
        "!(claims.nowhere == 1)",
        "!claims.rooms",
        "claims.rooms",
        "claims.level",
        "claims",
        "message.size",
        "user.name",
        "claims.rooms[7] == 'x'",
        "claims.rooms[-1] == 'x'",
        "claims.level / 0 == 1",
        "claims.level % 0 == 1",
        "9223372036854775807 + claims.level > 0",
        "claims.level < 'a'",
        "claims.level in 5",
        "user.name.nothing == 1",
        "claims.rooms.all(room, room.x == 1)",
        "message.json.price > 1",
        "message.json != null",
        "message.json == null",
        "message.headers.missing != 'x'",
        "int(user.name) > 0",
        "claims.nowhere ? true : true",
        "type(claims.nowhere) == int",
    ] {
        assert!(!sends(rule, &alice(), &text("no json")), "{rule}");
        assert!(!sends(rule, &alice(), &text("")), "{rule}");
    }
}

#[test]
fn a_rule_sees_no_more_than_it_can_work_through() {
    let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
    for (length, expected) in [(facts::MAX_ELEMENTS, true), (facts::MAX_ELEMENTS + 1, false)] {
        assert_eq!(sends("message.json.all(x, x == 1)", &alice(), &text(&list(length))), expected, "{length}");
        let claims = user_with("alice", &[], json!({ "rooms": vec!["1"; length] }));
        assert_eq!(sends("claims.rooms.all(x, x == '1')", &claims, &text("")), expected, "{length}");
        // What is beside it does no harm as long as the rule doesn't ask for it.
        assert!(sends("user.name == 'alice'", &claims, &text(&list(length))));
    }
    // Each round of the outer loop looks the list up again, and that has an end.
    let nested = "message.json.all(x, message.json.all(y, y == 1))";
    assert!(sends(nested, &alice(), &text(&list(300))));
    assert!(!sends(nested, &alice(), &text(&list(400))));
    let large = json!({ "a": "x".repeat(60_000), "l": vec![1; 200] }).to_string();
    assert!(!sends("message.json.l.all(x, message.json.a.size() > x)", &alice(), &text(&large)));
}

#[test]
fn the_first_policy_that_fits_decides() {
    let policies = policies(
        "[[destinations]]
        pattern = '/topic/rooms.secret'
        subscribe = '\"ADMIN\" in user.roles'
        [[destinations]]
        pattern = '/topic/rooms.*'
        subscribe = 'true'
        store = true
        retention = { count = 100 }
        [[destinations]]
        pattern = '/topic/**'
        send = 'true'",
    );
    assert_eq!(code(subscribe(&policies, &alice(), "/topic/rooms.secret")), Some(Code::SubscribeDenied));
    assert!(subscribe(&policies, &user_with("root", &["ADMIN"], json!({})), "/topic/rooms.secret").is_ok());
    let grant = subscribe(&policies, &alice(), "/topic/rooms.42").unwrap();
    assert_eq!(grant.policy().pattern.as_str(), "/topic/rooms.*");
    assert_eq!(grant.target(), &SubscribeTarget::Destination(Destination::parse("/topic/rooms.42").unwrap()));
    assert_eq!(code(send(&policies, &alice(), "/topic/rooms.42", "")), Some(Code::SendDenied), "a later policy gives nothing");
    assert_eq!(code(subscribe(&policies, &alice(), "/topic/news")), Some(Code::SubscribeDenied), "without a rule nobody may");
    assert!(send(&policies, &alice(), "/topic/news", "").is_ok());
    for to in ["/queue/rooms.42", "/app/rooms", "/user/queue/x"] {
        assert_eq!(code(subscribe(&policies, &alice(), to)), Some(Code::UnknownDestination), "{to}");
    }
    for to in ["/queue/rooms.42", "/app/rooms", "/user/alice/queue/x"] {
        assert_eq!(code(send(&policies, &alice(), to, "")), Some(Code::UnknownDestination), "{to}");
    }
    let patterns: Vec<&str> = policies.iter().map(|policy| policy.pattern.as_str()).collect();
    assert_eq!(patterns, ["/topic/rooms.secret", "/topic/rooms.*", "/topic/**"]);
}

#[test]
fn a_policy_says_what_its_destinations_are() {
    let policies = policies(
        "[[destinations]]
        pattern = '/topic/a'
        [[destinations]]
        pattern = '/topic/b'
        store = true
        receipt = 'stored'
        retention = { age = '12h' }
        wildcard = true
        refusals = 'notify'
        [[destinations]]
        pattern = '/user/queue/{name}'
        retention = {}",
    );
    let policy = |text: &str| Arc::clone(policies.policy_of(&Destination::from_record(text).unwrap()).unwrap());
    let a = policy("/topic/a");
    assert_eq!((a.store, a.receipt, a.wildcard, a.notify), (false, Receipt::Bus, false, false));
    assert_eq!(a.retention, Retention { count: Some(10_000), age: Some(Duration::from_hours(30 * 24)) });
    let b = policy("/topic/b");
    assert_eq!((b.store, b.receipt, b.wildcard, b.notify), (true, Receipt::Stored, true, true));
    assert_eq!(b.retention, Retention { count: None, age: Some(Duration::from_hours(12)) });
    assert_eq!(policy("/user/alice/queue/x").retention, Retention { count: None, age: None });
    assert!(policies.policy_of(&Destination::parse("/topic/c").unwrap()).is_none());
}

#[test]
fn one_policy_serves_both_ways_to_a_private_queue() {
    let policies = policies(
        "[[destinations]]
        pattern = '/user/queue/notices'
        subscribe = 'params.user == user.name'
        send = 'params.user in claims.friends && destination == \"/user/queue/notices\"'
        [[destinations]]
        pattern = '/user/queue/{name}'
        subscribe = 'params.name == \"errors\"'",
    );
    let bob = user_with("bob", &[], json!({ "friends": ["alice", "a/b"] }));
    let grant = subscribe(&policies, &bob, "/user/queue/notices").unwrap();
    assert_eq!(grant.target(), &SubscribeTarget::Destination(Destination::from_record("/user/bob/queue/notices").unwrap()));
    assert!(subscribe(&policies, &bob, "/user/queue/errors").is_ok());
    assert_eq!(code(subscribe(&policies, &bob, "/user/queue/other")), Some(Code::SubscribeDenied));
    for spelling in ["/user/alice/queue/notices", "/user/%61lice/queue/notices"] {
        assert_eq!(send(&policies, &bob, spelling, "").unwrap().destination().as_str(), "/user/alice/queue/notices");
    }
    assert_eq!(send(&policies, &bob, "/user/a%2Fb/queue/notices", "").unwrap().destination().as_str(), "/user/a%2Fb/queue/notices");
    for stranger in ["/user/carol/queue/notices", "/user/bob/queue/notices", "/user/Alice/queue/notices", "/user/alice/queue/errors"] {
        assert_eq!(code(send(&policies, &bob, stranger, "")), Some(Code::SendDenied), "{stranger}");
    }
}

#[test]
fn a_private_queue_can_not_be_named_even_by_a_request_that_was_never_parsed() {
    let policies = policies("[[destinations]]\npattern = '/user/queue/**'\nsubscribe = 'true'\nsend = 'true'");
    let others = Destination::from_record("/user/bob/queue/x").unwrap();
    assert_eq!(code(policies.subscribe(&alice(), &SubscribeTo::Destination(others.clone()), NOW)), Some(Code::BadDestination));
    assert_eq!(code(policies.send(&alice(), &SendTo::Destination(others), &text(""), NOW)), Some(Code::BadDestination));
    let pattern = Pattern::parse("/user/queue/*").unwrap();
    assert_eq!(code(policies.subscribe(&alice(), &SubscribeTo::Pattern(pattern), NOW)), Some(Code::BadDestination));
}

#[test]
fn the_rule_of_an_application_alone_decides() {
    let policies = policies(
        "[[applications]]
        pattern = '/app/chat/{room}'
        target = '/topic/rooms.{room}'
        send = 'params.room in claims.rooms && destination.startsWith(\"/app/chat/\") && message.size > 0'
        [[applications]]
        pattern = '/app/closed/{room}'
        target = '/topic/rooms.{room}'
        [[applications]]
        pattern = '/app/whisper/{to}'
        target = '/user/{to}/queue/whispers'
        send = 'true'
        [[applications]]
        pattern = '/app/boss'
        target = '/user/the%20boss/queue/whispers'
        send = 'true'
        [[applications]]
        pattern = '/app/lost/{room}'
        target = '/queue/{room}'
        send = 'true'
        [[destinations]]
        pattern = '/topic/rooms.{room}'
        store = true
        refusals = 'notify'
        [[destinations]]
        pattern = '/user/queue/whispers'",
    );
    let grant = send(&policies, &alice(), "/app/chat/42", "hi").unwrap();
    assert_eq!((grant.destination().as_str(), grant.policy().store), ("/topic/rooms.42", true));
    let denied = send(&policies, &alice(), "/app/chat/7", "hi").unwrap_err();
    assert_eq!((denied.code, denied.notify), (Code::SendDenied, true), "as the target wants it");
    assert_eq!(code(send(&policies, &alice(), "/app/chat/42", "")), Some(Code::SendDenied));
    assert_eq!(code(send(&policies, &alice(), "/app/closed/42", "hi")), Some(Code::SendDenied));
    assert_eq!(code(send(&policies, &alice(), "/topic/rooms.42", "hi")), Some(Code::SendDenied), "directly it stays forbidden");
    assert_eq!(send(&policies, &alice(), "/app/whisper/bob", "").unwrap().destination().as_str(), "/user/bob/queue/whispers");
    assert_eq!(send(&policies, &alice(), "/app/boss", "").unwrap().destination().as_str(), "/user/the%20boss/queue/whispers");
    assert_eq!(code(send(&policies, &alice(), "/app/lost/42", "")), Some(Code::UnknownDestination), "the target has no policy");
    assert_eq!(code(send(&policies, &alice(), "/app/unknown", "")), Some(Code::UnknownDestination));
    assert_eq!(code(send(&policies, &alice(), "/app/chat/42/x", "")), Some(Code::UnknownDestination));
    let long = format!("/app/chat/{}", "r".repeat(190));
    let rich = user_with("alice", &[], json!({ "rooms": ["r".repeat(190)] }));
    assert_eq!(code(send(&policies, &rich, &long, "hi")), Some(Code::BadDestination), "the target would be too long");
}

#[test]
fn refusals_say_whether_the_connection_lives() {
    let toml = "[[destinations]]\npattern = '/topic/quiet'\nrefusals = 'notify'\n[[destinations]]\npattern = '/topic/loud'\nrefusals = 'close'\n\
                [[destinations]]\npattern = '/topic/*'";
    let Settings { destinations, applications } = toml::from_str(toml).unwrap();
    for (all, expected) in [(Refusals::Close, [true, false, false, false]), (Refusals::Notify, [true, false, true, true])] {
        let policies = Policies::compile(&destinations, &applications, all).unwrap();
        let notify = ["/topic/quiet", "/topic/loud", "/topic/other", "/queue/uncovered"].map(|to| {
            let subscribed = subscribe(&policies, &alice(), to).unwrap_err().notify;
            assert_eq!(send(&policies, &alice(), to, "").unwrap_err().notify, subscribed, "{to}");
            subscribed
        });
        assert_eq!(notify, expected, "{all:?}");
    }
}
