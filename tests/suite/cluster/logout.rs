//! How long it takes from a logout on one node until the last of the user's sockets on all nodes is closed, with pub/sub and
//! without it.

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Code;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::figures::Figures;
use super::people::{log_out, put_out};
use super::world::World;
use crate::support::random::tier;

/// G9, pushed; and polled, which our readers of news do each second.
const PUT_OUT_WITHIN: Duration = Duration::from_secs(2);
/// Polling takes half a second at the median.
const PUSHED_WITHIN: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn row(world: Arc<World>) {
    // Who is polled for waits up to a second, so several are measured side by side.
    let (pushed, polled) = if tier() >= 2 { ((1_000, 1), (1_000, 20)) } else { ((60, 1), (20, 4)) };
    let mut figures = Figures::new("logout", world.seed);
    measure(&world, &mut figures, "pub/sub is up", pushed, Some(PUSHED_WITHIN)).await;

    let client = redis::Client::open(world.cluster.redis().url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("ACL").arg("SETUSER").arg("default").arg("-subscribe").query_async(&mut redis).await.unwrap();
    let cut: usize = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut redis).await.unwrap();
    figures.count("nodes that pub/sub was cut off from", world.nodes().len(), cut);
    measure(&world, &mut figures, "pub/sub is cut", polled, None).await;
    let () = redis::cmd("ACL").arg("SETUSER").arg("default").arg("+subscribe").query_async(&mut redis).await.unwrap();
    figures.done();
}

async fn measure(world: &World, figures: &mut Figures, how: &str, (times, at_once): (usize, usize), median: Option<Duration>) {
    let logouts = stream::iter(0..times).map(|number| one(world, format!("logout-{}-{number}", how.len()), number));
    let mut took: Vec<_> = logouts.buffer_unordered(at_once).collect().await;
    took.sort_unstable();
    let at = |hundredth: usize| took[(times * hundredth / 100).min(times - 1)];
    figures.note(&format!("{how}: logouts of a user on all nodes"), times);
    figures.note(&format!("{how}: p50 until the last socket is closed"), format!("{:.1} ms", at(50).as_secs_f64() * 1e3));
    figures.note(&format!("{how}: p99 in ms"), format!("{:.1} ms", at(99).as_secs_f64() * 1e3));
    // Without push and without reading the news, the store's poll would end them within 10 s, and prove nothing of these.
    figures.within(&format!("{how}: p99"), PUT_OUT_WITHIN, PUT_OUT_WITHIN * 2, at(99));
    figures.within(&format!("{how}: the slowest"), PUT_OUT_WITHIN, PUT_OUT_WITHIN * 5 / 2, at(100));
    if let Some(median) = median {
        figures.within(&format!("{how}: p50"), median, median * 2, at(50));
    }
}

/// How long until the last of the user's sockets is closed.
async fn one(world: &World, user: String, number: usize) -> Duration {
    let nodes = world.nodes();
    let mut clients = world.on_each_node(&world.token(&user)).await;
    let began = Instant::now();
    let orders = async {
        let status = log_out(nodes[number % nodes.len()], &user).await;
        assert_eq!(status, 204, "a logout with Redis at hand is told at once");
    };
    let closes = async {
        let mut last = began;
        for client in &mut clients {
            last = last.max(put_out(client, Code::TokenRevoked).await);
        }
        last
    };
    let both = async { tokio::join!(orders, closes) };
    let ((), last) = timeout(LIMIT, both).await.unwrap_or_else(|_| panic!("{user} is still connected after {LIMIT:?}"));
    last - began
}
