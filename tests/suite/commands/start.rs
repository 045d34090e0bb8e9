//! A start, a second start, a start that can't be, and the end.

use std::fs;
use std::net::TcpListener;

use super::{Home, production};

fn token_of(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

const ASK: &str = "POST /dev/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"user\":\"alice\"}";

#[test]
fn a_second_start_accepts_tokens_of_the_first_and_sigterm_is_a_good_end() {
    let home = Home::new();
    let first = home.start(&[]);
    let token = token_of(&first.ask(ASK));
    assert_eq!(first.connect(&token), "CONNECTED");
    assert_eq!(first.connect("no token"), "ERROR");
    let port = first.address().port();
    let (code, out) = first.stop();
    assert_eq!(code, Some(0));
    assert!(out.contains(&format!("http://localhost:{port}/")), "the greeting names the port: {out}");

    let key = fs::read_to_string(home.path("data/development.key")).unwrap();
    assert!(!out.contains(key.trim_end()));
    let second = home.start(&[]);
    assert_eq!(second.connect(&token), "CONNECTED");
    assert_eq!(second.connect(home.run(&["token", "--user", "bob"]).good().trim_end()), "CONNECTED");
    assert_eq!(second.stop().0, Some(0));
}

#[test]
fn production_makes_no_tokens_and_greets_nobody() {
    let home = Home::with(&production());
    let node = home.start(&[]);
    assert!(node.ask(ASK).starts_with("HTTP/1.1 404"));
    assert_eq!(node.stop(), (Some(0), String::new()));
    assert!(!home.path("data/development.key").exists());
}

#[test]
fn one_process_owns_a_data_directory() {
    let home = Home::with(&production());
    let node = home.start(&[]);
    let error = home.run_with(&[], &[("FOOTFALL_SERVER__PORT", "0")]).bad();
    assert!(error.starts_with("footfall: the store can't be opened: ") && error.lines().count() == 1, "{error}");
    assert!(error.contains("data/footfall.db"), "the sentence names the file: {error}");
    assert_eq!(node.stop().0, Some(0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = Home::with(&format!("[server]\nport = 1\n{}", production()));
    // The variable wins, or it would be port 1.
    let error = home.run_with(&[], &[("FOOTFALL_SERVER__PORT", &port.to_string())]).bad();
    assert!(error.starts_with(&format!("footfall: 127.0.0.1:{port} is taken, or may not be listened on: ")), "{error}");
}
