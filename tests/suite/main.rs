//! One binary for all tests of the whole crate, because it links slowly.

mod contracts;
mod durability;
mod edge;
mod transcripts;
