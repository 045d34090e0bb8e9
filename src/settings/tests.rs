//! Good and bad settings, and what their reader sees.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Settings {
    name: String,
    node: NodeSettings,
    server: Server,
    auth: Auth,
    kafka: BTreeMap<String, String>,
    data: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct NodeSettings {
    id: String,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Server {
    port: u16,
    ratio: f64,
    open: bool,
    origins: Vec<String>,
    mode: Mode,
    limit: Option<u32>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Embedded,
    InCluster,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Auth {
    leeway: Seconds,
    keys: Vec<Key>,
    passcode: Option<u32>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Key {
    id: String,
    secret: Strict,
}

/// As a module would read "30s".
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Seconds(u64);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is not a time such as `30s`"))
    }
}

/// A careless type, whose error shows the value.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Strict(String);

impl TryFrom<String> for Strict {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() < 8 { Err(format!("`{text}` is too short")) } else { Ok(Self(text)) }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Tagged {
    key: TaggedKey,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum TaggedKey {
    Hmac { secret: Strict },
}

fn read<T: DeserializeOwned>(file: &str, env: &[(&str, &str)]) -> Result<T, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("footfall.toml");
    fs::write(&path, file).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&path), env).map_err(|error| {
        let text = error.to_string();
        assert!(!format!("{error:?}").contains("hunter2"), "a secret in Debug");
        text.replace(&format!("{}/", folder.path().display()), "")
    })
}

#[track_caller]
fn good(file: &str, env: &[(&str, &str)]) -> Settings {
    match read(file, env) {
        Ok(settings) => settings,
        Err(problems) => panic!("{problems}"),
    }
}

#[track_caller]
fn bad(file: &str, env: &[(&str, &str)], expected: &str) {
    assert_eq!(read::<Settings>(file, env).unwrap_err(), expected);
}

/// The secret `hunter2` is in the settings; whatever goes wrong, it is not in the error.
#[track_caller]
fn silent(file: &str, env: &[(&str, &str)]) -> String {
    let error = read::<Settings>(file, env).unwrap_err();
    assert!(!error.contains("hunter") && !error.contains("unter2"), "{error}");
    error
}

#[test]
fn nothing_at_all_gives_defaults() {
    assert_eq!(load::<Settings>(None, std::iter::empty()).unwrap(), Settings::default());
    assert_eq!(good("", &[]), Settings::default());
}

#[test]
fn the_file_gives_values() {
    let settings = good(
        "name = 'x'\n[server]\nport = 0x1F90\nratio = 2\nopen = true\norigins = ['a', 'b']\nmode = 'in-cluster'\nlimit = 7\n\
         [[auth.keys]]\nid = 'one'\nsecret = 'hunter2hunter2'\n[kafka]\n'ssl.ca.location' = 'ca.pem'\n",
        &[],
    );
    assert_eq!(settings.server.port, 8080);
    assert!((settings.server.ratio - 2.0).abs() < f64::EPSILON);
    assert_eq!(settings.server.origins, ["a", "b"]);
    assert_eq!(settings.server.mode, Mode::InCluster);
    assert_eq!(settings.server.limit, Some(7));
    assert_eq!(settings.auth.keys[0].id, "one");
    assert_eq!(settings.kafka["ssl.ca.location"], "ca.pem");
}

#[test]
fn a_variable_wins_over_the_file() {
    let settings = good(
        "name = 'x'\n[server]\nport = 1\nlimit = 2\n",
        &[("FOOTFALL_SERVER__PORT", "9000"), ("FOOTFALL_AUTH__LEEWAY", "30s"), ("PATH", "/bin")],
    );
    assert_eq!((settings.server.port, settings.server.limit, settings.auth.leeway), (9000, Some(2), Seconds(30)));
    assert_eq!(settings.name, "x");
}

