//! What a check finds after everything could be read, and where it says that it stands.

use super::*;

/// What the check says of this file, and of these variables.
fn checked(file: &str, env: &[(&str, &str)]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("footfall.toml");
    std::fs::write(&path, file).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (settings, written) = Settings::read(Some(&path), env).unwrap();
    assert!(!format!("{written:?}").contains("hunter2"), "a secret in Debug");
    let text = written.check(settings).map(drop).map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""));
    assert!(!text.as_ref().is_err_and(|text| text.contains("hunter2")), "a secret in {text:?}");
    text
}

const KEY: &str = "[[auth.keys]]\nalgorithms = ['HS256']\nsecret = 'hunter2-hunter2-hunter2-hunter2-hunter2'\n";

#[track_caller]
fn bad(file: &str, env: &[(&str, &str)], expected: &str) {
    assert_eq!(checked(&format!("{file}{KEY}"), env), Err(expected.to_owned()));
}

#[test]
fn a_rule_is_shown_at_the_letter_that_is_wrong() {
    bad(
        "[[destinations]]\npattern = '/topic/{room}'\nsend = 'true && params.rom == 1'\n",
        &[],
        "footfall.toml:3:23: `destinations[0].send`: There is no params.rom here. A rule may use params.room.\n  3 | send = 'true && params.rom == 1'\n    |                       ^",
    );
    bad(
        "[[destinations]]\npattern = '/topic/x'\n[[destinations]]\npattern = '/topic/y'\nsubscribe = '''\ntrue\n&& (false'''\n",
        &[],
        "footfall.toml:7:10: `destinations[1].subscribe`: Syntax error: missing ')' at '<EOF>'.\n  7 | && (false'''\n    |          ^",
    );
    // With an escape the letters of the file are not those of the rule.
    bad(
        "[[destinations]]\npattern = '/topic/x'\nsend = \"user.name == \\\"\\u0061\\\" && usr\"\n",
        &[],
        "footfall.toml:3:8: `destinations[0].send`: Line 1, column 21: There is no usr here. A rule may use user, claims, params, destination, member, now, message.\n  3 | send = \"user.name == \\\"\\u0061\\\" && usr\"\n    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    );
    let long = checked(&format!("[[destinations]]\npattern = '/topic/x'\nsend = '{}usr'\n{KEY}", "true || ".repeat(40)), &[]).unwrap_err();
    let [_, line, mark] = long.lines().collect::<Vec<_>>()[..] else { panic!("{long}") };
    assert_eq!(line.chars().nth(mark.chars().position(|one| one == '^').unwrap()), Some('u'), "{long}");
}

#[test]
fn what_a_variable_set_is_found_under_its_name() {
    let file = "[[destinations]]\npattern = '/topic/x'\nsend = 'true'\n";
    bad(
        file,
        &[("FOOTFALL_DESTINATIONS__0__SEND", "usr")],
        "FOOTFALL_DESTINATIONS__0__SEND: Line 1, column 1: There is no usr here. A rule may use user, claims, params, destination, member, now, message.",
    );
    bad(
        "",
        &[("FOOTFALL_DESTINATIONS", "[{ pattern = '/topics/x' }]")],
        "FOOTFALL_DESTINATIONS: `destinations[0].pattern`: A pattern begins with /topic/, /queue/, /app/ or /user/queue/, and a client's wildcard with /topic/ or /queue/.",
    );
    bad("", &[("FOOTFALL_SERVER__PATH", "ws")], "FOOTFALL_SERVER__PATH: It begins with / and has none of { } * ? # and :.");
    bad("", &[("FOOTFALL_SESSION__ACK_WINDOW", "0")], "FOOTFALL_SESSION__ACK_WINDOW: It is at least 1, or no session could do anything.");
}

#[test]
fn settings_of_all_parts_have_their_line() {
    bad(
        "[server]\nallowed_origins = ['https://a.example', '*']\n[auth]\ncookie = 'token'\n",
        &[],
        "footfall.toml:2:41: `server.allowed_origins[1]`: \"*\" lets every page use its visitors' cookies, so auth.cookie can't be set with it.\n  2 | allowed_origins = ['https://a.example', '*']\n    |                                         ^^^",
    );
    bad(
        "[session]\nheart_beat_send = '1s'\n",
        &[],
        "footfall.toml:2:19: `session.heart_beat_send`: It is 0s, or between heart_beat_least and heart_beat_most.\n  2 | heart_beat_send = '1s'\n    |                   ^^^^",
    );
    bad(
        "[log]\nfilter = 'footfall=loud'\n",
        &[],
        "footfall.toml:2:10: `log.filter`: A filter is of the form info or info,footfall=debug.\n  2 | filter = 'footfall=loud'\n    |          ^^^^^^^^^^^^^^^",
    );
    bad(
        "[store]\nretention_interval = '5ms'\n",
        &[],
        "footfall.toml:2:22: `store.retention_interval`: It is at least 1s.\n  2 | retention_interval = '5ms'\n    |                      ^^^^^",
    );
    // What nobody wrote stands where it would belong.
    bad(
        "[server]\nmax_frame = 900000\n",
        &[],
        "footfall.toml:1:1: `server.max_outbox`: An outbox holds two of the largest frames: it is at least twice max_frame, in bytes.\n  1 | [server]\n    | ^^^^^^^^",
    );
}

#[test]
fn a_bad_key_is_named_and_no_secret_is_shown() {
    for (file, expected) in [
        (
            "",
            "footfall.toml: `auth.keys`: There is no key, so no token could be good; add [[auth.keys]] with a secret of 32 bytes or a public_key_file.",
        ),
        (
            "[[auth.keys]]\nalgorithms = ['HS256']\n  secret = 'hunter2'\n",
            "footfall.toml:3:12: `auth.keys[0].secret`: A secret has at least 32 bytes; make one with `openssl rand -hex 32`.\n  3 | secret = …\n    |          ^",
        ),
        (
            "[[auth.keys]]\nalgorithms = ['HS256']\nsecret = '''\nhunter2'''\n",
            "footfall.toml:3:10: `auth.keys[0].secret`: A secret has at least 32 bytes; make one with `openssl rand -hex 32`.\n  3 | secret = …\n    |          ^",
        ),
        (
            "[[auth.keys]]\nalgorithms = ['HS256']\n",
            "footfall.toml:1:1: `auth.keys[0].secret`: A key has exactly one of secret, secret_file and public_key_file.\n  1 | [[auth.keys]]\n    | ^^^^^^^^^^^^^",
        ),
        (
            "[[auth.keys]] # hunter2\nalgorithms = ['HS256']\n",
            "footfall.toml:1:1: `auth.keys[0].secret`: A key has exactly one of secret, secret_file and public_key_file.\n  1 | [[auth.keys]]\n    | ^^^^^^^^^^^^^",
        ),
        (
            "auth.keys = [{ secret = 'hunter2-hunter2-hunter2-hunter2-hunter2', algorithms = [] }]\n",
            "footfall.toml:1:81: `auth.keys[0].algorithms`: A key needs at least one algorithm.\n  1 | algorithms = []\n    |              ^^",
        ),
        (
            "auth.keys = [{ algorithms = ['HS256'], secret = 'hunter2' }]\n",
            "footfall.toml:1:49: `auth.keys[0].secret`: A secret has at least 32 bytes; make one with `openssl rand -hex 32`.\n  1 | secret = …\n    |          ^",
        ),
        (
            "auth.keys = [{ algorithms = ['HS256'], secret_file = '/hunter2' }]\n",
            "footfall.toml:1:54: `auth.keys[0].secret_file`: The file can't be read: entity not found.\n  1 | secret_file = …\n    |               ^",
        ),
        (
            "[[auth.keys]]\nalgorithms = ['RS256']\npublic_key_file = '/nowhere'\n",
            "footfall.toml:3:19: `auth.keys[0].public_key_file`: The file can't be read: entity not found.\n  3 | public_key_file = '/nowhere'\n    |                   ^^^^^^^^^^",
        ),
        (
            &format!("auth.leeway = '61s'\n{KEY}"),
            "footfall.toml:1:15: `auth.leeway`: Clocks may differ by 60s at most; more would keep expired tokens alive.\n  1 | auth.leeway = '61s'\n    |               ^^^^^",
        ),
    ] {
        assert_eq!(checked(file, &[]), Err(expected.to_owned()), "{file}");
    }
    let variable = checked("[[auth.keys]]\nalgorithms = ['HS256']\n", &[("FOOTFALL_AUTH__KEYS__0__SECRET", "hunter2")]);
    assert_eq!(
        variable,
        Err("FOOTFALL_AUTH__KEYS__0__SECRET: A secret has at least 32 bytes; make one with `openssl rand -hex 32`.".to_owned())
    );
}

#[test]
fn everything_is_said_at_once_in_the_order_of_the_file() {
    let file = "[[applications]]\npattern = '/topic/x'\ntarget = '/topic/x'\n[server]\npath = 'ws'\nmax_connections = 0\n[session]\nack_window = 0\nmax_id_bytes = 0\n[[destinations]]\npattern = 'x'\n[[destinations]]\npattern = '/topic/x'\nsend = '1'\n[auth]\nuser_claim = ''\n[[auth.keys]]\nalgorithms = []\n[[auth.keys]]\nalgorithms = ['HS256']\nsecret = 'x'\n";
    let text = checked(file, &[("FOOTFALL_STORE__RETENTION_INTERVAL", "0s")]).unwrap_err();
    let places: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).map(|(place, _)| place).collect();
    let lines = [2, 5, 6, 8, 9, 11, 14, 16, 18, 21].map(|line| format!("footfall.toml:{line}:"));
    assert_eq!(places.len(), lines.len() + 1, "{text}");
    for (place, line) in places.iter().zip(&lines) {
        assert!(place.starts_with(line), "{place} {line}\n{text}");
    }
    assert_eq!(places.last(), Some(&"FOOTFALL_STORE__RETENTION_INTERVAL"));
}

