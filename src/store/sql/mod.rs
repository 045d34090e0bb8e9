//! What stores that speak SQL have in common, whichever server it is.

mod front;
mod headers;
mod migrations;
mod numbers;

pub(super) use front::{FRONT_ROWS, Front, FrontRow};
pub(super) use headers::{headers_from_json, headers_to_json};
pub(super) use migrations::{Change, migrator, refusal};
pub(super) use numbers::{bound, signed, storable_time, unsigned};
