//! Ports for servers: free, and still theirs after a restart.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, bail};

/// Below the ephemeral ports (from 32768 on, on Linux), from which the system serves connections and `bind(0)`: nobody is
/// given one of these while its server is down for a moment.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// A TCP port that no other holder of a `Port` on this machine has.
///
/// The proof is a UDP socket of the same number: servers here use TCP only, so it is in nobody's way. Unlike a lock file
/// it is shared by exactly those who share the TCP ports, of whatever account and target directory, and the system itself
/// gives it back when its holder dies. A bound TCP socket would be in the way of the server.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    pub fn free() -> anyhow::Result<Self> {
        let count = RANGE.end - RANGE.start;
        // Anywhere in the range, so that many who look at the same time need few tries.
        let first = u16::try_from(RandomState::new().hash_one(0) % u64::from(count))?;
        let found = (0..count).find_map(|step| Self::claimed(RANGE.start + (first + step) % count));
        found.with_context(|| format!("no port from {} to {} is free", RANGE.start, RANGE.end - 1))
    }

    /// This one, if nobody has it.
    pub fn exactly(number: u16) -> anyhow::Result<Self> {
        let Some(port) = Self::claimed(number) else { bail!("port {number} is in use") };
        Ok(port)
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    fn claimed(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // On all addresses: servers that are not ours may have it on any.
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_its_server_can_use_it() {
        let port = Port::free().unwrap();
        assert!(Port::exactly(port.number()).is_err());
        let server = TcpListener::bind(port.address()).unwrap();
        let number = port.number();
        drop(port);
        assert!(Port::exactly(number).is_err(), "its server still has it");
        drop(server);
        assert_eq!(Port::exactly(number).unwrap().number(), number);
    }
}
