//! One suite a port, run for every adapter.

mod bus;
