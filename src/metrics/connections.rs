//! What is counted of connections, sessions, frames and deliveries.
//!
//! Deliveries are the hot path: each connection adds them up for itself, and gives them to the counters that all share once
//! in a turn, that is once for all that one wake-up wrote.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stomp_frames::Command;

use super::series::family;
use crate::message::Code;

/// Why a delivery that was under way did not reach its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    SlowConsumer,
    SubscriptionEnded,
    SessionEnded,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::SlowConsumer, Self::SubscriptionEnded, Self::SessionEnded];

    fn as_str(self) -> &'static str {
        match self {
            Self::SlowConsumer => "slow-consumer",
            Self::SubscriptionEnded => "subscription-ended",
            Self::SessionEnded => "session-ended",
        }
    }
}

/// How a client was found to be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    OutboxFull,
    WriteStalled,
}

impl Slow {
    const ALL: [Self; 2] = [Self::OutboxFull, Self::WriteStalled];

    fn as_str(self) -> &'static str {
        match self {
            Self::OutboxFull => "outbox-full",
            Self::WriteStalled => "write-stalled",
        }
    }
}

/// Shared by all connections of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectionsMetrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: Gauge,
    opened: Counter,
    closed: Counter,
    sessions: Gauge,
    /// By command.
    received: Vec<Counter>,
    sent: Vec<Counter>,
    /// By code.
    refusals: Vec<Counter>,
    denials: Vec<Counter>,
    deliveries: Counter,
    /// By reason.
    dropped: Vec<Counter>,
    slow: Vec<Counter>,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl ConnectionsMetrics {
    pub(super) fn new(all: &mut Registry) -> Self {
        let (open, opened, closed, sessions) = (Gauge::default(), Counter::default(), Counter::default(), Gauge::default());
        let (deliveries, bytes_in, bytes_out) = (Counter::default(), Counter::default(), Counter::default());
        all.register("footfall_connections_open", "WebSocket connections that are open", open.clone());
        all.register("footfall_connections_opened", "WebSocket connections that were opened", opened.clone());
        all.register("footfall_connections_closed", "WebSocket connections that ended, however they did", closed.clone());
        all.register("footfall_sessions_connected", "STOMP sessions between CONNECTED and their end", sessions.clone());
        let help = "CONNECTs that were denied, and handshakes from a denied origin, by code";
        let denials = family(all, "footfall_connect_denials", help, codes(), Counter::default);
        let help = "Refusals that clients were told, by ERROR or on /user/queue/errors, by code";
        let refusals = family(all, "footfall_refusals", help, codes(), Counter::default);
        let labels = Command::all().map(|command| [("command", command.as_str())]);
        let received = family(all, "footfall_frames_received", "STOMP frames from clients, by command", labels, Counter::default);
        let labels = Command::all().filter(|command| !command.is_client()).map(|command| [("command", command.as_str())]);
        let mut of_servers =
            family(all, "footfall_frames_sent", "STOMP frames to clients, by command", labels, Counter::default).into_iter();
        // The others are never sent, and shown nowhere.
        let of = |command: Command| if command.is_client() { None } else { of_servers.next() };
        let sent = Command::all().map(of).map(Option::unwrap_or_default).collect();
        all.register("footfall_received_bytes", "Bytes that were read from WebSockets", bytes_in.clone());
        all.register("footfall_sent_bytes", "Bytes that were written to WebSockets", bytes_out.clone());
        all.register("footfall_deliveries", "Messages for one subscription that were given to its socket", deliveries.clone());
        let labels = Dropped::ALL.map(|reason| [("reason", reason.as_str())]);
        let help = "Messages for one subscription that were under way and did not reach its socket, by reason";
        let dropped = family(all, "footfall_deliveries_dropped", help, labels, Counter::default);
        let labels = Slow::ALL.map(|reason| [("reason", reason.as_str())]);
        let help = "Sessions that were ended because their client read too slowly, by how that showed";
        let slow = family(all, "footfall_slow_consumers", help, labels, Counter::default);
        let shared =
            Shared { open, opened, closed, sessions, received, sent, refusals, denials, deliveries, dropped, slow, bytes_in, bytes_out };
        Self(Arc::new(shared))
    }

    /// One connection, until it is dropped.
    pub fn opened(&self) -> ConnectionMetrics {
        self.0.opened.inc();
        self.0.open.inc();
        ConnectionMetrics { shared: Arc::clone(&self.0), connected: false, deliveries: 0, late: 0 }
    }

    /// A CONNECT was denied, or a handshake.
    pub fn denied(&self, code: Code) {
        self.0.denials[code as usize].inc();
    }
}

fn codes() -> impl Iterator<Item = [super::series::Label; 1]> {
    Code::ALL.iter().map(|code| [("code", code.as_str())])
}

