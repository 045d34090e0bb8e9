//! What keeps the repository as its documents say: rooms and arrows, file sizes, the table of codes, safe dependencies.

#![expect(clippy::unwrap_used, reason = "a test that can't read the repository fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use footfall::message::{Close, Code};

/// Where a second room is due, as style has it (400), and a little patience.
const MOST_LINES: usize = 450;

#[test]
fn rooms_use_only_what_the_layers_block_allows() {
    let layers = Layers::read(&text("architecture.md"));
    let mut wrong = layers.mistakes();
    for file in rust_files("src") {
        let code = text(&file);
        wrong.extend(arrows(&layers, &file, &code));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn files_are_small() {
    let mut large = String::new();
    for folder in ["src", "stomp-frames/src", "bench/src", "xtask/src"] {
        for file in rust_files(folder) {
            let lines = lines_without_tests(&text(&file));
            if lines > MOST_LINES {
                writeln!(large, "{file} has {lines} lines besides its tests; at most {MOST_LINES}, better 400: usually two rooms").unwrap();
            }
        }
    }
    assert!(large.is_empty(), "\n{large}");
}

#[test]
fn the_documentation_has_every_code() {
    const BEGIN: &str = "<!-- codes -->\n";
    const END: &str = "<!-- end of codes -->";
    let mut table = String::from("| code | close | what it says |\n|---|---|---|\n");
    for code in Code::ALL {
        writeln!(table, "| `{code}` | {} | {} |", code.close().code(), code.sentence()).unwrap();
    }
    let page = text("docs/errors.md");
    let found = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    assert!(found == Some(table.as_str()), "docs/errors.md differs from `Code`; between its two comments it should have\n\n{table}\n");
    for close in [Close::Normal, Close::Protocol, Close::DoNotComeBack, Close::Reconnect, Close::Silent] {
        assert!(page.contains(&format!("| {} |", close.code())), "docs/errors.md does not explain the close code {}", close.code());
    }
}

#[test]
fn dependencies_are_not_below_the_versions_known_to_be_safe() {
    // Below these stands a published weakness (RustSec), or one of the crates whose absence is the cure.
    let minima = [
        ("tungstenite", "0.20.1"),
        ("h2", "0.4.16"),
        ("jsonwebtoken", "10.3.0"),
        ("tracing-subscriber", "0.3.20"),
        ("sqlx", "0.8.1"),
        ("tokio-postgres", "0.7.18"),
        ("rustls", "0.23.18"),
        ("time", "0.3.47"),
        ("scc", "3.8.4"),
    ];
    let locked = locked(&text("Cargo.lock"));
    assert!(locked.len() > 50, "Cargo.lock was not understood");
    for (name, least) in minima {
        for version in locked.get(name).into_iter().flatten() {
            assert!(numbers(version) >= numbers(least), "{name} {version} is locked; at least {least} is safe");
        }
    }
    for (name, reason) in [("rsa", "RUSTSEC-2023-0071: its timing leaks the key"), ("native-tls", "one TLS, rustls")] {
        assert!(!locked.contains_key(name), "{name} is in Cargo.lock: {reason}");
    }
    // librdkafka speaks TLS through OpenSSL only; the feature `kafka-tls` turns that on, and nothing else may.
    let using = text("Cargo.lock").split("[[package]]").filter(|package| package.contains("\"openssl-sys\",")).count();
    assert_eq!(using, 1, "openssl-sys is for rdkafka-sys only: one TLS, rustls");
    assert!(text("Cargo.toml").contains("kafka-tls = [\"rdkafka/ssl\"]") && !text("Cargo.toml").contains("default = ["));
}

#[test]
fn package_locks_name_no_host() {
    for file in ["page/package-lock.json"].into_iter().map(str::to_owned).chain(client_locks()) {
        // A lock file that names a registry can be installed only where that one is reached.
        let named = fs::read_to_string(root().join(&file)).is_ok_and(|lock| lock.contains("\"resolved\": \"http"));
        assert!(!named, "{file} names a registry; set omit-lockfile-registry-resolved=true in .npmrc beside it and write it anew");
    }
}

// The checks judge others, so they are judged, too.

#[test]
fn the_layers_check_sees_every_way_to_name_a_room() {
    let layers = Layers::read("```layers\na:  # nothing\nb: a\nc: stomp_frames b\nmain: c\n```\n");
    assert_eq!(layers.mistakes(), Vec::<String>::new());
    for (file, code, expected) in [
        ("src/a.rs", "use crate::b::X;", Some("src/a.rs:1: `a` uses `b`")),
        ("src/a/mod.rs", "\n\nuse crate::{a::Y, b};", Some("src/a/mod.rs:3: `a` uses `b`")),
        ("src/a/mod.rs", "use crate::{\n  a::{self, b},\n  c,\n};", Some("src/a/mod.rs:3: `a` uses `c`")),
        ("src/a/x.rs", "fn f() { crate::b::f() }", Some("src/a/x.rs:1: `a` uses `b`")),
        ("src/a/x.rs", "fn f() { super::super::b::f() }", Some("src/a/x.rs:1: `a` uses `b`")),
        ("src/a/x.rs", "use super::super::{b::X, a};", Some("src/a/x.rs:1: `a` uses `b`")),
        ("src/a/mod.rs", "mod tests { use super::super::b; }", Some("src/a/mod.rs:1: `a` uses `b`")),
        ("src/a/mod.rs", "macro_rules! m { () => { $crate::b::f() } }", Some("src/a/mod.rs:1: `a` uses `b`")),
        ("src/a/mod.rs", "pub(in crate::b) fn f() {}", Some("src/a/mod.rs:1: `a` uses `b`")),
        ("src/b/mod.rs", "use stomp_frames::Frame;", Some("src/b/mod.rs:1: `b` uses `stomp_frames`")),
        ("src/main.rs", "use footfall::a;", Some("src/main.rs:1: `main` uses `a`")),
        ("src/main.rs", "use footfall::c;", None),
        ("src/a/mod.rs", "use crate::*;", Some("src/a/mod.rs:1: `a` uses `*`")),
        ("src/d.rs", "", Some("src/d.rs:1: the room `d` is not in the layers block")),
        ("src/c/mod.rs", "use crate::b; use stomp_frames::{A, B}; use crate::c::d;", None),
        ("src/a/mod.rs", "// crate::b\n/* crate::b /* */ crate::b */ const A: &str = \"crate::b \\\" crate::b\"; // \"\n", None),
        ("src/a/mod.rs", "const A: &str = r#\"\" crate::b\"#; const C: char = '\"'; const D: &[u8] = b\"crate::b\"; fn f<'a>() {}", None),
        ("src/a/mod.rs", "const C: char = '\\''; use crate::b;", Some("src/a/mod.rs:1: `a` uses `b`")),
        ("src/a/x/y.rs", "use super::super::b; use super::b;", None),
        ("src/a/mod.rs", "mod inner { use super::b; }", None),
        ("src/lib.rs", "use crate::b;", None),
    ] {
        let found = arrows(&layers, file, code);
        match expected {
            Some(expected) => assert!(found.len() == 1 && found[0].starts_with(expected), "{code}\n{found:?}"),
            None => assert!(found.is_empty(), "{code}\n{found:?}"),
        }
    }
}

#[test]
fn the_layers_check_sees_mistakes_in_the_block() {
    let mistakes = |block: &str| Layers::read(&format!("# x\n```layers\n{block}\n```\n")).mistakes().join("; ");
    assert_eq!(mistakes("a: \nb: a"), "");
    assert_eq!(mistakes("a: nowhere"), "architecture.md: `a` may use `nowhere`, which is no room");
    assert_eq!(mistakes("a: b\nb: c\nc: a"), "architecture.md: a -> b -> c -> a is a circle");
    assert_eq!(mistakes("a: a"), "architecture.md: a -> a is a circle");
}

#[test]
fn the_size_check_leaves_out_tests() {
    assert_eq!(lines_without_tests("a\nb\n"), 2);
    assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests {\n  fn f() { \"}\" }\n}\nb\n"), 2);
    assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 2);
    assert_eq!(lines_without_tests("a\n#[cfg(unix)]\nmod x {\n}\n"), 4);
}

/// Which room may use which.
struct Layers(BTreeMap<String, Vec<String>>);

impl Layers {
    fn read(page: &str) -> Self {
        let block = page.split_once("```layers\n").and_then(|(_, rest)| rest.split_once("\n```")).map(|(block, _)| block);
        let lines = block.expect("architecture.md has a block ```layers").lines();
        let rules = lines.map(|line| line.split('#').next().unwrap_or_default()).filter_map(|line| line.split_once(':'));
        Self(rules.map(|(room, uses)| (room.trim().to_owned(), uses.split_whitespace().map(str::to_owned).collect())).collect())
    }

    fn may(&self, room: &str, used: &str) -> bool {
        room == used || self.0.get(room).is_some_and(|uses| uses.iter().any(|name| name == used))
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (room, uses) in &self.0 {
            for used in uses.iter().filter(|used| *used != "stomp_frames" && !self.0.contains_key(*used)) {
                mistakes.push(format!("architecture.md: `{room}` may use `{used}`, which is no room"));
            }
        }
        let mut done = BTreeSet::new();
        mistakes.extend(self.0.keys().find_map(|room| self.circle(room, &mut Vec::new(), &mut done)));
        mistakes
    }

    fn circle<'a>(&'a self, room: &'a str, path: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) -> Option<String> {
        if let Some(start) = path.iter().position(|name| *name == room) {
            return Some(format!("architecture.md: {} -> {room} is a circle", path[start..].join(" -> ")));
        }
        if !done.insert(room) {
            return None;
        }
        path.push(room);
        let found = self.0.get(room).into_iter().flatten().find_map(|used| self.circle(used, path, done));
        path.pop();
        found
    }
}

