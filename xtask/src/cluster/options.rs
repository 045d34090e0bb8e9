//! How a cluster is to differ from what the compose file says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Everything but `binary` may be left as it is by default.
#[derive(Clone, Default)]
pub struct Options {
    /// The footfall program.
    pub binary: PathBuf,
    /// How many nodes; without it as many as the file says.
    pub nodes: Option<usize>,
    /// Variables of the file. Required ones that end in `_SECRET` or `_PASSWORD` are made up if they are missing.
    pub variables: BTreeMap<String, String>,
    /// Further environment, as (service, variable, value): `("node", "FOOTFALL_LOG__FILTER", "debug")`. Addresses are
    /// those of the file (`kafka:9092`).
    pub environment: Vec<(String, String, String)>,
    /// Settings for footfall instead of those that the file mounts.
    pub settings: Option<PathBuf>,
    /// An empty folder where everything runs; it stays. Without it a temporary folder, which goes with the cluster.
    pub folder: Option<PathBuf>,
    pub ports: Published,
    /// Whether somebody measures times: PostgreSQL waits for the disk at each commit, and Kafka has a Java machine that
    /// compiles well. Without it no commit outlives this machine, and tests start and run sooner.
    pub measured: bool,
}

/// Which ports of this machine a published port gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Published {
    /// A free one, so that tests don't meet.
    #[default]
    Free,
    /// The one that the file says.
    AsWritten,
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables and environment may hold secrets.
        out.debug_struct("Options").field("binary", &self.binary).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Options {
    /// As the file says, with this program.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), ..Self::default() }
    }

    /// What fills in the file's variables.
    pub(super) fn variables(&self) -> impl Fn(&str) -> Option<String> {
        let mut variables = self.variables.clone();
        if let Some(nodes) = self.nodes {
            variables.insert("FOOTFALL_NODES".to_owned(), nodes.to_string());
            variables.insert("FOOTFALL_UPSTREAM".to_owned(), upstream(nodes));
        }
        let variables = RefCell::new(variables);
        move |name| {
            let mut variables = variables.borrow_mut();
            let is_secret = name.ends_with("_SECRET") || name.ends_with("_PASSWORD");
            if is_secret && variables.get(name).is_none_or(String::is_empty) {
                variables.insert(name.to_owned(), secret()?);
            }
            variables.get(name).cloned()
        }
    }
}

/// What nginx is told of so many nodes.
fn upstream(nodes: usize) -> String {
    (1..=nodes).map(|number| format!("server footfall-node-{number}:8080 max_fails=0;")).collect::<Vec<_>>().join(" ")
}

/// 32 random bytes in hexadecimal.
fn secret() -> Option<String> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).ok()?;
    let digit = |value: u8| char::from_digit(u32::from(value), 16);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    #[test]
    fn a_secret_is_made_once() {
        let mut options = Options::new("x");
        options.variables.insert("GIVEN_SECRET".to_owned(), "given".to_owned());
        let variable = options.variables();
        assert_eq!(variable("GIVEN_SECRET").as_deref(), Some("given"));
        assert_eq!(variable("A_PASSWORD").unwrap().len(), 64);
        assert_eq!(variable("A_PASSWORD"), variable("A_PASSWORD"));
        assert_ne!(variable("A_PASSWORD"), variable("B_PASSWORD"));
        assert_eq!(variable("FOOTFALL_NODES"), None);
    }

    #[test]
    fn nginx_is_told_of_as_many_nodes_as_the_file_has_itself() {
        let file = std::fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
        assert!(file.contains("${FOOTFALL_NODES:-3}"), "the number of nodes is a variable");
        assert!(file.contains(&format!("${{FOOTFALL_UPSTREAM:-{}}}", upstream(3))), "nginx names each of three nodes");
        let example = std::fs::read_to_string(root().join("deploy/.env.example")).unwrap();
        assert!(example.contains(&format!("FOOTFALL_UPSTREAM={}\n", upstream(3))));
    }
}
