//! A node on a real socket, chapter by chapter; each test is a line of a checklist.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(clippy::print_stdout, reason = "of many cases it is said which one fails")]
#![allow(clippy::format_collect, reason = "what a client says is best read as a format")]

mod api;
mod connect;
mod destinations;
mod flow;
mod frames;
mod handshake;
mod heart_beats;
mod limits;
mod refresh;
mod registry;
mod retention;
mod rights;
mod secrets;
mod session_cookie;
mod websocket;
