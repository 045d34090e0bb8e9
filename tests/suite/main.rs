//! One binary for all tests of the whole crate, because it links slowly.

mod spec;
mod support;
mod transcripts;
