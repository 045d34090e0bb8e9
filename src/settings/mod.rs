//! What a node is told: one TOML file, and every key also as an environment variable. Only here is the environment read.

mod load;
mod node;
mod problem;
mod reader;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;

pub use load::{environment, load, load_text};
pub use node::{BadSettings, Checked, DEFAULT_FILE, DEVELOPMENT, LogSettings, Mode, NodeSettings, Settings, StoreSettings};
pub use problem::{Problem, SettingsError};