#[test]
fn a_variable_is_what_the_setting_needs() {
    let settings = good(
        "",
        &[
            ("FOOTFALL_NODE__ID", "123"),
            ("FOOTFALL_NAME", "true"),
            ("FOOTFALL_SERVER__OPEN", "true"),
            ("FOOTFALL_SERVER__RATIO", "0.5"),
            ("FOOTFALL_SERVER__MODE", "in-cluster"),
            ("FOOTFALL_SERVER__LIMIT", "5"),
            ("FOOTFALL_SERVER__ORIGINS", "['https://a', 'https://b']"),
            ("FOOTFALL_KAFKA", "{ acks = 'all' }"),
        ],
    );
    assert_eq!((settings.node.id.as_str(), settings.name.as_str(), settings.server.open), ("123", "true", true));
    assert_eq!((settings.server.mode, settings.server.limit), (Mode::InCluster, Some(5)));
    assert!((settings.server.ratio - 0.5).abs() < f64::EPSILON);
    assert_eq!(settings.server.origins, ["https://a", "https://b"]);
    assert_eq!(settings.kafka["acks"], "all");
}

#[test]
fn arrays_of_tables_go_by_index() {
    let from_nothing = good(
        "",
        &[
            ("FOOTFALL_AUTH__KEYS__0__ID", "0"),
            ("FOOTFALL_AUTH__KEYS__0__SECRET", "hunter2hunter2"),
            ("FOOTFALL_AUTH__KEYS__1__ID", "1"),
            ("FOOTFALL_AUTH__KEYS__1__SECRET", "hunter2hunter3"),
        ],
    );
    assert_eq!(from_nothing.auth.keys[1], Key { id: "1".into(), secret: Strict("hunter2hunter3".into()) });

    let file = "[[auth.keys]]\nid = 'a'\nsecret = 'hunter2hunter2'\n[[auth.keys]]\nid = 'b'\nsecret = 'hunter2hunter2'\n";
    let over = good(
        file,
        &[
            ("FOOTFALL_AUTH__KEYS__1__SECRET", "12345678"),
            ("FOOTFALL_AUTH__KEYS__2__ID", "c"),
            ("FOOTFALL_AUTH__KEYS__2__SECRET", "87654321"),
        ],
    );
    let ids: Vec<_> = over.auth.keys.iter().map(|key| (key.id.as_str(), key.secret.0.as_str())).collect();
    assert_eq!(ids, [("a", "hunter2hunter2"), ("b", "12345678"), ("c", "87654321")]);
}

#[test]
fn ten_and_more_elements_keep_their_order() {
    let env: Vec<_> = (0..12).map(|index| (format!("FOOTFALL_SERVER__ORIGINS__{index}"), format!("o{index}"))).collect();
    let settings: Settings = load(None, env.into_iter()).unwrap();
    let expected: Vec<_> = (0..12).map(|index| format!("o{index}")).collect();
    assert_eq!(settings.server.origins, expected);
}

#[test]
fn an_index_must_not_leave_a_hole() {
    bad("", &[("FOOTFALL_SERVER__ORIGINS__1", "a")], "FOOTFALL_SERVER__ORIGINS__1: the element before this one, 0, is missing");
    bad(
        "[server]\norigins = ['a']\n",
        &[("FOOTFALL_SERVER__ORIGINS__2", "a")],
        "FOOTFALL_SERVER__ORIGINS__2: the element before this one, 1, is missing",
    );
}

#[test]
fn an_unknown_key_shows_its_line_and_the_nearest_key() {
    bad(
        "[server]\nopen = true\nportt = 9000\n",
        &[],
        "footfall.toml:3:1: unknown key `portt` in `server`; did you mean `port`?\n  3 | portt = …\n    | ^^^^^",
    );
    bad("[sever]\nport = 1\n", &[], "footfall.toml:1:2: unknown key `sever`; did you mean `server`?\n  1 | [sever]\n    |  ^^^^^");
    bad("[node]\nzzzzzz = 1\n", &[], "footfall.toml:2:1: unknown key `zzzzzz` in `node`; known here: `id`\n  2 | zzzzzz = …\n    | ^^^^^^");
}

