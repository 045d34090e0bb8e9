//! Spellings and wildcards that try to get past the rules (failure matrix A3).

use std::sync::LazyLock;

use proptest::prelude::*;

use super::tests::{NOW, alice, compile, policies, subscribe, text};
use super::{Arc, Destination, Pattern, Policies, SubscribeTarget};
use crate::message::{Code, SendTo, SubscribeTo};

/// What each of three verbs does with a text.
fn passes(policies: &Policies, name: &str) -> Vec<String> {
    let mut granted = Vec::new();
    if let Ok(grant) = SubscribeTo::parse(name).map_err(|_| ()).and_then(|to| policies.subscribe(&alice(), &to, NOW).map_err(|_| ())) {
        granted.push(match grant.target() {
            SubscribeTarget::Destination(destination) => destination.as_str().to_owned(),
            SubscribeTarget::Pattern(pattern) => pattern.as_str().to_owned(),
        });
    }
    for to in [name.to_owned(), format!("/user/{name}"), format!("/user/alice{name}")] {
        let Ok(to) = SendTo::parse(&to) else { continue };
        if let Ok(grant) = policies.send(&alice(), &to, &text(""), NOW) {
            granted.push(grant.destination().as_str().to_owned());
        }
    }
    granted
}

#[test]
fn no_trick_gets_past_a_policy() {
    let policies = policies("[[destinations]]\npattern = '/topic/public.*'\nsubscribe = 'true'\nsend = 'true'");
    assert_eq!(passes(&policies, "/topic/public.a"), ["/topic/public.a"; 2], "what is allowed passes, or this test would prove nothing");
    let pieces = [
        "*",
        "**",
        ">",
        "#",
        "?",
        "..",
        ".",
        "/",
        "//",
        "/..",
        "/../",
        "/./",
        "\\",
        "\\..\\",
        "%2f",
        "%2F",
        "%2e",
        "%2e%2e%2f",
        "%252f",
        "%c0%af",
        "%00",
        "\0",
        "\r",
        "\n",
        "\r\n",
        "\t",
        " ",
        "\u{a0}",
        "\u{200b}",
        "\u{200c}",
        "\u{200d}",
        "\u{feff}",
        "\u{2060}",
        "\u{202e}",
        "\u{ad}",
        "\u{301}",
        "\u{fe0f}",
        "\u{ff0e}",
        "\u{ff0f}",
        "\u{2024}",
        "\u{2215}",
        "\u{2044}",
        "\u{ff0a}",
        "\\c",
        "\\n",
        "\\\\",
        "{x}",
        "{",
        "}",
        ";",
        "?x=1",
        "#x",
        "..;/",
        "\u{85}",
        "\u{2028}",
        "\u{fffd}",
        "\u{e000}",
        "<",
        "|",
        "\"",
        "`",
        "^",
    ];
    let mut tried = 0;
    for piece in pieces {
        for name in [
            format!("/topic/public{piece}secret"),
            format!("/topic/public.a{piece}/secret"),
            format!("/topic/public.a/{piece}secret"),
            format!("/topic/public.a.{piece}"),
            format!("/topic/{piece}public.a/b"),
            format!("/topic/{piece}"),
            format!("/topic/secret{piece}public.a"),
            format!("{piece}/topic/public.a"),
            format!("/topic{piece}/public.a"),
            format!("/{piece}topic/public.a"),
            format!("/queue/public.a{piece}"),
            format!("/user/queue/public.a{piece}"),
            format!("/user/bob/queue/{piece}"),
            format!("/app/{piece}"),
            format!("/queue/x-user{piece}"),
        ] {
            let granted = passes(&policies, &name);
            tried += 1;
            // Marks that are allowed in a segment may name another public destination, which then is the one granted.
            let harmless = granted.iter().all(|granted| granted == &name && is_one_public_segment(granted));
            assert!(harmless, "{name:?} → {granted:?}");
        }
    }
    assert!(tried >= 500, "{tried}");
}

