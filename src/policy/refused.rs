//! Settings that are no policies.

use super::tests::compile;
use super::{ApplicationSettings, DestinationSettings, List, Policies, Refusals};

#[test]
fn settings_that_are_no_policies_are_refused_with_their_place() {
    let destination = |entry: &str| format!("[[destinations]]\npattern = '/topic/x'\n[[destinations]]\n{entry}");
    let application = |entry: &str| format!("[[applications]]\n{entry}");
    for (toml, expected) in [
        (destination("pattern = '/topics/x'"), "destinations[1].pattern: A pattern begins with"),
        (destination("pattern = '/topic/{a}.{a}'"), "destinations[1].pattern: A name in braces"),
        (destination("pattern = '/app/x'"), "destinations[1].pattern: A pattern in [[destinations]]"),
        (destination("pattern = '/user/queue/{user}'"), "destinations[1].pattern: A pattern of private queues"),
        (destination("pattern = '/user/queue/*'\nwildcard = true"), "destinations[1].wildcard: Clients never"),
        (destination("pattern = '/topic/y'\nreceipt = 'stored'"), "destinations[1].receipt: A receipt"),
        (destination("pattern = '/topic/y'\nretention = { count = 0 }"), "destinations[1].retention: To keep"),
        (destination("pattern = '/topic/y'\nsubscribe = ''"), "destinations[1].subscribe: Line 1, column 1: "),
        (destination("pattern = '/topic/y'\nsubscribe = 'true &&'"), "destinations[1].subscribe: Line 1, column 8: "),
        (destination("pattern = '/topic/y'\nsubscribe = '''\ntrue\n&& (false'''"), "destinations[1].subscribe: Line 2, column 10: "),
        (destination("pattern = '/topic/y'\nsend = 'usr.name == 1'"), "destinations[1].send: Line 1, column "),
        (
            destination("pattern = '/topic/y'\nsend = 'true || user.nam == 1'"),
            "destinations[1].send: Line 1, column 13: There is no user.nam here. A rule may use user.name, user.roles.",
        ),
        (
            destination("pattern = '/topic/{room}'\nsend = 'params.rom == 1'"),
            "destinations[1].send: Line 1, column 7: There is no params.rom here. A rule may use params.room.",
        ),
        (
            destination("pattern = '/topic/y'\nsend = 'params.room == 1'"),
            "destinations[1].send: Line 1, column 7: There is no params.room here.",
        ),
        (
            destination("pattern = '/topic/y'\nsubscribe = 'message.size == 1'"),
            "destinations[1].subscribe: Line 1, column 8: There is no message here.",
        ),
        (
            destination("pattern = '/topic/y'\nsend = 'message.body == 1'"),
            "destinations[1].send: Line 1, column 8: There is no message.body here.",
        ),
        (
            destination("pattern = '/topic/y'\nsend = 'matches(user.name, \"a\")'"),
            "destinations[1].send: Line 1, column 8: There is no function matches.",
        ),
        (destination("pattern = '/topic/y'\nsend = '[1].all(x, x == y)'"), "destinations[1].send: Line 1, column 17: There is no y here."),
        (
            destination("pattern = '/topic/y'\nsend = '[1].all(x, true) && x'"),
            "destinations[1].send: Line 1, column 21: There is no x here.",
        ),
        (destination("pattern = '/topic/y'\nsend = '\"yes\"'"), "destinations[1].send: A rule is true or false"),
        (destination("pattern = '/topic/y'\nsend = '[1].all(x, [2].all(y, [3].all(z, true)))'"), "destinations[1].send: Line 1, column "),
        (
            destination(&format!("pattern = '/topic/y'\nsend = 'true{}'", " || true".repeat(600))),
            "destinations[1].send: A rule has at most",
        ),
        (application("pattern = '/topic/x'\ntarget = '/topic/x'"), "applications[0].pattern: A pattern in [[applications]]"),
        (application("pattern = '/app/{'\ntarget = '/topic/x'"), "applications[0].pattern: A segment"),
        (application("pattern = '/app/{a}'\ntarget = '/topic/{b}'"), "applications[0].target: The target names {b}"),
        (application("pattern = '/app/{a}'\ntarget = '/user/{b}/queue/x'"), "applications[0].target: The target names {b}"),
        (application("pattern = '/app/{a}'\ntarget = '/app/{a}'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/user/queue/x'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/user/{a}/topic/x'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/user/x'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/topic/*'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/topic/**'"), "applications[0].target: A target is"),
        (application("pattern = '/app/{a}'\ntarget = '/topic/x\\\\y'"), "applications[0].target: A target is"),
        (
            application("pattern = '/app/{a}'\ntarget = '/topic/{a}'\nsend = 'a'"),
            "applications[0].send: Line 1, column 1: There is no a here.",
        ),
    ] {
        let error = compile(&toml).expect_err(&toml).to_string();
        assert!(error.starts_with(expected), "{toml}\n{error}");
    }
    let errors = Policies::compile(
        &[
            toml::from_str("pattern = 'x'").unwrap(),
            toml::from_str("pattern = '/topic/x'").unwrap(),
            toml::from_str("pattern = 'y'").unwrap(),
        ],
        &[toml::from_str("pattern = 'z'\ntarget = '/topic/x'").unwrap()],
        Refusals::Close,
    )
    .unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| (error.list, error.index)).collect();
    assert_eq!(places, [(List::Destinations, 0), (List::Destinations, 2), (List::Applications, 0)], "every bad entry is named");
    for unknown in [
        "pattern = '/topic/x'\nstored = true",
        "pattern = '/topic/x'\nretention = { days = 1 }",
        "pattern = '/topic/x'\nretention = { age = 3 }",
        "store = true",
    ] {
        assert!(toml::from_str::<DestinationSettings>(unknown).is_err(), "{unknown}");
    }
    assert!(toml::from_str::<ApplicationSettings>("pattern = '/app/x'\ntarget = '/topic/x'\nsubscribe = 'true'").is_err());
}
