//! `footfall check`, and the same mistakes at a start.

use super::{CANARY, Home, production};

#[test]
fn good_settings_are_good() {
    let home = Home::with(&production());
    assert_eq!(home.run(&["check"]).good(), "The settings are good: Production mode, 1 destinations, 0 applications.\n");
    home.write("other.toml", &format!("mode = 'development'\n{}", production()));
    let expected = "The settings are good: Development mode, 1 destinations, 0 applications.\n";
    assert_eq!(home.run(&["check", "--config", "other.toml"]).good(), expected);
    assert_eq!(home.run_with(&["check"], &[("FOOTFALL_CONFIG", "other.toml")]).good(), expected);
}

#[test]
fn a_check_changes_nothing() {
    let home = Home::new();
    assert!(home.run(&["check"]).good().starts_with("The settings are good: Development mode, "));
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn every_mistake_has_file_line_column_the_line_and_a_sentence() {
    let key = "[[auth.keys]]\nalgorithms = ['HS256']\n";
    for (settings, expected) in [
        (
            format!("[server]\nprot = 1\n{}", production()),
            "footfall.toml:2:1: unknown key `prot` in `server`; did you mean `port`?\n  2 | prot = …\n    | ^^^^\n",
        ),
        (
            format!("[server]\nport = 'x'\n{}", production()),
            "footfall.toml:2:8: `server.port`: expected a whole number from 0 to 65535, found a string\n  2 | port = 'x'\n    |        ^^^\n",
        ),
        (
            format!("{}subscribe = 'usr.name == \"x\"'\n", production()),
            "footfall.toml:7:17: `destinations[0].subscribe`: There is no usr here. A rule may use ",
        ),
        (
            format!("[session]\nconnect_timeout = 10\n{}", production()),
            "footfall.toml:2:19: `session.connect_timeout`: expected a string, found integer `10`\n",
        ),
        (format!("{key}secret = 'canary-5f1c'\n"), "footfall.toml:3:10: `auth.keys[0].secret`: A secret has at least 32 bytes"),
        (format!("{key}secrte = '{CANARY}'\n"), "footfall.toml:3:1: unknown key `secrte` in `auth.keys[0]`; did you mean `secret`?"),
        (format!("{key}secret = {CANARY}\n"), "footfall.toml:3:10: "),
        (format!("{key}secret_file = '/nowhere/{CANARY}'\n"), "footfall.toml:3:15: `auth.keys[0].secret_file`: The file can't be read: "),
        (format!("{key}secret_file = '/'\n"), "footfall.toml:3:15: `auth.keys[0].secret_file`: The file can't be read: "),
        ("[[destinations]]\npattern = '/topic/x'\n".to_owned(), "footfall.toml: `auth.keys`: There is no key, so no token could be good"),
        (String::new(), "footfall.toml: `auth.keys`: There is no key, so no token could be good"),
    ] {
        let home = Home::with(&settings);
        let check = home.run(&["check"]).bad();
        assert!(check.starts_with(&format!("footfall: {expected}")), "{settings}\n{check}");
        assert!(!check.contains("canary"), "{check}");
        // A start says the same, and leaves nothing behind.
        assert_eq!(home.run(&["run"]).bad(), check);
        assert_eq!(home.files(), ["footfall.toml"]);
    }
}

#[test]
fn all_mistakes_are_said_at_once() {
    let home = Home::with(&format!("[session]\nack_window = 0\n[server]\npath = 'x'\n{}subscribe = '('\n", production()));
    let error = home.run_with(&["check"], &[("FOOTFALL_LOG__FILTER", "footfall=loud")]).bad();
    for part in [
        "footfall.toml:2:14: `session.ack_window`",
        "footfall.toml:4:8: `server.path`",
        "footfall.toml:11:15: `destinations[0].subscribe`",
        "FOOTFALL_LOG__FILTER: A filter",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

#[test]
fn variables_win_and_are_named_where_they_are_wrong() {
    let home = Home::with(&format!("[server]\nport = 'x'\n{}", production()));
    home.run(&["check"]).bad();
    home.run_with(&["check"], &[("FOOTFALL_SERVER__PORT", "9000")]).good();
    for (name, value, expected) in [
        ("FOOTFALL_SERVER__PORT", "many", "FOOTFALL_SERVER__PORT: expected a whole number from 0 to 65535"),
        ("FOOTFALL_AUTH__KEYS__0__SECRET", "canary-5f1c", "FOOTFALL_AUTH__KEYS__0__SECRET: A secret has at least 32 bytes"),
        (
            "FOOTFALL_AUTH__KEYS__0__SECRTE",
            CANARY,
            "FOOTFALL_AUTH__KEYS__0__SECRTE: no such setting; did you mean FOOTFALL_AUTH__KEYS__0__SECRET?",
        ),
    ] {
        let home = Home::with(&production());
        let error = home.run_with(&["check"], &[(name, value)]).bad();
        assert!(error.starts_with(&format!("footfall: {expected}")) && !error.contains("canary"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let home = Home::with(&production());
    for command in ["check", "run", "token"] {
        let mut arguments = vec![command, "--config", "footfal.toml"];
        arguments.extend(["--user", "alice"].iter().filter(|_| command == "token"));
        let error = home.run(&arguments).bad();
        assert_eq!(error, "footfall: the settings file footfal.toml can't be read: No such file or directory (os error 2)\n");
    }
}