#[test]
fn an_unknown_variable_shows_the_nearest_variable_and_not_its_value() {
    bad("", &[("FOOTFALL_SERVER__PROT", "hunter2")], "FOOTFALL_SERVER__PROT: no such setting; did you mean FOOTFALL_SERVER__PORT?");
    bad("", &[("FOOTFALL_SEVER__PORT", "1")], "FOOTFALL_SEVER__PORT: no such setting; did you mean FOOTFALL_SERVER?");
    bad("", &[("FOOTFALL_SERVER__", "1")], "FOOTFALL_SERVER__: not the name of a setting");
}

#[test]
fn what_the_build_and_the_tests_use_is_no_setting_unless_it_is_one() {
    let settings = good("", &[("FOOTFALL_CONFIG", "x"), ("FOOTFALL_SKIP_PAGE", "1"), ("FOOTFALL_URL", "x"), ("FOOTFALL_BIN", "x")]);
    assert_eq!(settings, Settings::default());
    assert_eq!(good("", &[("FOOTFALL_DATA", "folder")]).data.as_deref(), Some("folder"));
}

#[test]
fn a_bad_value_shows_its_place_and_what_is_expected() {
    bad(
        "[server]\n  port = 'x' # comment\n",
        &[],
        "footfall.toml:2:10: `server.port`: expected a whole number from 0 to 65535, found a string\n  2 |   port = 'x'\n    |          ^^^",
    );
    bad(
        "server.port = 70000\n",
        &[],
        "footfall.toml:1:15: `server.port`: expected a whole number from 0 to 65535, found integer `70000`\n  1 | server.port = 70000\n    |               ^^^^^",
    );
    bad(
        "[server]\nmode = 'in-clutser'\n",
        &[],
        "footfall.toml:2:8: `server.mode`: unknown value `in-clutser`; did you mean `in-cluster`?\n  2 | mode = 'in-clutser'\n    |        ^^^^^^^^^^^^",
    );
    bad(
        "[auth]\nleeway = 'soon'\n",
        &[],
        "footfall.toml:2:10: `auth.leeway`: `soon` is not a time such as `30s`\n  2 | leeway = 'soon'\n    |          ^^^^^^",
    );
    bad("", &[("FOOTFALL_SERVER__PORT", "x")], "FOOTFALL_SERVER__PORT: expected a whole number from 0 to 65535, found a string");
    bad(
        "",
        &[("FOOTFALL_SERVER__ORIGINS", "['a', 5]")],
        "FOOTFALL_SERVER__ORIGINS: `server.origins[1]`: expected a string, found integer `5`",
    );
}

