//! What a node does with what comes over the bus: one node stores, every node delivers.
//! Sees no session.

mod broadcast;
mod persistence;
mod retention;

pub use broadcast::broadcast;
pub use persistence::persistence;
pub use retention::{KeepOf, RetentionSettings, apply as apply_retention, retention};