/// What one connection counts.
#[derive(Debug)]
pub struct ConnectionMetrics {
    shared: Arc<Shared>,
    connected: bool,
    /// Since the last flush.
    deliveries: u32,
    /// Those among them whose subscription had ended.
    late: u32,
}

impl ConnectionMetrics {
    /// CONNECT was accepted.
    pub fn connected(&mut self) {
        if !std::mem::replace(&mut self.connected, true) {
            self.shared.sessions.inc();
        }
    }

    /// The session is over. Any number of calls.
    pub fn disconnected(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.shared.sessions.dec();
        }
    }

    pub fn denied(&self, code: Code) {
        self.shared.denials[code as usize].inc();
    }

    pub fn refused(&self, code: Code) {
        self.shared.refusals[code as usize].inc();
    }

    pub fn received(&self, command: Command) {
        self.shared.received[command as usize].inc();
    }

    /// A frame that is no delivery was given to the socket.
    pub fn sent(&self, frame: &[u8]) {
        let name = frame.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let Some(command) = Command::from_bytes(name) {
            self.shared.sent[command as usize].inc();
        }
    }

    /// A delivery was given to the socket.
    pub fn delivered(&mut self) {
        self.deliveries += 1;
    }

    /// A delivery came to its turn after its subscription had ended.
    pub fn too_late(&mut self) {
        self.late += 1;
    }

    pub fn dropped(&self, reason: Dropped, count: usize) {
        if count > 0 {
            self.shared.dropped[reason as usize].inc_by(count as u64);
        }
    }

    pub fn slow(&self, how: Slow) {
        self.shared.slow[how as usize].inc();
    }

    /// Gives what was added up to the counters that all share, with the bytes that came and went since the last time.
    pub fn flush(&mut self, bytes_in: usize, bytes_out: usize) {
        if self.deliveries > 0 {
            let deliveries = u64::from(std::mem::take(&mut self.deliveries));
            self.shared.deliveries.inc_by(deliveries);
            self.shared.sent[Command::Message as usize].inc_by(deliveries);
        }
        if self.late > 0 {
            let late = std::mem::take(&mut self.late);
            self.dropped(Dropped::SubscriptionEnded, late as usize);
        }
        if bytes_in > 0 {
            self.shared.bytes_in.inc_by(bytes_in as u64);
        }
        if bytes_out > 0 {
            self.shared.bytes_out.inc_by(bytes_out as u64);
        }
    }
}

impl Drop for ConnectionMetrics {
    fn drop(&mut self) {
        self.disconnected();
        self.flush(0, 0);
        self.shared.open.dec();
        self.shared.closed.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place() {
        for (index, reason) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, how) in Slow::ALL.into_iter().enumerate() {
            assert_eq!(how as usize, index);
        }
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
        }
    }

    #[test]
    fn what_one_connection_added_up_is_everybodys_after_a_flush() {
        let mut all = Registry::default();
        let metrics = ConnectionsMetrics::new(&mut all);
        let (mut one, mut other) = (metrics.opened(), metrics.opened());
        one.delivered();
        one.too_late();
        other.delivered();
        let late = || metrics.0.dropped[Dropped::SubscriptionEnded as usize].get();
        assert_eq!((metrics.0.deliveries.get(), late()), (0, 0));
        one.flush(1, 10);
        one.flush(0, 0);
        assert_eq!((metrics.0.deliveries.get(), late()), (1, 1));
        // Whoever goes leaves nothing uncounted.
        drop(other);
        assert_eq!((metrics.0.deliveries.get(), metrics.0.bytes_in.get(), metrics.0.bytes_out.get()), (2, 1, 10));
    }

    #[test]
    fn frames_are_known_by_their_first_line() {
        let mut all = Registry::default();
        let metrics = ConnectionsMetrics::new(&mut all);
        let connection = metrics.opened();
        connection.sent(b"RECEIPT\nreceipt-id:1\n\n\0");
        connection.sent(b"MESSAGE\nsubscription:1\n\n\0");
        connection.sent(b"\n");
        let count = |command: Command| metrics.0.sent[command as usize].get();
        assert_eq!([count(Command::Receipt), count(Command::Message), count(Command::Error)], [1, 1, 0]);
    }

    #[test]
    fn a_session_counts_until_it_or_its_connection_is_over() {
        let mut all = Registry::default();
        let metrics = ConnectionsMetrics::new(&mut all);
        let (mut one, mut other) = (metrics.opened(), metrics.opened());
        one.connected();
        other.connected();
        assert_eq!((metrics.0.open.get(), metrics.0.sessions.get()), (2, 2));
        one.disconnected();
        one.disconnected();
        assert_eq!((metrics.0.open.get(), metrics.0.sessions.get()), (2, 1));
        drop((one, other));
        assert_eq!((metrics.0.open.get(), metrics.0.sessions.get(), metrics.0.closed.get()), (0, 0, 2));
    }
}
