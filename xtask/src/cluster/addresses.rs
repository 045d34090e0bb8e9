//! Where what a compose file calls `host:port` is on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use thiserror::Error;

/// Why a text names something that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error("`{host}:{port}` is named, and nothing of {host} listens on {port}")]
    Port { host: String, port: u16 },
    #[error("`{0}` is named without a port, so it can't be mapped")]
    NoPort(String),
    #[error("`{0}` is named, of which there are several; each has a name of its own that ends in its number")]
    Several(String),
    #[error("`{0}:{1}` is named, which is no service of the file, nor one replica of one")]
    Host(String, String),
}

/// A table from (host, port inside of its container) to the real address.
#[derive(Debug)]
pub(crate) struct Addresses {
    project: String,
    table: BTreeMap<(String, u16), SocketAddr>,
    several: BTreeSet<String>,
}

impl Addresses {
    pub(crate) fn new(project: &str) -> Self {
        Self { project: project.to_owned(), table: BTreeMap::new(), several: BTreeSet::new() }
    }

    pub(crate) fn insert(&mut self, host: &str, port: u16, real: SocketAddr) {
        self.table.insert((host.to_owned(), port), real);
    }

    /// A name that leads to one of several, as compose's name of a service with replicas does. Here it leads nowhere.
    pub(crate) fn insert_several(&mut self, host: &str) {
        self.several.insert(host.to_owned());
    }

    /// The text with each `host:port` replaced. A name that has no place here is an error, not left for somebody to
    /// connect to.
    pub(crate) fn replace(&self, text: &str) -> Result<String, AddressError> {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let word = word(rest);
            if word.is_empty() {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                replaced.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            rest = &rest[word.len()..];
            let digits = rest.strip_prefix(':').map_or("", |after| &after[..after.len() - after.trim_start_matches(digit).len()]);
            let is_ours = self.is_known(word) || self.is_replica(word);
            if is_ours && !digits.is_empty() {
                replaced.push_str(&self.real(word, digits)?.to_string());
                rest = &rest[1 + digits.len()..];
            } else if is_ours && is_host_of_url(&replaced, rest) {
                // Its default port would be somebody else's here.
                return Err(AddressError::NoPort(word.to_owned()));
            } else {
                replaced.push_str(word);
            }
        }
        Ok(replaced)
    }

    fn real(&self, host: &str, digits: &str) -> Result<SocketAddr, AddressError> {
        if self.several.contains(host) {
            return Err(AddressError::Several(host.to_owned()));
        }
        let Ok(port) = digits.parse() else { return Err(AddressError::Host(host.to_owned(), digits.to_owned())) };
        let found = self.table.get(&(host.to_owned(), port));
        found.copied().ok_or_else(|| {
            if self.is_known(host) {
                AddressError::Port { host: host.to_owned(), port }
            } else {
                AddressError::Host(host.to_owned(), digits.to_owned())
            }
        })
    }

    fn is_known(&self, word: &str) -> bool {
        self.several.contains(word) || self.table.keys().any(|(host, _)| host == word)
    }

    /// Whether it looks like compose's name of a replica: `footfall-node-4` where there are three must not be left as it is.
    fn is_replica(&self, word: &str) -> bool {
        let rest = word.strip_prefix(self.project.as_str()).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.rsplit_once('-')).is_some_and(|(_, number)| number.chars().all(digit))
    }
}

/// Whether what follows `before` is the host of a URL, and not its user.
fn is_host_of_url(before: &str, after: &str) -> bool {
    let is_user = || after.find(['@', '/', ' ']).is_some_and(|at| after[at..].starts_with('@'));
    before.ends_with('@') || (before.ends_with("://") && !is_user())
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
            ("redis", 6379, 20005),
            ("footfall-node-1", 8080, 20003),
            ("footfall-node-2", 8080, 20004),
            ("api", 8080, 20003),
        ] {
            addresses.insert(host, port, ([127, 0, 0, 1], real).into());
        }
        addresses.insert_several("node");
        addresses
    }

    #[test]
    fn each_address_is_replaced_wherever_it_stands() {
        let cases = [
            ("kafka:9092", "127.0.0.1:20001"),
            ("kafka", "kafka"),
            ("kafka:9092,kafka:9092", "127.0.0.1:20001,127.0.0.1:20001"),
            ("postgres://postgres@postgres:5432/postgres", "postgres://postgres@127.0.0.1:20002/postgres"),
            ("redis://redis:6379/0", "redis://127.0.0.1:20005/0"),
            ("postgres://kafka:secret@postgres:5432/x", "postgres://kafka:secret@127.0.0.1:20002/x"),
            (
                "server footfall-node-1:8080 max_fails=0; server footfall-node-2:8080;",
                "server 127.0.0.1:20003 max_fails=0; server 127.0.0.1:20004;",
            ),
            ("my-kafka:9092", "my-kafka:9092"),
            ("kafka.example.com:9092", "kafka.example.com:9092"),
            ("http://api:8080/health", "http://127.0.0.1:20003/health"),
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
            ("http://api/health", AddressError::NoPort("api".to_owned())),
            ("http://api", AddressError::NoPort("api".to_owned())),
            ("http://node:8080/health", AddressError::Several("node".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(addresses().replace(text), Err(expected), "{text}");
        }
    }
}
