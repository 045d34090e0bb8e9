//! F8, Redis is killed and stays away, or is silent: live traffic goes on, CONNECT is refused in time, and a logout is
//! obeyed by all nodes all the same.

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Code;
use tokio::task::block_in_place;
use tokio::time::{Instant, interval, timeout};

use super::people::{Came, come, log_out, put_out, sessions, until_in};
use super::row::{Load, Row};
use super::world::{World, hurt, kill};
use crate::checker::slowest_hundredth;
use crate::support::random::tier;

/// The failure matrix's for a refusal.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// G9, while nothing can be pushed.
const PUT_OUT_WITHIN: Duration = Duration::from_secs(30);
const KNOWN_AGAIN_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn killed(world: Arc<World>) {
    let away = Duration::from_secs(if tier() >= 2 { 60 } else { 8 });
    row(world, "F8", away, |world| kill(world.cluster.redis()), |world| hurt(|| world.cluster.redis().start())).await;
}

pub(super) async fn silent(world: Arc<World>) {
    let away = Duration::from_secs(if tier() >= 2 { 20 } else { 8 });
    row(world, "F8s", away, |world| hurt(|| world.cluster.redis().pause()), |world| hurt(|| world.cluster.redis().resume())).await;
}

async fn row(world: Arc<World>, name: &'static str, away: Duration, hurt: impl Fn(&World), heal: impl Fn(&World)) {
    // Who would come back meanwhile could not, and that is no fault of theirs.
    let mut row = Row::begin(&world, name, Load { gives_up_once_in: None, ..Load::STANDARD }).await;
    let nodes = world.nodes();
    let (stays, leaves) = (format!("{name}-stays"), format!("{name}-leaves"));
    let leaving_token = world.token(&leaves);
    let staying = world.on_each_node(&world.token(&stays)).await;
    let mut leaving = world.on_each_node(&leaving_token).await;
    row.until_fault().await;
    block_in_place(|| hurt(&world));
    let broke = (row.clock(), Instant::now());

    let token = world.token("nobody");
    let (mut slowest, mut let_in, mut refused, mut tries) = (Duration::ZERO, 0, 0, interval(Duration::from_millis(200)));
    let refusing = async {
        while broke.1.elapsed() < away {
            for node in &nodes {
                tries.tick().await;
                let (came, took) = come(*node, &token).await;
                slowest = slowest.max(took);
                match came {
                    Came::In => let_in += 1,
                    Came::Refused(code) => {
                        refused += 1;
                        assert_eq!(code, Code::RegistryUnavailable.as_str());
                    }
                }
            }
        }
    };
    let leaving_all = async {
        let began = Instant::now();
        let status = log_out(nodes[0], &leaves).await;
        let mut last = began;
        for client in &mut leaving {
            last = last.max(put_out(client, Code::TokenRevoked).await);
        }
        (status, last - began)
    };
    // To the end of the outage, whoever is put out when.
    let ((), left) = tokio::join!(refusing, timeout(PUT_OUT_WITHIN * 2, leaving_all));
    let (status, put_out_after) = left.expect("whoever was logged out is still connected");
    let healed = row.clock();
    block_in_place(|| heal(&world));
    let mut back = Duration::ZERO;
    for node in &nodes {
        back = back.max(until_in(*node, &token, KNOWN_AGAIN_WITHIN * 5).await);
    }
    let began = Instant::now();
    let mut looks = interval(Duration::from_millis(100));
    while sessions(nodes[0], &stays).await != Some(nodes.len()) {
        looks.tick().await;
        assert!(began.elapsed() < KNOWN_AGAIN_WITHIN * 5, "the registry does not know who is connected");
    }
    let known = began.elapsed();
    let mut again = 0;
    for node in &nodes {
        again += usize::from(!matches!(come(*node, &leaving_token).await.0, Came::Refused(code) if code == Code::TokenRevoked.as_str()));
    }
    for mut client in staying {
        client.lives().await;
    }

    let mut finished = row.finish().await;
    finished.figures.within("a CONNECT is refused", REFUSED_WITHIN, REFUSED_WITHIN * 2, slowest);
    finished.figures.at_least("CONNECTs refused", 10, refused);
    finished.figures.count("let in meanwhile", 0, let_in);
    finished.figures.count("the logout is accepted", 202, status);
    finished.figures.time("who was logged out is put out on all nodes", PUT_OUT_WITHIN, put_out_after);
    finished.figures.time("CONNECT works again", KNOWN_AGAIN_WITHIN, back);
    finished.figures.time("who is connected is known again", KNOWN_AGAIN_WITHIN, known);
    finished.figures.count("who was logged out comes in again", 0, again);
    finished.figures.count("clients of the load that lost their connection", 0, finished.disconnected());
    let slowest = |time| slowest_hundredth(&finished.run.logs, &time).unwrap_or_default().as_secs_f64();
    let (before, meanwhile) = (slowest(finished.began..broke.0), slowest(broke.0..healed));
    finished.figures.note("p99 of a delivery before", format!("{:.0} ms", before * 1e3));
    finished.figures.ratio("p99 of a delivery meanwhile, by that before", 1.2, meanwhile / before.max(0.001));
    finished.clean();
}
