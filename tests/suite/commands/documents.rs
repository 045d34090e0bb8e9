//! Settings that stand in documents are good settings.

use std::fs;
use std::path::Path;

use super::Home;

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_settings_of_the_readme_are_good() {
    let readme = text("README.md");
    let chapter = readme.split_once("## Configure channels").unwrap().1;
    let settings = chapter.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0;
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.public.pem");
    let with_key = settings.replace("/etc/footfall/jwt.pem", key);
    assert_ne!(with_key, settings);
    Home::with(&with_key).run(&["check"]).good();
    assert_eq!(readme.matches("```toml").count(), 1, "further examples need a check of their own");
}

#[test]
fn the_settings_of_development_and_of_the_clients_are_good() {
    for (file, expected) in [("src/settings/development.toml", "Development"), ("tests/clients/footfall.toml", "Production")] {
        let checked = Home::with(&text(file)).run(&["check"]).good();
        assert!(checked.starts_with(&format!("The settings are good: {expected} mode")), "{checked}");
    }
}

#[test]
fn the_schema_is_json_and_names_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&Home::new().run(&["schema"]).good()).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let expected = [
        "applications",
        "auth",
        "bus",
        "destinations",
        "log",
        "metrics",
        "mode",
        "node",
        "rate_limit",
        "refusals",
        "registry",
        "server",
        "session",
        "store",
    ];
    assert_eq!(keys, expected);
    assert_eq!(schema["additionalProperties"], false);
}