/// Said without the code under test.
fn is_one_public_segment(name: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "-_~:@!$&'()+,;=".contains(character);
    name.strip_prefix("/topic/public.").is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

#[test]
fn spellings_of_what_is_allowed_are_not_allowed() {
    let policies = policies("[[destinations]]\npattern = '/topic/public.*'\nsubscribe = 'true'\nsend = 'true'");
    for name in [
        "/topic/Public.a",
        "/TOPIC/public.a",
        "/topic/public/a",
        "/topic/public.a.b",
        "/topic/public.a/b",
        "/topic/public.",
        "/topic/public",
        "/topic/\u{ff50}ublic.a",
        "/topic/publi\u{441}.a",
        "/topic/public..a",
        "//topic/public.a",
        "/topic/public.a/",
        "topic/public.a",
        " /topic/public.a",
        "/topic/public.*",
        "/topic/public.**",
        "/topic/*",
        "/topic/**",
        "/topic/*.a",
        "/topic/{public}.a",
        "/**",
        "/*/public.a",
        "*",
        "**",
        "",
    ] {
        assert_eq!(passes(&policies, name), Vec::<String>::new(), "{name:?}");
    }
}

#[test]
fn nobody_reaches_another_users_queue() {
    let policies = policies(
        "[[destinations]]\npattern = '/user/queue/**'\nsubscribe = 'true'\n[[destinations]]\npattern = '/topic/**'\nsubscribe = 'true'\nwildcard = true\n[[destinations]]\npattern = '/queue/**'\nsubscribe = 'true'\nwildcard = true",
    );
    for name in [
        "/user/bob/queue/x",
        "/user/%62ob/queue/x",
        "/user/queue/../bob/queue/x",
        "/user/bob/queue/*",
        "/user/*/queue/x",
        "/user/**",
        "/user/{bob}/queue/x",
        "/queue/x-userbob",
        "/queue/x-user123",
        "/topic/../user/bob/queue/x",
        "/queue/**",
        "/topic/**",
        "/user/queue/x",
        "/user/queue/bob/queue/x",
    ] {
        for granted in passes(&policies, name) {
            assert!(!granted.contains("/user/") || granted.starts_with("/user/alice/"), "{name} → {granted}");
        }
        let Ok(SubscribeTo::Pattern(pattern)) = SubscribeTo::parse(name) else { continue };
        assert!(!pattern.matches(&Destination::from_record("/user/bob/queue/x").unwrap()), "{name}");
    }
}

#[test]
fn a_wildcard_is_judged_as_a_pattern() {
    let policies = policies(
        "[[destinations]]
        pattern = '/topic/rooms.secret'
        subscribe = 'true'
        [[destinations]]
        pattern = '/topic/rooms.{room}'
        subscribe = 'params.room != \"hidden\"'
        wildcard = true
        [[destinations]]
        pattern = '/topic/prices.{market}.{item}'
        subscribe = 'params.market in claims.rooms'
        wildcard = true
        [[destinations]]
        pattern = '/topic/exact.**'
        subscribe = 'destination != \"/topic/exact.hidden\"'
        wildcard = true
        [[destinations]]
        pattern = '/topic/any.**'
        subscribe = 'true || destination == \"\"'
        wildcard = true
        [[destinations]]
        pattern = '/topic/narrow.*'
        subscribe = 'true'
        [[destinations]]
        pattern = '/queue/**'
        subscribe = 'true'
        wildcard = true
        [[destinations]]
        pattern = '/topic/**'
        subscribe = 'true'
        wildcard = true",
    );
    for (name, expected) in [
        ("/topic/rooms.*", Some(Code::PatternDenied)), // one match has an earlier policy
        ("/topic/rooms.**", Some(Code::PatternDenied)),
        ("/topic/**", Some(Code::PatternDenied)),
        ("/topic/*", None), // no earlier policy has one segment
        ("/topic/prices.42.*", None),
        ("/topic/prices.42.**", Some(Code::PatternDenied)),
        ("/topic/prices.7.*", Some(Code::SubscribeDenied)),
        ("/topic/prices.*.gold", Some(Code::SubscribeDenied)), // params.market is no word
        ("/topic/prices.*.*", Some(Code::SubscribeDenied)),
        ("/topic/exact.*", Some(Code::SubscribeDenied)), // no destination to compare
        ("/topic/any.*", None),
        ("/topic/any.**", None),
        ("/topic/narrow.*", Some(Code::PatternDenied)), // not for wildcards
        ("/topic/other.*", None),
        ("/topic/other/{x}", None),
        ("/queue/**", None),
        ("/queue/*.*", None),
    ] {
        assert_eq!(subscribe(&policies, &alice(), name).err().map(|refusal| refusal.code), expected, "{name}");
    }
    let SubscribeTarget::Pattern(pattern) = subscribe(&policies, &alice(), "/topic/any.*").unwrap().target().clone() else {
        panic!("no pattern")
    };
    assert_eq!(pattern.as_str(), "/topic/any.*");
    let none = compile("[[destinations]]\npattern = '/topic/x'\nsubscribe = 'true'\nwildcard = true").unwrap();
    assert_eq!(subscribe(&none, &alice(), "/queue/*").unwrap_err().code, Code::UnknownDestination);
}

/// Words of few letters, so that patterns and destinations meet.
fn segments(words: &'static [&'static str], last: &'static [&'static str]) -> impl Strategy<Value = String> {
    let segment = (prop::sample::select(vec!["/", "."]), prop::sample::select(words));
    let end = prop::option::of((prop::sample::select(vec!["/", "."]), prop::sample::select(last)));
    (prop::sample::select(vec!["/topic", "/queue"]), prop::sample::select(words), prop::collection::vec(segment, 0..2), end).prop_map(
        |(root, first, middle, end)| {
            let middle: String = middle.into_iter().chain(end).flat_map(|(separator, word)| [separator, word]).collect();
            format!("{root}/{first}{middle}")
        },
    )
}

