//! One suite a port, run for every adapter.

mod sqlite;
mod sqlite_figures;
mod sqlite_kill;
mod store;
