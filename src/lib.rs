//! Footfall: STOMP over WebSocket for Spring-style chat frontends, from one process to many nodes.
//!
//! The modules in the order a message passes them; what may use what is the layers block of `architecture.md`.

pub mod auth;
pub mod message;
pub mod policy;
