//! Each server as it is: it answers, is killed, and has its data when it is started again.

#![expect(clippy::unwrap_used, reason = "a server that can't be started fails its test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use xtask::services::{Ending, Kafka, Nginx, Port, Postgres, PostgresOptions, Redis, Server, scratch};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn real_kafka_keeps_its_records() {
    let folder = scratch().unwrap();
    let kafka = Kafka::new(folder.path(), vec![Port::free().unwrap()], &[("auto.create.topics.enable", "false")]).unwrap();
    kafka.start().unwrap();
    kafka.topics(&["--create", "--topic", "events", "--partitions", "2"]).unwrap();
    produce(&kafka, "events", 10);
    kill(kafka.node(1).unwrap());
    kafka.start().unwrap();
    assert_eq!(kafka.topics(&["--list"]).unwrap(), ["events"]);
    assert_eq!(count(&kafka, "events"), 10);
    // A group works, which on one node needs factors of 1, and the tool tells where it stands.
    let consumer = ["--topic", "events", "--group", "readers", "--from-beginning", "--max-messages", "10", "--timeout-ms", "30000"];
    assert_eq!(kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &consumer).unwrap().len(), 10);
    let groups = kafka.consumer_groups(&["--describe", "--group", "readers"]).unwrap();
    assert_eq!(groups.iter().filter(|line| line.starts_with("readers ") && line.contains(" events ")).count(), 2, "{groups:?}");
    assert!(matches!(kafka.stop().unwrap()[..], [Ending::Polite(_)]));
}

#[test]
fn real_kafka_of_three_nodes_lives_without_one() {
    let folder = scratch().unwrap();
    let ports = (0..3).map(|_| Port::free().unwrap()).collect();
    let kafka = Kafka::new(folder.path(), ports, &[]).unwrap();
    kafka.start().unwrap();
    kafka.topics(&["--create", "--topic", "events", "--partitions", "3"]).unwrap();
    produce(&kafka, "events", 10);
    kill(kafka.node(2).unwrap());
    produce(&kafka, "events", 10);
    kafka.node(2).unwrap().start().unwrap();
    assert_eq!(count(&kafka, "events"), 20);
    let description = kafka.topics(&["--describe", "--topic", "events"]).unwrap().join("\n");
    assert!(description.contains("ReplicationFactor: 3") && description.contains("min.insync.replicas=2"), "{description}");
    kafka.kill().unwrap();
}

#[test]
fn real_postgres_keeps_its_rows() {
    let folder = scratch().unwrap();
    let options = PostgresOptions {
        password: Some("not a secret".to_owned()),
        settings: vec![("max_connections".to_owned(), "33".to_owned())],
        ..PostgresOptions::default()
    };
    let postgres = Postgres::new(&folder.path().join("postgres"), Port::free().unwrap(), options).unwrap();
    postgres.start().unwrap();
    postgres.create_database("foot\"fall").unwrap();
    let query = |sql: &str| postgres.query("foot\"fall", sql).unwrap();
    assert_eq!(query("SHOW max_connections"), ["33"]);
    assert_eq!(query("SELECT current_setting('fsync'), current_setting('synchronous_commit')"), ["off|on"]);
    query("CREATE TABLE rows AS SELECT generate_series(1, 1000) AS number");

    // A client that is connected is no reason to wait for, nor are the children that left the group.
    let mut client = TcpStream::connect(postgres.address()).unwrap();
    kill(&postgres);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    postgres.start().unwrap();
    assert_eq!(query("SELECT count(*) FROM rows"), ["1000"]);

    let copy = folder.path().join("copy");
    postgres.back_up(&copy).unwrap();
    query("INSERT INTO rows VALUES (0)");
    assert_eq!(query("SELECT count(*) FROM rows"), ["1001"]);
    postgres.restore(&copy).unwrap();
    assert_eq!(query("SELECT count(*) FROM rows"), ["1000"]);

    // All of them: the children that serve clients are not in its group.
    postgres.pause().unwrap();
    let children = children(postgres.pid().unwrap());
    let found: Vec<_> = children.iter().map(|id| state(*id)).collect();
    // One that has just ended is a zombie: who would reap it is paused.
    assert!(found.contains(&Some('T')) && found.iter().all(|state| matches!(state, Some('T' | 'Z'))), "{found:?}");
    postgres.resume().unwrap();
    assert_eq!(query("SELECT 1"), ["1"]);
    postgres.pause().unwrap();
    kill(&postgres);
    assert!(children.iter().all(|id| matches!(state(*id), None | Some('Z'))), "{children:?}");
    postgres.start().unwrap();
    assert!(matches!(postgres.stop().unwrap(), Ending::Polite(status) if status.success()));
    assert_eq!(postgres.stop().unwrap(), Ending::Before);
}

