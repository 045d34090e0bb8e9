//! STOMP 1.0, 1.1 and 1.2 as bytes: chunks in, frames and heart-beats out, and back. For servers and for clients.
//!
//! There is no IO, no clock and no async here, and nothing is known of sessions, subscriptions or rights: a frame may
//! be well formed and still make no sense where it comes.
//!
//! ```text
//! stream      = *( EOL / frame )
//! frame       = command EOL *( header EOL ) EOL body NUL
//! header      = name ":" value
//! EOL         = [ CR ] LF
//! command     = one of Command, case sensitive
//! name, value = UTF-8 without CR, LF, NUL; the name has no ":" and is not empty;
//!               "\r" "\n" "\c" "\\" stand for CR LF ":" "\" as the version has it
//! body        = content-length bytes; without that header, everything up to the first NUL
//! ```
//!
//! # Deviations from the specifications
//!
//! When reading:
//! - LF and CRLF end a line in every version, not only in 1.2. A CR elsewhere in a head is refused, although 1.0 and
//!   1.1 would make it part of a value: the next reader may see two lines.
//! - NUL in a header is refused, although the grammars allow it.
//! - A value may contain a bare colon. The grammars of 1.1 and 1.2 forbid it, nearly all clients send it.
//! - Spaces and tabs around names and values are removed in 1.0, whose own examples have `destination: /queue/a`. In 1.1
//!   and 1.2 they are kept, as demanded; also in CONNECT, STOMP and CONNECTED, since no version is agreed on there.
//! - Until a version is set, nothing is unescaped or trimmed.
//! - A body where none may be is refused in every version; 1.0 says that the one of SUBSCRIBE is ignored.
//! - Repeated `content-length` headers must have the same value. For every other header the first counts.
//! - 1.0 gets what came later: UTF-8 instead of ASCII, and values may be empty.
//! - A command is known in every version. NACK in 1.0, or MESSAGE from a client, is for the session to refuse; see
//!   [`Command::since`], [`Command::is_client`] and [`Command::required_headers`], which does not list `host`.
//! - Line ends behind a frame and heart-beats can't be told apart; those that lie together in a chunk are one
//!   [`Item::HeartBeat`].
//! - The example `DISCONNECT` of 1.1 and 1.2 is printed without its blank line, and is refused like that.
//!
//! When writing:
//! - A header that can't be written without harm is left out, see [`FrameWriter::header`]. In 1.1 that concerns CR.
//! - `content-length` is always there if a frame may have a body, and comes last.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use stomp_frames::{Command, Decoder, FrameWriter, Item, Limits, Version};
//!
//! let mut decoder = Decoder::new(Limits::BEFORE_CONNECT);
//! decoder.push(Bytes::from_static(b"CONNECT\naccept-version:1.1,1.2\n\n\0\nSEND\ndestination:/topic/a\\c"));
//! let Some(Item::Frame(connect)) = decoder.next_item()? else { unreachable!() };
//! assert_eq!(connect.header("accept-version"), Some("1.1,1.2"));
//!
//! decoder.set_version(Version::V1_2);
//! decoder.set_limits(Limits::AFTER_CONNECT);
//! assert_eq!(decoder.next_item()?, Some(Item::HeartBeat));
//! assert_eq!(decoder.next_item()?, None);
//! assert!(decoder.is_mid_frame());
//!
//! decoder.push(Bytes::from_static(b"b\n\nhello\0"));
//! let Some(Item::Frame(send)) = decoder.next_item()? else { unreachable!() };
//! assert_eq!(send.header("destination"), Some("/topic/a:b"));
//!
//! let mut receipt = FrameWriter::new(Command::Receipt, Version::V1_2);
//! receipt.header("receipt-id", "7");
//! assert_eq!(receipt.finish(b""), "RECEIPT\nreceipt-id:7\n\n\0");
//! # Ok::<(), stomp_frames::ParseError>(())
//! ```
#![warn(missing_docs)]

mod command;
mod decoder;
mod encode;
mod error;
mod escape;
mod frame;
mod headers;
mod limits;
mod parse;
mod scan;
mod text;
mod version;

pub use command::Command;
pub use decoder::Decoder;
pub use encode::{FrameWriter, RestWriter, ack_header, encode, message_head};
pub use error::ParseError;
pub use frame::{Frame, Item};
pub use headers::{Headers, Iter};
pub use limits::Limits;
pub use text::Text;
pub use version::{UnknownVersion, Version};
