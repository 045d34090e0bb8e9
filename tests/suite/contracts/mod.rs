//! One suite a port, run for every adapter.

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped fails the test")]

mod bus;
mod memory_bus;
