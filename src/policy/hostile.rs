//! Rules that try to break the node that compiles and runs them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::rule::Rule;
use super::tests::{NOW, alice, text, user_with};
use super::{RuleError, facts, inspect};

/// Rules that mostly parse, over values of all types and numbers at their limits.
fn rule() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "user.name",
        "user.roles",
        "user",
        "claims",
        "claims.rooms",
        "claims.org.id",
        "claims.none",
        "params.room",
        "params",
        "message.json",
        "message.json.a",
        "message.headers",
        "message",
        "message.size",
        "now",
        "member",
        "1",
        "-1",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "1u",
        "0u",
        "18446744073709551615u",
        "1.5",
        "1e308",
        "-0.0",
        "''",
        "'a'",
        "'é'",
        "b'\\xff'",
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "[1, 'a', null]",
        "{'a': 1, 2: 'b'}",
        "int",
        "x",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let functions = prop::sample::select(vec!["size", "int", "uint", "double", "string", "bytes", "bool", "type", "dyn", "!", "-"]);
        let methods = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
        let macros = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            (inner.clone(), operators, inner.clone()).prop_map(|(one, operator, other)| format!("({one} {operator} {other})")),
            (functions, inner.clone()).prop_map(|(function, argument)| format!("{function}({argument})")),
            (inner.clone(), methods, inner.clone()).prop_map(|(target, method, argument)| format!("({target}).{method}({argument})")),
            (inner.clone(), macros, inner.clone()).prop_map(|(target, name, body)| format!("({target}).{name}(x, {body})")),
            (inner.clone(), inner.clone()).prop_map(|(target, index)| format!("({target})[{index}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(one, two, three)| format!("({one} ? {two} : {three})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("[{one}, {two}]")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("{{{one}: {two}}}")),
            inner.clone().prop_map(|inner| format!("has(({inner}).a)")),
            inner.prop_map(|inner| format!("({inner}).a")),
        ]
    })
}

/// Pieces of rules in any order, which mostly don't parse.
fn debris() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "user.name",
        "claims",
        "x",
        "1",
        "9223372036854775808",
        "'a'",
        "b'",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "?",
        "+",
        "-",
        "==",
        "&&",
        "!",
        " in ",
        ".",
        ".all(x,",
        ".map(",
        "has(",
        "'",
        "\"",
        "\\",
        "\n",
        "//",
        "$",
        "é",
        "\u{0}",
        "r'",
        "'''",
        "0x",
        "1e",
        "..",
        "`",
        "@",
    ]);
    prop::collection::vec(piece, 1..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Neither compiling nor running a rule panics, whatever it is.
    #[test]
    fn no_rule_panics(rule in prop_oneof![4 => rule(), 1 => debris()]) {
        let vocabulary = inspect::Vocabulary { params: &["room"], message: true };
        let compiled = Rule::compile(&rule, vocabulary);
        // The parser's panics are caught there; none is known.
        prop_assert!(compiled.as_ref().err() != Some(&RuleError::NotParsed), "{rule}");
        if let Ok(rule) = compiled {
            let user = user_with("alice", &["USER"], json!({ "rooms": ["42", 1, null], "org": { "id": i64::MIN } }));
            let message = text(r#"{"a":[1,-9223372036854775808,1e308,"x",{}]}"#);
            let params = vec![("room".into(), "42".into())];
            let _: bool = rule.holds(&facts::Facts::new(&user, NOW, &params).message(Some(&message)));
        }
    }
}

#[test]
fn hostile_rules_end() {
    let repeat = |part: &str, count: usize| part.repeat(count);
    let vocabulary = inspect::Vocabulary { params: &[], message: true };
    for rule in [
        format!("{}true{}", repeat("(", 1_900), repeat(")", 1_900)),
        format!("{}true{}", repeat("(", 90), repeat(")", 90)),
        format!("{}1{}", repeat("[", 1_900), repeat("]", 1_900)),
        format!("{}true", repeat("!", 4_000)),
        format!("{}1 == 1", repeat("-", 4_000)),
        format!("1{} == 1", repeat("+1", 1_900)),
        format!("'a'{} == 'a'", repeat("+'a'", 900)),
        format!("true{}", repeat("&&true", 600)),
        format!("true{}", repeat("?true:true", 400)),
        format!("{}true", repeat("true?", 700)),
        format!("claims{}", repeat(".a", 1_900)),
        format!("claims{}", repeat("[0]", 1_300)),
        format!("[{}].all(x, true)", repeat("1,", 1_900)),
        format!("claims{}", repeat(".map(x,x)", 400)),
        format!("{}true{}", repeat("[1].all(x,", 300), repeat(")", 300)),
        repeat("(", 4_000),
        repeat("'", 4_000),
        repeat("\u{0}", 4_000),
        repeat("é", 2_000),
    ] {
        // On a thread with half the stack that a worker of the runtime has.
        let shown: String = rule.chars().take(20).collect();
        let worker = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
            let started = Instant::now();
            let compiled = Rule::compile(&rule, vocabulary);
            assert!(started.elapsed() < Duration::from_secs(20));
            let Ok(rule) = compiled else { return };
            let _: bool = rule.holds(&facts::Facts::new(&alice(), NOW, &[]).message(Some(&text("[]"))));
        });
        assert!(worker.unwrap().join().is_ok(), "{shown}");
    }
}

#[test]
fn the_deepest_rules_that_are_allowed_run_on_little_stack() {
    let vocabulary = inspect::Vocabulary { params: &[], message: true };
    let nested = |open: &str, inner: &str, close: &str, count: usize| format!("{}{inner}{}", open.repeat(count), close.repeat(count));
    let (sum, list, both, select) = (
        |depth: usize| format!("1{} > 0", "+1".repeat(depth)),
        |depth: usize| format!("size({}) == 1", nested("[", "1", "]", depth)),
        |depth: usize| format!("[1].all(x, [message.size].all(y, {} >= y))", nested("size([", "1", "])", depth)),
        |depth: usize| format!("[1].all(x, [2].all(y, has(claims{}) || true))", ".a".repeat(depth)),
    );
    let forms: [(&str, &dyn Fn(usize) -> String); 4] = [("sum", &sum), ("list", &list), ("both", &both), ("select", &select)];
    for (name, form) in forms {
        let deepest = (1..100).rev().map(form).find_map(|rule| Rule::compile(&rule, vocabulary).ok()).unwrap();
        let worker = std::thread::Builder::new()
            .stack_size(1024 * 1024)
            .spawn(move || deepest.holds(&facts::Facts::new(&alice(), NOW, &[]).message(Some(&text("x")))));
        assert!(worker.unwrap().join().unwrap(), "{name}");
    }
}
