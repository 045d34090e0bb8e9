//! `docs/settings.md`: every setting with type, default and sentence, as the JSON Schema has them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use footfall::settings::Settings;
use serde_json::Value;

const INTRODUCTION: &str = "# Settings

All keys of `footfall.toml`. Written by a test from what the code knows; to write it anew after a change:
`FOOTFALL_WRITE_DOCS=1 cargo test --test suite settings_page`.

The file is named with `--config` or `FOOTFALL_CONFIG`; without a name it is `footfall.toml` in the working directory, and if
there is none, footfall runs its [development settings](../src/settings/development.toml). `footfall check` says what is wrong
in it, with line and suggestion, and changes nothing. An unknown key is a mistake.

**Variables.** Each key is also a variable, which wins over the file: `FOOTFALL_` and the path in capitals, `__` for each dot:
`server.port` is `FOOTFALL_SERVER__PORT`, and `secret` of the first `[[auth.keys]]` is `FOOTFALL_AUTH__KEYS__0__SECRET`. A
string is taken as it is; anything else is TOML, as in `FOOTFALL_SERVER__ALLOWED_ORIGINS='[\"https://chat.example.com\"]'`.

**Times** are a whole number and a unit, `ms`, `s`, `m`, `h` or `d`: `\"500ms\"`, `\"30s\"`, `\"24h\"`. **Sizes** are bytes where
nothing else is said. **Rules** are [CEL](https://cel.dev).
";

#[test]
fn the_page_has_every_setting() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    if std::env::var_os("FOOTFALL_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/settings.md is not as the code has it; write it anew with FOOTFALL_WRITE_DOCS=1 cargo test --test suite settings_page"
    );
}

#[test]
fn every_setting_has_a_sentence_and_every_number_a_unit() {
    let schema = schema();
    for (name, table) in schema["$defs"].as_object().unwrap() {
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            let sentence = property["description"].as_str().unwrap_or_default();
            assert!(sentence.ends_with('.'), "{name}.{key} needs a sentence, not {sentence:?}");
            let number = types(property).contains(&"integer");
            let unit = ["bytes", "MiB", "ow many", "port"].iter().any(|unit| sentence.contains(unit));
            assert!(!number || unit, "{name}.{key}: of what is this the number? {sentence}");
        }
    }
}

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Settings)).unwrap()
}

fn page() -> String {
    let schema = schema();
    let mut page = INTRODUCTION.to_owned();
    section(&schema, &schema, &mut page, "Outside of tables", "");
    page
}

/// The keys of a table, then its tables.
fn section(schema: &Value, table: &Value, page: &mut String, title: &str, path: &str) {
    let properties = table["properties"].as_object().unwrap();
    let required: Vec<_> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut tables = Vec::new();
    let mut rows = String::new();
    for (key, property) in properties {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(table) = resolved(schema, property).filter(|table| table.get("properties").is_some()) {
            tables.push((format!("`[{path}]`"), path, table));
        } else if let Some(table) = resolved(schema, &property["items"]).filter(|table| table.get("properties").is_some()) {
            tables.push((format!("`[[{path}]]`"), path, table));
        } else {
            let default = if required.contains(&key.as_str()) { "required".to_owned() } else { default(property) };
            writeln!(rows, "| `{key}` | {} | {default} | {} |", kind(schema, property), sentence(schema, property)).unwrap();
        }
    }
    writeln!(page, "\n## {title}\n").unwrap();
    if !path.is_empty() {
        writeln!(page, "{}\n", text(table)).unwrap();
    }
    if !rows.is_empty() {
        write!(page, "| key | type | default | |\n|---|---|---|---|\n{rows}").unwrap();
    }
    for (title, path, table) in tables {
        section(schema, table, page, &title, &path);
    }
}

/// What a `$ref` stands for, perhaps beside null.
fn resolved<'a>(schema: &'a Value, property: &'a Value) -> Option<&'a Value> {
    let reference = property["$ref"].as_str().or_else(|| property["anyOf"].as_array()?.iter().find_map(|one| one["$ref"].as_str()));
    schema.pointer(reference?.strip_prefix('#')?)
}

fn types(property: &Value) -> Vec<&str> {
    match &property["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn kind(schema: &Value, property: &Value) -> String {
    if let Some(named) = resolved(schema, property) {
        return choices(named).into_iter().map(|(value, _)| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    let limits = match (property["minimum"].as_u64().unwrap_or(0), property["maximum"].as_u64()) {
        (least, Some(most)) => format!(" from {least} to {most}"),
        (0, None) => String::new(),
        (least, None) => format!(" from {least}"),
    };
    match types(property).into_iter().find(|one| *one != "null").unwrap_or_default() {
        "array" if property["items"]["type"] == "string" => "list of strings".to_owned(),
        "array" => format!("list of {}", kind(schema, &property["items"])),
        "boolean" => "true or false".to_owned(),
        "integer" => format!("whole number{limits}"),
        "string" if property["pattern"].is_string() => "time".to_owned(),
        "string" if property["format"] == "ip" => "IP address".to_owned(),
        "string" => "string".to_owned(),
        "object" if resolved(schema, &property["additionalProperties"]).is_some_and(|value| value["type"] == "string") => {
            "table of strings".to_owned()
        }
        other => panic!("how should the page say {other:?}? {property}"),
    }
}

/// The values of an enum, and what is said of each.
fn choices(named: &Value) -> Vec<(&Value, &str)> {
    let plain = named["enum"].as_array().into_iter().flatten().map(|one| (one, ""));
    let told = named["oneOf"].as_array().into_iter().flatten();
    plain.chain(told.filter_map(|one| Some((one.get("const")?, one["description"].as_str().unwrap_or_default())))).collect()
}

fn default(property: &Value) -> String {
    match &property["default"] {
        Value::Null => "none".to_owned(),
        // A release changes the version, and needs no new page.
        Value::String(text) => format!("`\"{}\"`", text.replace(env!("CARGO_PKG_VERSION"), "<version>")),
        Value::Array(list) if list.is_empty() => "`[]`".to_owned(),
        other => format!("`{other}`"),
    }
}

fn sentence(schema: &Value, property: &Value) -> String {
    let mut sentence = text(property);
    for (value, meaning) in resolved(schema, property).map(choices).into_iter().flatten().filter(|(_, meaning)| !meaning.is_empty()) {
        write!(sentence, "<br>`{value}`: {meaning}").unwrap();
    }
    sentence.replace('|', "\\|")
}

fn text(of: &Value) -> String {
    let Some(text) = of["description"].as_str() else { return String::new() };
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}
