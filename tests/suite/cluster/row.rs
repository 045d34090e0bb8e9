//! One row of the failure matrix: a load, a moment at which something breaks and one at which it is whole again, and a
//! verdict over everything that clients and database saw meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::Destination;
use tokio::time::sleep;

use super::figures::Figures;
use super::world::World;
use crate::checker::{Database, Run, Verdict, caught_up, check, stall};
use crate::driver::{Crowd, Pace, Sending};
use crate::support::random::{Random, tier};

/// Between two attempts of a client to connect.
const PAUSE_AT_MOST: Duration = Duration::from_secs(1);
/// What clients get before and after the load.
const PATIENCE: Duration = Duration::from_mins(1);
/// A delivery is late so long after the RECEIPT of its message. A calm, busy machine is faster.
const LATE: Duration = Duration::from_secs(1);

/// After the last record is stored.
const COMMITTED: Duration = Duration::from_secs(5);

/// Since the load began.
#[derive(Debug, Clone, Copy)]
struct Times {
    fault: Duration,
    heal: Duration,
    end: Duration,
}

impl Times {
    fn of_this_tier() -> Self {
        let (fault, heal, end) = if tier() >= 2 { (20, 35, 60) } else { (5, 10, 20) };
        Self { fault: Duration::from_secs(fault), heal: Duration::from_secs(heal), end: Duration::from_secs(end) }
    }
}

/// Who sends and who listens, over all nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) subscribers: usize,
    pub(super) channels: usize,
    pub(super) senders: usize,
    /// Messages a second, of all senders.
    pub(super) rate: u32,
}

impl Load {
    /// The failure matrix's.
    pub(super) const STANDARD: Self = Self { subscribers: 300, channels: 30, senders: 20, rate: 200 };

    fn sending(self) -> Sending {
        let senders = u32::try_from(self.senders).expect("a crowd");
        let pace = Pace::Every(Duration::from_secs(1) * senders / self.rate);
        Sending { senders: self.senders, pace, gives_up_once_in: Some(40) }
    }
}

pub(super) struct Row {
    pub(super) world: Arc<World>,
    pub(super) random: Random,
    pub(super) crowd: Crowd,
    pub(super) channels: Vec<Destination>,
    pub(super) figures: Figures,
    /// What a copy had that the database was put back to.
    pub(super) kept: BTreeMap<String, u64>,
    seed: u64,
    name: &'static str,
    times: Times,
    /// On the crowd's clock, when the load began.
    began: Duration,
}

impl Row {
    /// All subscribers are live, and the senders begin.
    pub(super) async fn begin(world: &Arc<World>, name: &'static str, load: Load) -> Self {
        let mut random = Random::new(world.seed ^ u64::from_be_bytes(padded(name)));
        // Nobody else's, so that only this row is judged.
        let channel = |number| Destination::parse(&format!("{}{number}", prefix(name))).unwrap();
        let channels: Vec<_> = (0..load.channels).map(channel).collect();
        let mut crowd = Crowd::new(world.issuer(), &channels, random.split(), PAUSE_AT_MOST);
        crowd.subscribe(&world.nodes(), load.subscribers);
        crowd.until_answered(load.subscribers, PATIENCE).await;
        crowd.send(&world.nodes(), load.sending());
        let (began, seed) = (crowd.clock(), world.seed);
        let figures = Figures::new(name, seed);
        Self {
            world: world.clone(),
            random,
            crowd,
            channels,
            figures,
            kept: BTreeMap::new(),
            seed,
            name,
            times: Times::of_this_tier(),
            began,
        }
    }

    /// The moment to break something, which is not the same one in two runs.
    pub(super) async fn until_fault(&mut self) {
        let moment = self.times.fault + Duration::from_millis(self.random.below(1_000));
        self.until(moment).await;
    }

    pub(super) async fn until_heal(&self) {
        self.until(self.times.heal).await;
    }

    /// Waits until the load is so old.
    pub(super) async fn until(&self, moment: Duration) {
        sleep((self.began + moment).saturating_sub(self.crowd.clock())).await;
    }

    /// As the journals have it.
    pub(super) fn clock(&self) -> Duration {
        self.crowd.clock()
    }

    /// One of the nodes.
    pub(super) fn some_node(&mut self) -> usize {
        1 + self.random.index(self.world.cluster.nodes().len())
    }

    /// How this row's destinations begin.
    pub(super) fn prefix(&self) -> String {
        prefix(self.name)
    }

    /// The load goes on to its end, clients finish what is open, and the checker judges.
    pub(super) async fn finish(mut self) -> Finished {
        self.until(self.times.end).await;
        self.crowd.finish_sending(PATIENCE).await;
        self.world.until_stored().await;
        // What Kafka's own tools show.
        self.figures.time("the group's lag is 0", COMMITTED, self.world.until_committed().await);
        let prefix = self.prefix();
        let due = Arc::new(self.world.rows.read(&prefix).await.heads);
        let logs = self.crowd.finish_reading(due.clone(), PATIENCE).await;
        let database = Database { kept: self.kept, ..self.world.rows.read(&prefix).await };
        let run = Run { logs, due, database };
        let verdict = check(&run);
        Finished { world: self.world, figures: self.figures, seed: self.seed, run, verdict }
    }
}

/// What a row left behind.
pub(super) struct Finished {
    pub(super) world: Arc<World>,
    pub(super) figures: Figures,
    pub(super) run: Run,
    pub(super) verdict: Verdict,
    seed: u64,
}

impl Finished {
    /// C8, since this moment.
    pub(super) fn caught_up(&mut self, target: Duration, since: Duration) {
        self.figures.time("C8: lag 0", target, caught_up(&self.run.logs, since, LATE));
    }

    /// The longest that any message waited for the nodes.
    pub(super) fn stalled(&mut self, what: &str, target: Duration) {
        self.figures.time(what, target, stall(&self.run.logs));
    }

    /// C1–C7, and nobody was told that a position is lost.
    pub(super) fn clean(mut self) {
        self.figures.count("positions lost", 0, self.verdict.totals.reset);
        self.judged();
    }

    /// C1–C7.
    pub(super) fn judged(mut self) {
        let totals = &self.verdict.totals;
        self.figures.note("receipted", totals.receipted);
        self.figures.note("delivered", totals.delivered);
        self.figures.note("resumed", totals.resumed);
        self.figures.note("errors", format!("{:?}", totals.errors));
        // G2.
        self.figures.time("a SEND's answer", Duration::from_secs(9), totals.slowest_answer);
        self.figures.count("senders without any receipt", 0, totals.idle);
        self.figures.count("violations of C1-C7", 0, self.verdict.violations.len());
        if !self.verdict.violations.is_empty() {
            self.world.cluster.show_logs();
        }
        self.verdict.assert_clean(self.seed);
        self.figures.done();
    }
}

fn prefix(name: &str) -> String {
    format!("/topic/rooms.{}-", name.to_lowercase())
}

/// A row's name as a number.
fn padded(name: &str) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    bytes
}
