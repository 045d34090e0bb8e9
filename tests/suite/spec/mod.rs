//! A node on a real socket, chapter by chapter; each test is a line of a checklist.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod connect;
mod destinations;
mod frames;
mod handshake;
mod heart_beats;
mod limits;
mod rights;
mod secrets;
mod websocket;
