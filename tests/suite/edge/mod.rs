//! The edge and the consumers with a real store and the memory bus, under stress: joiners while messages flow, a bus
//! that loses and repeats, a store that goes away, owners that are fenced.

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped fails the test")]

mod decorators;
mod failing;
mod joining;
mod leaving;
mod losses;
mod outages;
mod ownership;
mod poison;
mod tap;
mod world;
