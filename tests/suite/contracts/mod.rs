//! One suite a port, run for every adapter.

mod bus;
mod memory_bus;
mod postgres;
mod postgres_faults;
mod postgres_figures;
mod shared_reads;
mod sqlite;
mod sqlite_figures;
mod sqlite_kill;
mod store;
