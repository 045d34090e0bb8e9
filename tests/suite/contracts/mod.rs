//! One suite a port, run for every adapter.

mod bus;
mod memory_bus;
mod sqlite;
mod sqlite_figures;
mod sqlite_kill;
mod store;
