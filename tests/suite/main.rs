//! Everything that needs the whole crate, in one binary, because each binary is linked again.

mod contracts;
mod transcripts;