#[test]
fn real_redis_keeps_what_its_log_has() {
    let folder = scratch().unwrap();
    let settings = [("appendonly", "yes"), ("appendfsync", "always")];
    let redis = Redis::new(folder.path(), Port::free().unwrap(), &settings).unwrap();
    redis.start().unwrap();
    assert!(redis.start().unwrap_err().to_string().contains("is running already"));
    assert_eq!(ask(redis.address(), "SET room 42\r\n"), "+OK\r\n");
    kill(&redis);
    redis.start().unwrap();
    assert_eq!(ask(redis.address(), "GET room\r\n"), "$2\r\n42\r\n");

    redis.pause().unwrap();
    let mut silent = TcpStream::connect(redis.address()).unwrap();
    silent.write_all(b"PING\r\n").unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(silent.read(&mut [0]).is_err(), "a paused server answered");
    // A paused one is continued, so that it can be polite.
    assert!(matches!(redis.stop().unwrap(), Ending::Polite(_)));
}

#[test]
fn real_nginx_serves_the_text_it_was_given() {
    let folder = scratch().unwrap();
    let port = Port::free().unwrap();
    let address = port.address();
    let text = |word: &str| format!("server {{ listen {address}; location / {{ return 200 {word}; }} }}");
    let nginx = Nginx::new(folder.path(), port, &text("one")).unwrap();
    nginx.start().unwrap();
    let get = || ask(address, "GET / HTTP/1.0\r\n\r\n");
    assert!(get().ends_with("\r\n\r\none"), "{}", get());
    kill(&nginx);
    nginx.start().unwrap();
    assert!(get().ends_with("\r\n\r\none"), "{}", get());

    assert!(nginx.configure("no such thing;").unwrap_err().to_string().contains("unknown directive"));
    nginx.configure(&text("two")).unwrap();
    nginx.reload().unwrap();
    until("the new configuration serves", || get().ends_with("\r\n\r\ntwo"));
    assert!(matches!(nginx.stop().unwrap(), Ending::Polite(_)));
}

#[test]
fn real_servers_that_do_not_get_ready_say_why() {
    let folder = scratch().unwrap();
    let redis = Redis::new(folder.path(), Port::free().unwrap(), &[("no-such-setting", "1")]).unwrap();
    let error = redis.start().unwrap_err().to_string();
    assert!(error.contains("before it was ready") && error.contains("no-such-setting"), "{error}");
    assert!(redis.ended().is_some() && redis.pid().is_none());
}

fn kill(server: &Server) {
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    assert!(TcpStream::connect_timeout(&server.address(), Duration::from_secs(1)).is_err(), "something still listens");
}

fn produce(kafka: &Kafka, topic: &str, records: usize) {
    let records = records.to_string();
    let arguments = ["--topic", topic, "--num-records", &records, "--record-size", "100", "--throughput", "-1"];
    kafka.tool("org.apache.kafka.tools.ProducerPerformance", &arguments).unwrap();
}

/// The sum of its partitions' ends, each a line `topic:partition:offset`.
fn count(kafka: &Kafka, topic: &str) -> u64 {
    let lines = kafka.tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", topic]).unwrap();
    lines.iter().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum()
}

fn ask(address: SocketAddr, question: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(question.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn children(leader: u32) -> Vec<u32> {
    let output = Command::new("cat").arg(format!("/proc/{leader}/task/{leader}/children")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn state(process: u32) -> Option<char> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    line.rsplit_once(") ")?.1.chars().next()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::yield_now();
    }
}
