//! Where what a compose file calls `host:port` is on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use thiserror::Error;

/// Why a text names something that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("`{host}:{port}` is named, and nothing of {host} listens on {port}")]
    Port { host: String, port: u16 },
    #[error("`{0}` is named without a port, so it can't be mapped")]
    NoPort(String),
    #[error("`{0}:{1}` is named, which is no service of the file, nor one replica of one")]
    Host(String, String),
}

/// A table from (host, port inside of its container) to the real address.
#[derive(Debug)]
pub(crate) struct Addresses {
    project: String,
    table: BTreeMap<(String, u16), SocketAddr>,
}

impl Addresses {
    pub(crate) fn new(project: &str) -> Self {
        Self { project: project.to_owned(), table: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, host: &str, port: u16, real: SocketAddr) {
        self.table.insert((host.to_owned(), port), real);
    }

    /// The text with each `host:port` replaced. A name that has no place here is an error, not left for somebody to
    /// connect to.
    pub(crate) fn replace(&self, text: &str) -> Result<String, AddressError> {
        let hosts: BTreeSet<&str> = self.table.keys().map(|(host, _)| host.as_str()).collect();
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while !rest.is_empty() {
            let word = word(rest);
            if word.is_empty() {
                before = rest.chars().next();
                let length = before.map_or(1, char::len_utf8);
                replaced.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            rest = &rest[word.len()..];
            let digits = rest.strip_prefix(':').map_or("", |after| &after[..after.len() - after.trim_start_matches(digit).len()]);
            if !digits.is_empty() && (hosts.contains(word) || self.is_replica(word)) {
                replaced.push_str(&self.real(word, digits)?.to_string());
                rest = &rest[1 + digits.len()..];
            } else {
                // In a URL a host may stand alone, and its default port would be somebody else's here.
                if hosts.contains(word) && before.is_some_and(|before| before == '@' || (before == '/' && replaced.ends_with("//"))) && !rest.starts_with('@') {
                    let is_user = rest.find(['@', '/']).is_some_and(|at| rest[at..].starts_with('@'));
                    if !is_user {
                        return Err(AddressError::NoPort(word.to_owned()));
                    }
                }
                replaced.push_str(word);
            }
            before = None;
        }
        Ok(replaced)
    }

    fn real(&self, host: &str, digits: &str) -> Result<SocketAddr, AddressError> {
        let Ok(port) = digits.parse() else { return Err(AddressError::Host(host.to_owned(), digits.to_owned())) };
        let found = self.table.get(&(host.to_owned(), port));
        found.copied().ok_or_else(|| match self.table.keys().any(|(known, _)| known == host) {
            true => AddressError::Port { host: host.to_owned(), port },
            false => AddressError::Host(host.to_owned(), digits.to_owned()),
        })
    }

    /// Whether it looks like compose's name of a replica: `footfall-node-4` where there are three must not be left as it is.
    fn is_replica(&self, word: &str) -> bool {
        let rest = word.strip_prefix(self.project.as_str()).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.rsplit_once('-')).is_some_and(|(_, number)| number.chars().all(digit))
    }
}

fn digit(character: char) -> bool {
    character.is_ascii_digit()
}

/// What could be a host name at the start of a text.
fn word(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '-' | '.' | '_'));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let mut addresses = Addresses::new("footfall");
        for (host, port, real) in [
            ("kafka", 9092, 20001),
            ("postgres", 5432, 20002),
            ("footfall-node-1", 8080, 20003),
            ("footfall-node-2", 8080, 20004),
            ("node", 8080, 20003),
        ] {
            addresses.insert(host, port, ([127, 0, 0, 1], real).into());
        }
        addresses
    }

    #[test]
    fn each_address_is_replaced_wherever_it_stands() {
        let cases = [
            ("kafka:9092", "127.0.0.1:20001"),
            ("kafka", "kafka"),
            ("kafka:9092,kafka:9092", "127.0.0.1:20001,127.0.0.1:20001"),
            ("postgres://postgres@postgres:5432/postgres", "postgres://postgres@127.0.0.1:20002/postgres"),
            ("postgres://kafka:secret@postgres:5432/x", "postgres://kafka:secret@127.0.0.1:20002/x"),
            ("server footfall-node-1:8080 max_fails=0; server footfall-node-2:8080;", "server 127.0.0.1:20003 max_fails=0; server 127.0.0.1:20004;"),
            ("my-kafka:9092", "my-kafka:9092"),
            ("kafka.example.com:9092", "kafka.example.com:9092"),
            ("http://node:8080/health", "http://127.0.0.1:20003/health"),
            ("größe kafka:9092", "größe 127.0.0.1:20001"),
            ("https://chat.example.com", "https://chat.example.com"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(addresses().replace(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_place_here_fails() {
        let port = |host: &str, port| AddressError::Port { host: host.to_owned(), port };
        let cases = [
            ("kafka:9093", port("kafka", 9093)),
            ("kafka:99999", AddressError::Host("kafka".to_owned(), "99999".to_owned())),
            ("server footfall-node-3:8080;", AddressError::Host("footfall-node-3".to_owned(), "8080".to_owned())),
            ("postgres://footfall@postgres/footfall", AddressError::NoPort("postgres".to_owned())),
            ("http://node/health", AddressError::NoPort("node".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(addresses().replace(text), Err(expected), "{text}");
        }
    }
}
