//! What a node is told: one TOML file, and every key also as an environment variable. Only here is the environment read.

mod check;
mod load;
#[cfg(test)]
mod located;
mod node;
mod problem;
mod reader;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod written;

pub use check::{BadSettings, Checked, Wrong};
pub use load::{environment, load, load_text};
pub use node::{
    BusKind, BusSettings, DEFAULT_FILE, DEVELOPMENT, LogSettings, Mode, NodeSettings, RegistryKind, RegistrySettings, Settings, StoreKind,
    StoreSettings,
};
pub use problem::{Problem, SettingsError};
pub use written::Written;
