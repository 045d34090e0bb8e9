//! Several nodes as one: the standard load of the failure matrix, faults, and what [`crate::checker`] says of it.

mod calm;
