//! The edge and the consumers with a real store and the memory bus, under stress: joiners while messages flow, a bus
//! that loses and repeats, a store that goes away, owners that are fenced.

mod decorators;
mod joining;
mod leaving;
mod losses;
mod outages;
mod ownership;
mod tap;
mod world;
