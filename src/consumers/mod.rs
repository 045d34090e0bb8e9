//! What a node does with what comes over the bus: one node stores, every node delivers.
//! Sees no session.

mod broadcast;
mod identity;
mod partition;
mod persistence;
mod poison;
mod retention;

pub use broadcast::broadcast;
pub use identity::other_log;
pub use partition::{Partitions, Trouble};
pub use persistence::persistence;
pub use retention::{KeepOf, RetentionSettings, apply as apply_retention, retention};
