//! What stores that speak SQL have in common, whichever server it is.

mod forget;
mod front;
mod headers;
mod migrations;
mod numbers;
mod revocations;
mod trim;

pub(super) use forget::forget;
pub(super) use front::{Front, FrontRow};
pub(super) use headers::{headers_from_json, headers_to_json};
pub(super) use migrations::{Applied, Change, judge, migrator, refusal};
pub(super) use numbers::{bound, millis, signed, storable_time, unsigned};
pub(super) use revocations::{RevocationRow, after_key};
pub(super) use trim::trim;