/// All destinations of up to three words of a few letters.
static SMALL_WORLD: LazyLock<Vec<Destination>> = LazyLock::new(|| {
    let mut names: Vec<String> = ["/topic", "/queue"].map(str::to_owned).into();
    let mut from = 0;
    for separators in [&["/"][..], &["/", "."], &["/", "."]] {
        let shorter = from..names.len();
        from = names.len();
        for index in shorter {
            for separator in separators {
                names.extend(["a", "b", "c"].map(|word| format!("{}{separator}{word}", names[index])));
            }
        }
    }
    names.iter().filter_map(|name| Destination::parse(name).ok()).collect()
});

fn pattern() -> impl Strategy<Value = String> {
    segments(&["a", "b", "*"], &["a", "*", "**"])
}

fn destination() -> impl Strategy<Value = String> {
    segments(&["a", "b", "c"], &["a", "b", "c"])
}

/// Texts that are nearly destinations.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", ".", "topic", "queue", "user", "app", "public", "a", "alice", "*", "**", "{a}", "%2f", "%61", "..", "\\", "\u{200b}",
        "\u{ff0e}", "\0", "\n", " ", "#", ">", "é", "x-user",
    ]);
    let start =
        prop::sample::select(vec!["", "/topic/", "/queue/", "/user/", "/user/queue/", "/user/alice/queue/", "/topic/public.", "/app/"]);
    (start, prop::collection::vec(piece, 0..6)).prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

proptest! {
    // More of them with PROPTEST_CASES.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(4_000)))]

    /// If a wildcard is granted, every destination that it brings has the granting policy as its first match.
    #[test]
    fn a_granted_wildcard_walks_around_no_policy(entries in prop::collection::vec((pattern(), any::<bool>()), 1..6), wildcard in pattern()) {
        let entry = |(pattern, wildcard): &(String, bool)| format!("[[destinations]]\npattern = '{pattern}'\nsubscribe = 'true'\nwildcard = {wildcard}\n");
        let settings = entries.iter().map(entry).collect::<Vec<_>>().concat();
        let policies = policies(&settings);
        let wildcard = Pattern::wildcard(&wildcard).unwrap();
        if let Ok(grant) = policies.subscribe(&alice(), &SubscribeTo::Pattern(wildcard.clone()), NOW) {
            for destination in SMALL_WORLD.iter().filter(|destination| wildcard.matches(destination)) {
                let first = policies.policy_of(destination).unwrap();
                prop_assert!(Arc::ptr_eq(first, grant.policy()), "{destination} of {wildcard} has {} before {}", first.pattern, grant.policy().pattern);
            }
        }
    }

    /// Two patterns that one destination fits overlap, and one that covers another fits whatever that one fits.
    #[test]
    fn overlap_and_cover_agree_with_fit(one in pattern(), other in pattern(), text in destination()) {
        let (one, other) = (Pattern::parse(&one).unwrap(), Pattern::parse(&other).unwrap());
        prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
        prop_assert!(!(one.fits(&text) && other.fits(&text)) || one.overlaps(&other), "{} {} {}", one, other, text);
        prop_assert!(!(one.covers(&other) && other.fits(&text)) || one.fits(&text), "{} {} {}", one, other, text);
        prop_assert!(!one.covers(&other) || one.overlaps(&other), "{} {}", one, other);
    }

    /// What is granted is what was asked for, byte by byte, and what routing will match is what the rule saw.
    #[test]
    fn routing_and_authorization_see_the_same(name in nearly()) {
        static POLICIES: LazyLock<Policies> = LazyLock::new(|| policies("[[destinations]]\npattern = '/topic/public.*'\nsubscribe = 'destination.startsWith(\"/topic/public.\")'\nsend = 'destination.startsWith(\"/topic/public.\")'\n[[destinations]]\npattern = '/user/queue/*'\nsubscribe = 'params.user == \"alice\"'\nsend = 'params.user == \"alice\"'"));
        let policies = &*POLICIES;
        for granted in passes(policies, &name) {
            let private = granted.strip_prefix("/user/alice/queue/").is_some_and(|rest| !rest.contains(['/', '.']));
            prop_assert!(private || (granted == name && is_one_public_segment(&granted)), "{name:?} → {granted:?}");
            let destination = Destination::from_record(&granted).unwrap();
            prop_assert!(policies.policy_of(&destination).is_some());
            prop_assert_eq!(destination.as_str(), granted.as_str());
        }
    }
}
