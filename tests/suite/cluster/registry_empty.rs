//! F9, Redis comes back empty, or throws away what it has: nobody who was logged out comes in, not even while it is filled
//! again, and those who are connected notice nothing.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::Code;
use futures_util::{StreamExt, stream};
use tokio::task::block_in_place;
use tokio::time::{Instant, interval};

use super::people::{come, counted, log_out, order, until_in};
use super::row::{Load, Row};
use super::world::{World, hurt, kill};

/// Half of them one by one, half as a user each.
const REVOKED: usize = 1_000;
const AT_ONCE: usize = 16;
const FILLED_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn row(world: Arc<World>) {
    let mut row = Row::begin(&world, "F9", Load { gives_up_once_in: None, ..Load::STANDARD }).await;
    let nodes = world.nodes();
    let revoked: Vec<_> =
        (0..REVOKED).map(|number| (nodes[number % nodes.len()], world.token_named(&user(number), &user(number)))).collect();
    let good = world.token("f9-good");
    let orders = stream::iter(0..REVOKED).map(|number| {
        let node = nodes[number % nodes.len()];
        async move {
            match number % 2 {
                0 => log_out(node, &user(number)).await,
                _ => order(node, "DELETE", &format!("/api/tokens/{}", user(number))).await.status,
            }
        }
    });
    let refused = orders.buffer_unordered(AT_ONCE).filter(|status| std::future::ready(*status != 204)).count().await;
    row.figures.count("orders that were not carried out at once", 0, refused);
    row.until_fault().await;

    let redis = world.cluster.redis();
    kill(redis);
    let data = redis.folder().join("data");
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let began = Instant::now();
    block_in_place(|| hurt(|| redis.start()));
    let filling = async {
        let mut last = Duration::ZERO;
        for node in &nodes {
            until_in(*node, &good, FILLED_WITHIN * 5).await;
            last = began.elapsed();
        }
        last
    };
    // From its first breath.
    let (filled, meanwhile) = tokio::join!(filling, all_try(&revoked));
    let after = all_try(&revoked).await;
    row.figures.time("good tokens come in again", FILLED_WITHIN, filled);
    row.figures.note("answers to revoked ones meanwhile", format!("{meanwhile:?}"));
    row.figures.count("revoked ones let in while it was filled", 0, meanwhile.get("in").copied().unwrap_or(0));
    row.figures.count("revoked ones refused as such after that", REVOKED, after.get(Code::TokenRevoked.as_str()).copied().unwrap_or(0));

    let kept = async || -> usize { redis::cmd("HLEN").arg("{footfall}:revoked").query_async(&mut connect(&world).await).await.unwrap() };
    row.figures.at_least("revocations in Redis after that", REVOKED, kept().await);

    // Just the list, which no reader of news could miss.
    let thrown: usize = redis::cmd("DEL").arg("{footfall}:revoked").query_async(&mut connect(&world).await).await.unwrap();
    assert_eq!(thrown, 1);
    let began = Instant::now();
    for node in &nodes {
        until_in(*node, &good, FILLED_WITHIN * 5).await;
    }
    row.figures.time("good tokens come in again after the list was thrown away", FILLED_WITHIN, began.elapsed());
    row.figures.at_least("revocations in Redis again", REVOKED, kept().await);

    let evicted = throws_away(&world, &revoked).await;
    row.figures.count("revoked ones let in while it threw away", 0, evicted);
    for node in &nodes {
        until_in(*node, &good, FILLED_WITHIN * 5).await;
    }
    let mut finished = row.finish().await;
    finished.figures.count("clients of the load that lost their connection", 0, finished.disconnected());
    finished.clean();
}

async fn connect(world: &World) -> redis::aio::MultiplexedConnection {
    redis::Client::open(world.cluster.redis().url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn user(number: usize) -> String {
    format!("f9-{number}")
}

async fn all_try(tokens: &[(SocketAddr, String)]) -> std::collections::BTreeMap<String, usize> {
    let tries = stream::iter(tokens.to_vec()).map(|(node, token)| async move { come(node, &token).await.0 });
    counted(tries.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await)
}

/// Redis is full and throws away whatever it likes; how many of those that were revoked come in.
async fn throws_away(world: &World, tokens: &[(SocketAddr, String)]) -> usize {
    let mut connection = connect(world).await;
    let configure = async |connection: &mut redis::aio::MultiplexedConnection, key: &str, value: &str| {
        let () = redis::cmd("CONFIG").arg("SET").arg(key).arg(value).query_async(connection).await.unwrap();
    };
    configure(&mut connection, "maxmemory-policy", "allkeys-random").await;
    configure(&mut connection, "maxmemory", "1").await;
    let mut looks = interval(Duration::from_millis(20));
    let began = Instant::now();
    loop {
        looks.tick().await;
        // Whoever writes makes it look for what to throw away.
        let _refused: Result<(), _> = redis::cmd("SET").arg("more").arg("x").query_async(&mut connection).await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*revoked*").query_async(&mut connection).await.unwrap();
        if keys.is_empty() {
            break;
        }
        assert!(began.elapsed() < FILLED_WITHIN * 5, "Redis keeps {keys:?}");
    }
    let answers = all_try(&tokens[..tokens.len() / 4]).await;
    configure(&mut connection, "maxmemory", "0").await;
    configure(&mut connection, "maxmemory-policy", "noeviction").await;
    let _gone: i64 = redis::cmd("DEL").arg("more").query_async(&mut connection).await.unwrap();
    answers.get("in").copied().unwrap_or(0)
}
