//! One suite a port, run for every adapter.

mod admissions;
mod bus;
mod kafka_bus;
mod kafka_faults;
mod kafka_figures;
mod kafka_poison;
mod kafka_positions;
mod kafka_sizes;
mod kafka_sweep;
mod kafka_topics;
mod kafka_wire;
mod login_sessions;
mod memory_bus;
mod memory_registry;
mod postgres;
mod postgres_faults;
mod postgres_figures;
mod postgres_open;
mod redis_faults;
mod redis_registry;
mod registry;
mod shared_reads;
mod sqlite;
mod sqlite_figures;
mod sqlite_kill;
mod store;