#[test]
fn without_a_file_the_paths_are_the_places() {
    let error = Settings { session: crate::session::SessionSettings { ack_window: 0, ..Default::default() }, ..Settings::default() }
        .check()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "session.ack_window: It is at least 1, or no session could do anything.\nauth.keys: There is no key, so no token could be good; add [[auth.keys]] with a secret of 32 bytes or a public_key_file."
    );
}

#[test]
fn development_needs_a_key_that_tokens_can_be_made_with() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.public.pem");
    let file = |mode| format!("mode = '{mode}'\n[[auth.keys]]\nalgorithms = ['RS256']\npublic_key_file = '{key}'\n");
    assert_eq!(checked(&file("production"), &[]), Ok(()));
    let error = checked(&file("development"), &[]).unwrap_err();
    assert!(error.starts_with("footfall.toml:2:1: `auth.keys`: Tokens are made with a secret, and no key has one.\n"), "{error}");
}

#[test]
fn what_a_node_does_without_a_file_is_good() {
    let settings: Settings = load_text("development settings", DEVELOPMENT, std::iter::empty()).unwrap();
    let error = settings.check().unwrap_err();
    assert!(error.0.iter().all(|wrong| wrong.path == "auth.keys"), "only the key is missing, which the first start makes: {error}");
}