#[test]
fn a_missing_key_names_both_ways_to_set_it() {
    bad(
        "[[auth.keys]]\nsecret = 'hunter2hunter2'\n",
        &[],
        "footfall.toml:1:1: `auth.keys[0]` lacks the key `id` (variable FOOTFALL_AUTH__KEYS__0__ID)\n  1 | [[auth.keys]]\n    | ^^^^^^^^^^^^^",
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let error = read::<Settings>(
        "nam = 'x'\n[server]\nport = 'x'\nopen = 1\nlimit = -1\n[[auth.keys]]\nid = 1\nsecret = 'hunter2hunter2'\n[[auth.keys]]\nidd = 'x'\n",
        &[("FOOTFALL_SERVER__RATIO", "much"), ("FOOTFALL_SERVER__NOTHING", "x")],
    )
    .unwrap_err();
    for part in [
        ":1:1: unknown key `nam`",
        ":3:8: `server.port`",
        ":4:8: `server.open`",
        ":5:9: `server.limit`",
        ":7:6: `auth.keys[0].id`",
        ":10:1: unknown key `idd` in `auth.keys[1]`",
        "FOOTFALL_SERVER__RATIO: expected a number",
        "FOOTFALL_SERVER__NOTHING: no such setting",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

#[test]
fn a_syntax_error_shows_its_line() {
    let error = read::<Settings>("[server]\nport = = 5\n", &[]).unwrap_err();
    assert!(error.starts_with("footfall.toml:2:8: "), "{error}");
    assert!(error.contains("  2 | port = = 5\n    |        ^"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = load::<Settings>(Some(Path::new("no/such/footfall.toml")), std::iter::empty()).unwrap_err();
    assert_eq!(error.to_string(), "the settings file no/such/footfall.toml can't be read");
}

#[test]
fn two_variables_can_not_set_the_same_thing() {
    bad(
        "",
        &[("FOOTFALL_SERVER", "{}"), ("FOOTFALL_SERVER__PORT", "1")],
        "FOOTFALL_SERVER__PORT: FOOTFALL_SERVER sets the same; keep one of them",
    );
}

#[test]
fn a_bad_secret_is_named_and_never_shown() {
    let error = silent("[[auth.keys]]\nid = 'a'\nsecret = 'hunter2'\n", &[]);
    assert_eq!(error, "footfall.toml:3:10: `auth.keys[0].secret`: this value is not accepted (it is not shown, since it may be a secret)");
    assert_eq!(
        silent("[auth]\npasscode = 'hunter2'\n", &[]),
        "footfall.toml:2:12: `auth.passcode`: expected a whole number from 0 to 4294967295 (what was found is not shown, since it may be a secret)"
    );
    assert_eq!(
        silent("", &[("FOOTFALL_AUTH__PASSCODE", "hunter2")]),
        "FOOTFALL_AUTH__PASSCODE: expected a whole number from 0 to 4294967295 (what was found is not shown, since it may be a secret)"
    );
}

#[test]
fn no_mistake_shows_a_secret() {
    // A secret's neighbours on one line.
    silent("auth = { keys = [{ id = 5, secret = 'hunter2hunter2' }] }\n", &[]);
    silent("auth = { keys = [{ secrte = 'hunter2hunter2', id = 5 }] }\n", &[]);
    silent("auth = { keys = [{ id = 'hunter2-is-not-here'.len }], passcode = 'hunter2' }\n", &[]);
    // A misspelt name.
    silent("[[auth.keys]]\nid = 'a'\nsceret = 'hunter2hunter2'\n", &[]);
    silent("", &[("FOOTFALL_AUTH__KEYS__0__SCERET", "hunter2")]);
    silent("", &[("FOOTFALL_AUTH__KEYS", "[{ id = 'a', secret = 'hunter2' }]")]);
    silent("", &[("FOOTFALL_AUTH__KEYS", "[{ id = 'a', secret = 'hunter2hunter2'")]);
    // Broken syntax in, behind or under it.
    silent("[[auth.keys]]\nsecret = 'hunter2\n", &[]);
    silent("[[auth.keys]]\nsecret = \"hunter2\\q\"\n", &[]);
    silent("[[auth.keys]]\nsecret = hunter2\n", &[]);
    silent("[[auth.keys]]\nsecret = '''\nhunter2\n", &[]);
    silent("[[auth.keys]]\nsecret = \"\"\"\nhunter2\\q\n\"\"\"\n", &[]);
    silent("[[auth.keys]]\nsecret = [\n'x',\nhunter2\n]\n", &[]);
    silent("[auth.secrets]\nmain = hunter2\n", &[]);
    silent("[[auth.keys]]\nsecret == 'hunter2'\n", &[]);
    // An unknown table of secrets.
    silent("[auth.password]\nx = 'hunter2'\n", &[]);
    // A value that serde buffers, so that nobody knows which key it was.
    let error = read::<Tagged>("[key]\nkind = 'hmac'\nsecret = 'hunter2'\n", &[]).unwrap_err();
    assert_eq!(
        error,
        "footfall.toml:1:1: `key`: this value is not accepted (it is not shown, since it may be a secret)\n  1 | [key]\n    | ^^^^^"
    );
}
