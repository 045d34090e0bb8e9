//! One row of the failure matrix: a load, a moment at which something breaks and one at which it is whole again, and a
//! verdict over everything that clients and database saw meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::Destination;
use tokio::time::{Instant, sleep};

use super::figures::Figures;
pub(super) use super::load::Load;
use super::load::receipted;
use super::rows::Owners;
use super::words;
use super::world::World;
use crate::checker::{Database, Run, Verdict, caught_up, check, stall};
use crate::driver::{Crowd, Log, Manner, What};
use crate::support::random::{Random, tier};

/// Between two attempts of a client to connect.
const PAUSE_AT_MOST: Duration = Duration::from_secs(1);
/// What clients get before and after the load.
const PATIENCE: Duration = Duration::from_mins(1);
/// A delivery is late so long after the RECEIPT of its message. A calm, busy machine is faster.
const LATE: Duration = Duration::from_secs(1);

/// The failure matrix's, and what the setting allows: the group misses a member, and gives out what it had.
const OWNED_AGAIN: (Duration, Duration) = (Duration::from_secs(12), Duration::from_secs(2 * super::SESSION_TIMEOUT.as_secs()));
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
    load: Load,
    /// One in so many of the load's messages is to be receipted at least.
    least: u32,
    /// On the crowd's clock, when the load began.
    began: Duration,
    /// On the same clock, when no SEND could be answered.
    outage: Option<Range<Duration>>,
    /// Where the nodes' logs ended.
    logs: Vec<u64>,
}

impl Row {
    /// All subscribers are live, and the senders begin. Clients know every node, and go from one to the next.
    pub(super) async fn begin(world: &Arc<World>, name: &'static str, load: Load) -> Self {
        Self::begin_at(world, name, load, &world.nodes(), Manner::Eager { pause_at_most: PAUSE_AT_MOST }).await
    }

    /// The same as browsers come: through nginx, and with stompjs.
    pub(super) async fn begin_behind_nginx(world: &Arc<World>, name: &'static str, load: Load) -> Self {
        Self::begin_at(world, name, load, &[world.cluster.nginx().address()], Manner::Stompjs).await
    }

    async fn begin_at(world: &Arc<World>, name: &'static str, load: Load, addresses: &[SocketAddr], manner: Manner) -> Self {
        let mut random = Random::new(world.seed ^ u64::from_be_bytes(padded(name)));
        // Nobody else's, so that only this row is judged.
        let channel = |number| Destination::parse(&format!("{}{number}", prefix(name))).unwrap();
        let channels: Vec<_> = (0..load.channels).map(channel).collect();
        let mut crowd = Crowd::new(world.issuer(), &channels, random.split(), manner);
        let waits = Instant::now();
        crowd.subscribe(addresses, load.subscribers);
        crowd.until_answered(load.subscribers, PATIENCE).await;
        crowd.send(addresses, load.sending());
        let (began, seed) = (crowd.clock(), world.seed);
        let logs = world.cluster.nodes().iter().map(words::end).collect();
        let figures = Figures::new(name, seed);
        figures.note("subscribers were live after", format!("{:.1} s", waits.elapsed().as_secs_f64()));
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
            load,
            least: 4,
            began,
            outage: None,
            logs,
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

    /// Nobody could answer a SEND in this time, so nobody is asked to have done so.
    pub(super) fn had_outage(&mut self, outage: Range<Duration>) {
        self.outage = Some(outage);
    }

    /// The row has a far larger load of its own, beside which the standard one is slow.
    pub(super) fn has_larger_load(&mut self) {
        self.least = 8;
    }

    /// The partitions of a node that went get new owners, though it did not give them back.
    pub(super) async fn owned_again(&mut self, partitions: &BTreeSet<i32>, before: &Owners, since: Instant) {
        match self.world.until_owned_anew(partitions, before, since, OWNED_AGAIN.1).await {
            Ok(took) => self.figures.within("owned again", OWNED_AGAIN.0, OWNED_AGAIN.1, took),
            Err(left) => self.figures.wrong(format!("after {:?} these are not owned again: {:?}", OWNED_AGAIN.1, left.keys())),
        }
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
        let times = self.answered_until(self.clock());
        self.crowd.finish_sending(PATIENCE).await;
        self.world.until_stored().await;
        // What Kafka's own tools show.
        self.figures.time("the group's lag is 0", COMMITTED, self.world.until_committed().await);
        let prefix = self.prefix();
        let due = Arc::new(self.world.rows.read(&prefix).await.heads);
        let logs = self.crowd.finish_reading(due.clone(), PATIENCE).await;
        self.figures.at_least(
            "sent and receipted",
            times.iter().map(|time| self.load.one_in(self.least, time)).sum(),
            receipted(&logs, &times),
        );
        health(&mut self.figures, &self.world, &self.logs);
        let database = Database { kept: self.kept, ..self.world.rows.read(&prefix).await };
        let run = Run { logs, due, database };
        let verdict = check(&run);
        Finished { world: self.world, figures: self.figures, seed: self.seed, load: self.load, began: self.began, run, verdict }
    }

    /// When SENDs could be answered.
    fn answered_until(&self, end: Duration) -> Vec<Range<Duration>> {
        match &self.outage {
            Some(outage) => vec![self.began..outage.start, outage.end..end],
            None => vec![self.began..end],
        }
    }
}

/// Nobody went who was not put out, and nobody panicked.
fn health(figures: &mut Figures, world: &World, logs: &[u64]) {
    for (server, status) in world.cluster.ended() {
        figures.wrong(format!("{} ended by itself, with {status}", server.name()));
    }
    for (node, from) in world.cluster.nodes().iter().zip(logs) {
        if words::has_panic(&words::text_since(node, *from)) {
            figures.wrong(format!("{} panicked; its log ends\n{}", node.name(), node.last_lines()));
        }
    }
}

/// What a row left behind.
pub(super) struct Finished {
    pub(super) world: Arc<World>,
    pub(super) figures: Figures,
    pub(super) run: Run,
    pub(super) verdict: Verdict,
    pub(super) load: Load,
    /// When the load began, as the journals have it.
    pub(super) began: Duration,
    seed: u64,
}

impl Finished {
    /// How many clients had to connect again.
    pub(super) fn disconnected(&self) -> usize {
        let connects = |log: &&Log| log.entries.iter().filter(|entry| matches!(entry.what, What::Connected { .. })).count() > 1;
        self.run.logs.iter().filter(connects).count()
    }

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
