//! Footfall: STOMP over WebSocket for Spring-style chat frontends, from one process to many nodes.
//!
//! The modules in the order a message passes them; what may use what is the layers block of `architecture.md`.

pub mod commands;
pub mod node;
pub mod transport;

pub mod api;

pub mod session;

pub mod admission;
pub mod auth;
pub mod channel;
pub mod login;
pub mod policy;

pub mod bus;
pub mod consumers;
pub mod registry;
pub mod store;
pub mod sweep;

pub mod broker;
pub mod edge;

pub mod message;
pub mod metrics;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
