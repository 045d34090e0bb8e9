//! What a node is told: one TOML file, and every key also as an environment variable. Only here is the environment read.

mod load;
mod problem;
mod reader;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;

pub use load::{environment, load};
pub use problem::{Problem, SettingsError};