/// The uses of other rooms in a file that the block does not allow.
fn arrows(layers: &Layers, file: &str, code: &str) -> Vec<String> {
    let path: Vec<&str> = file.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let room = path[0];
    // The map of the crate names every room.
    if room == "lib" {
        return Vec::new();
    }
    if !layers.0.contains_key(room) {
        return vec![format!("{file}:1: the room `{room}` is not in the layers block of architecture.md")];
    }
    // `super` this many times is the crate itself.
    let depth = path.iter().filter(|name| !["mod", "main"].contains(name)).count();
    let used = uses(&tokens(code), depth);
    let wrong = used.into_iter().filter(|(_, used)| !layers.may(room, used));
    wrong
        .map(|(line, used)| format!("{file}:{line}: `{room}` uses `{used}`, but the layers block of architecture.md has no such arrow"))
        .collect()
}

/// First names after `crate::`, after enough `super::`, and our own crates by name, with their lines.
fn uses(tokens: &[(usize, &str)], depth: usize) -> Vec<(usize, String)> {
    let name = |index: usize| tokens.get(index).map_or("", |(_, token)| *token);
    let mut found = Vec::new();
    // The braces of modules in this file, and all others.
    let mut braces: Vec<bool> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let begins = index == 0 || (name(index - 1) != "::" && name(index - 1) != ".");
        match name(index) {
            "{" => braces.push(index > 1 && name(index - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" | "footfall" if begins && name(index + 1) == "::" => found.extend(firsts(tokens, index + 2)),
            "stomp_frames" if begins && name(index + 1) == "::" => found.push((tokens[index].0, "stomp_frames".to_owned())),
            "super" if begins => {
                let mut steps = 1;
                while name(index + 2 * steps - 1) == "::" && name(index + 2 * steps) == "super" {
                    steps += 1;
                }
                index += 2 * steps - 2;
                if steps == depth + braces.iter().filter(|module| **module).count() && name(index + 1) == "::" {
                    found.extend(firsts(tokens, index + 2));
                }
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The name at `index`, or each first name of the group there.
fn firsts(tokens: &[(usize, &str)], index: usize) -> Vec<(usize, String)> {
    let Some((line, first)) = tokens.get(index) else { return Vec::new() };
    if *first != "{" {
        return vec![(*line, (*first).to_owned())];
    }
    let mut found = Vec::new();
    let mut open = 0;
    let mut due = false;
    for (line, token) in &tokens[index..] {
        match *token {
            "{" => open += 1,
            "}" => open -= 1,
            "," => {}
            name if due && name != "self" => found.push((*line, name.to_owned())),
            _ => {}
        }
        if open == 0 {
            break;
        }
        due = open == 1 && (*token == "," || *token == "{");
    }
    found
}

/// Names, `::` and single marks with their lines; comments, strings and lifetimes left out.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let (mut line, mut rest) = (1, code);
    while let Some(first) = rest.chars().next() {
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let name = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no second quote after its one name.
            let after = rest[1..].chars().next().map_or(1, |next| 1 + next.len_utf8());
            if rest[1..].starts_with('\\') || rest[after..].starts_with('\'') { quoted(rest, '\'') } else { 1 }
        } else {
            let length = if name > 0 { name } else { first.len_utf8() };
            let length = if rest.starts_with("::") { 2 } else { length };
            if !first.is_whitespace() {
                tokens.push((line, &rest[..length]));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut open, mut index) = (0, 0);
    while index < text.len() {
        let (step, change) = match &text.as_bytes()[index..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        open += change;
        index += step;
        if open == 0 {
            break;
        }
    }
    index
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let marks = after.len() - after.trim_start_matches('#').len();
    after[marks..].strip_prefix('"')?;
    let start = text.len() - after.len() + marks + 1;
    let end = format!("\"{}", "#".repeat(marks));
    Some(text[start..].find(&end).map_or(text.len(), |length| start + length + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        if character == quote && !escaped {
            return index + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    text.len()
}

fn lines_without_tests(code: &str) -> usize {
    let tokens = tokens(code);
    let mut tests = 0;
    for (index, window) in tokens.windows(7).enumerate() {
        if window.iter().map(|(_, token)| *token).collect::<Vec<_>>() != ["#", "[", "cfg", "(", "test", ")", "]"] {
            continue;
        }
        let mut open = 0;
        for (line, token) in &tokens[index..] {
            match *token {
                "{" => open += 1,
                "}" => open -= 1,
                _ => {}
            }
            if open == 0 && (*token == ";" || *token == "}") {
                tests += line - window[0].0 + 1;
                break;
            }
        }
    }
    code.lines().count() - tests
}

fn locked(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut locked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        locked.entry(value("name").unwrap().to_owned()).or_default().push(value("version").unwrap().to_owned());
    }
    locked
}

/// A version before its first release sorts as that release, which is near enough for a minimum.
fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').map(|number| number.parse().unwrap()).collect()
}

fn client_locks() -> Vec<String> {
    let folders = fs::read_dir(root().join("tests/clients")).unwrap();
    folders.map(|folder| format!("tests/clients/{}/package-lock.json", folder.unwrap().file_name().to_string_lossy())).collect()
}

/// All Rust files below a folder, but no files of tests.
fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                files.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no Rust files in {folder}");
    files
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
