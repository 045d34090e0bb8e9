//! The session cookie: who gets it, what belongs to it, and what comes of one that is no good.

use footfall::message::{Code, UserName};
use footfall::registry::LoginKey;
use stomp_frames::Frame;

use crate::support::http::{ask, get};
use crate::support::node::{OPEN, TestNode, token};
use crate::support::process::Process;
use crate::support::stomp::{Client, connect, send};
use crate::support::websocket::{WebSocket, upgrade};

const ROOM: &str = "/topic/open.room";
const ALLOWED: &str = "[server]\nallowed_origins = [\"https://chat.example.com\"]\n";
const PAGE: &str = "Origin: https://chat.example.com\r\n";

/// A handshake with these header lines: what becomes a client, and the lines that set cookies.
async fn shake_hands(node: &TestNode, headers: &str) -> (Client, Vec<String>) {
    let (socket, answer) = WebSocket::open_with(node.address, headers).await.unwrap_or_else(|refused| panic!("{headers:?} {refused:?}"));
    (Client::on(socket), set_cookies(&answer.head))
}

fn set_cookies(head: &str) -> Vec<String> {
    head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).map(str::to_owned).collect()
}

/// The value that the one line sets.
fn value(set: &[String]) -> &str {
    let [line] = set else { panic!("{set:?}") };
    let value = line.strip_prefix("footfall_session=").and_then(|rest| rest.split(';').next()).unwrap();
    assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    value
}

fn bringing(value: &str) -> String {
    format!("Cookie: theme=dark; footfall_session={value}; lang=de\r\n")
}

async fn log_in(client: &mut Client, user: &str) -> Frame {
    client.say(connect(&token(user), "1.2", "0,0")).await;
    client.connected().await
}

fn id(connected: &Frame) -> String {
    connected.header("sender-session").unwrap().to_owned()
}

/// A client with this cookie: its public id.
async fn id_with(node: &TestNode, cookie: &str, user: &str) -> (Client, String) {
    let (mut client, set) = shake_hands(node, &bringing(cookie)).await;
    assert_eq!(value(&set), cookie, "it is known, and set again");
    let id = id(&log_in(&mut client, user).await);
    (client, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_connection_belongs_to_the_cookie_that_it_gets() {
    let node = TestNode::start(&format!("{OPEN}{ALLOWED}")).await;
    let (mut first, set) = shake_hands(&node, PAGE).await;
    let cookie = value(&set);
    assert_eq!(set, [format!("footfall_session={cookie}; path=/; max-age=2592000; httponly; samesite=lax")]);
    let connected = log_in(&mut first, "alice").await;
    let mine = id(&connected);
    assert!(mine != cookie && connected.header("session") != Some(&*mine));
    first.subscribe("0", ROOM).await;
    first.send(send(ROOM, "before the reload")).await;
    assert_eq!(first.hears("before the reload").await.header("sender-session"), Some(&*mine));

    // A reload, and the other tab is still there.
    let (mut second, set) = shake_hands(&node, &format!("{PAGE}{}", bringing(cookie))).await;
    assert_eq!(set, [format!("footfall_session={cookie}; path=/; max-age=2592000; httponly; samesite=lax")]);
    let reloaded = log_in(&mut second, "alice").await;
    assert_eq!(id(&reloaded), mine);
    assert_ne!(reloaded.header("session"), connected.header("session"), "sockets have ids of their own still");
    second.send(send(ROOM, "after it").with_header("sender-session", "forged")).await;
    assert_eq!(first.hears("after it").await.header("sender-session"), Some(&*mine));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_are_as_the_settings_and_the_way_here_say() {
    let node = TestNode::start(OPEN).await;
    let (_, set) = shake_hands(&node, "X-Forwarded-Proto: https\r\n").await;
    assert!(set[0].ends_with("; path=/; max-age=2592000; httponly; samesite=lax; secure"), "{set:?}");
    let settings = "[server.session_cookie]\nname = \"sid\"\nttl = \"90s\"\nsecure = true\nsame_site = \"strict\"\n";
    let node = TestNode::start(&format!("{OPEN}{settings}")).await;
    let (_, set) = shake_hands(&node, "").await;
    assert!(set[0].starts_with("sid=") && set[0].ends_with("; path=/; max-age=2592000; httponly; samesite=strict; secure"), "{set:?}");
    let off = TestNode::start(&format!("{OPEN}[server.session_cookie]\nenabled = false\n")).await;
    let (mut client, set) = shake_hands(&off, "").await;
    let connected = log_in(&mut client, "alice").await;
    assert_eq!((set.len(), connected.header("sender-session")), (0, connected.header("session")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_have_one_id_and_two_users_two() {
    let node = TestNode::start(OPEN).await;
    let (mut tab, set) = shake_hands(&node, "").await;
    let cookie = value(&set);
    let alice = id(&log_in(&mut tab, "alice").await);
    let (_tab, same) = id_with(&node, cookie, "alice").await;
    assert_eq!(same, alice);
    let (mut elsewhere, set) = shake_hands(&node, "").await;
    assert_ne!(value(&set), cookie);
    assert_ne!(id(&log_in(&mut elsewhere, "alice").await), alice);
}

async fn logins(node: &TestNode, name: &str) -> Vec<LoginKey> {
    let logins = node.admissions.logins_of(UserName::new(name).unwrap()).await.unwrap();
    logins.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_user_of_a_browser_gets_a_cookie_with_the_next_handshake() {
    let node = TestNode::start(OPEN).await;
    let (mut tab, set) = shake_hands(&node, "").await;
    let cookie = value(&set);
    let alice = id(&log_in(&mut tab, "alice").await);
    let (mut first, _) = shake_hands(&node, &bringing(cookie)).await;
    let connected = log_in(&mut first, "bob").await;
    assert_eq!(connected.header("sender-session"), connected.header("session"), "it is alice's");
    assert_eq!(logins(&node, "bob").await, []);

    let (mut second, set) = shake_hands(&node, &bringing(cookie)).await;
    let bobs = value(&set);
    assert_ne!(bobs, cookie);
    let bob = id(&log_in(&mut second, "bob").await);
    let (_reloaded, same) = id_with(&node, bobs, "bob").await;
    assert!(same == bob && bob != alice);
    assert_eq!(logins(&node, "bob").await, [LoginKey::of(bobs)]);

    // Alice's tab is still there, and what ends it ends nobody else.
    assert_eq!(logins(&node, "alice").await, [LoginKey::of(cookie)]);
    assert!(node.admissions.end_login(LoginKey::of(cookie)).await.unwrap());
    tab.refused(Code::SessionEnded).await;
    first.lives().await;
    second.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_somebody_planted_ties_nobody_to_them() {
    let node = TestNode::start(OPEN).await;
    let (mut mallory, set) = shake_hands(&node, "").await;
    let planted = value(&set);
    log_in(&mut mallory, "mallory").await;
    let (mut alice, _) = shake_hands(&node, &bringing(planted)).await;
    let connected = log_in(&mut alice, "alice").await;
    assert_eq!(connected.header("sender-session"), connected.header("session"));
    assert_eq!(logins(&node, "alice").await, []);
    assert_eq!(logins(&node, "mallory").await, [LoginKey::of(planted)]);
    for key in logins(&node, "mallory").await {
        assert!(node.admissions.end_login(key).await.unwrap());
    }
    mallory.refused(Code::SessionEnded).await;
    alice.lives().await;
}

/// Header lines that bring no cookie of ours.
fn malformed() -> Vec<Vec<u8>> {
    let good = "00112233445566778899aabbccddeeff";
    let name = "footfall_session";
    let mut lines: Vec<Vec<u8>> = [
        String::new(),
        ";".to_owned(),
        ";;;;".to_owned(),
        "=".to_owned(),
        "= ; =".to_owned(),
        "\t".to_owned(),
        name.to_owned(),
        format!("{name}="),
        format!("{name}=;"),
        format!("{name}=\"\""),
        format!("{name}==="),
        format!("{name}=x"),
        format!("{name}={good}0"),
        format!("{name}={}", &good[1..]),
        format!("{name}={}", good.to_uppercase()),
        format!("{name}=\"{good}\""),
        format!("{name}={good},{name}={good}"),
        format!("{name}={good} {good}"),
        format!("{name}= {good}"),
        format!("{name} ={good}"),
        format!("{name}={}", good.replace('0', "%30")),
        format!("{name}={}", good.replace('0', "\u{ff10}")),
        format!("{name}=../../{good}"),
        format!("{name}='; DROP TABLE logins; --"),
        format!("{name}={{footfall}}:login:*"),
        format!("{name}=null"),
        format!("{name}={}", "0".repeat(8 * 1024)),
        "x".repeat(8 * 1024),
        "a=1;".repeat(2 * 1024),
        format!("{}={good}", name.to_uppercase()),
        format!("$Version=1; {name}=x; $Path=/"),
        format!("{name}=a; {name}=b; {name}=c"),
        format!("{name}={good}; {name}={}", good.replace('0', "1")),
        format!("a={name}={good}"),
        format!("{name}[]={good}"),
        format!("{name}={good}\u{85}"),
        format!("\u{feff}{name}={good}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    lines.push([name.as_bytes(), b"=\xff\xfe\x80"].concat());
    lines.push([b"\xff=\xfe; ", name.as_bytes(), b"=\xc0\x80"].concat());
    lines.push([name.as_bytes(), b"=\t", good.as_bytes()].concat());
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cookie_header_is_an_error() {
    let node = TestNode::start(OPEN).await;
    let lines = malformed();
    assert!(lines.len() >= 30);
    for line in lines {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
        let headers = [b"Cookie: ", &*line, b"\r\n"].concat();
        let (socket, answer) =
            WebSocket::open_bytes(stream, node.address, &headers).await.unwrap_or_else(|answer| panic!("{shown:?} {answer:?}"));
        let set = set_cookies(&answer.head);
        assert!(!line.windows(32).any(|window| window == value(&set).as_bytes()), "{shown:?} got its own value");
        let connected = log_in(&mut Client::on(socket), "alice").await;
        assert_ne!(connected.header("sender-session"), connected.header("session"), "{shown:?}");
    }
    // What HTTP allows in no header at all (RFC 9110 §5.5) is refused before anyone looks which header it is: one that is
    // passed over could as well be an Origin.
    for control in ["\0", "\x01", "\x0b", "\x1b", "\x7f"] {
        assert_eq!(ask(node.address, &upgrade(node.address, &format!("Cookie: a{control}\r\n"))).await.status, 400, "{control:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_nobody_was_given_is_replaced() {
    let node = TestNode::start(OPEN).await;
    let (mut client, set) = shake_hands(&node, "").await;
    let connected = log_in(&mut client, "alice").await;
    let cookie = value(&set);
    // What others see of a session opens nothing.
    let session = connected.header("session").unwrap();
    for guess in [&*id(&connected), session, "00112233445566778899aabbccddeeff", &LoginKey::of(cookie).to_string()] {
        let (mut other, set) = shake_hands(&node, &bringing(guess)).await;
        assert_ne!(value(&set), guess);
        let connected = log_in(&mut other, "alice").await;
        assert!(id(&connected) != id(&log_in(&mut shake_hands(&node, "").await.0, "alice").await) && id(&connected) != guess);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_admitted_leaves_nothing_behind() {
    let node = TestNode::start(OPEN).await;
    let mut cookies = Vec::new();
    for _ in 0..20 {
        let (mut client, set) = shake_hands(&node, "").await;
        cookies.push(value(&set).to_owned());
        client.say(connect("no token", "1.2", "0,0")).await;
        client.refused(Code::TokenInvalid).await;
    }
    for cookie in cookies {
        assert_eq!(node.admissions.registry().login(LoginKey::of(&cookie)).await.unwrap(), None);
        let (_, set) = shake_hands(&node, &bringing(&cookie)).await;
        assert_ne!(value(&set), cookie);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_ended_takes_its_sockets_along_and_does_not_come_back() {
    let node = TestNode::start(OPEN).await;
    let (mut one, set) = shake_hands(&node, "").await;
    let cookie = value(&set);
    log_in(&mut one, "alice").await;
    let (mut two, _) = id_with(&node, cookie, "alice").await;
    let mut elsewhere = Client::connect(node.address, "alice").await;
    let (mut between, _) = shake_hands(&node, &bringing(cookie)).await;
    assert!(node.admissions.end_login(LoginKey::of(cookie)).await.unwrap());
    one.refused(Code::SessionEnded).await;
    two.refused(Code::SessionEnded).await;
    elsewhere.lives().await;
    let connected = log_in(&mut between, "alice").await;
    assert_eq!(connected.header("sender-session"), connected.header("session"), "it belongs to nothing");
    let (mut after, set) = shake_hands(&node, &bringing(cookie)).await;
    assert_ne!(value(&set), cookie);
    log_in(&mut after, "alice").await;
    assert!(!node.admissions.end_login(LoginKey::of(cookie)).await.unwrap());
    after.lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_sets_no_cookie() {
    let node = TestNode::start(&format!("{OPEN}{ALLOWED}")).await;
    for origin in ["https://evil.example", "null", "http://chat.example.com", ""] {
        let Err(refused) = WebSocket::open_with(node.address, &format!("Origin: {origin}\r\n")).await else { panic!("{origin}") };
        assert_eq!((refused.status, set_cookies(&refused.head).len()), (403, 0), "{origin}");
    }
    let no_upgrade = get(node.address, "/ws").await;
    let no_version = ask(node.address, &upgrade(node.address, "").replace("Version: 13", "Version: 12")).await;
    for answer in [no_upgrade, no_version, get(node.address, "/health/live").await, get(node.address, "/").await] {
        assert_eq!(set_cookies(&answer.head).len(), 0, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_every_page_may_connect_it_is_for_the_own_one_only() {
    let node = TestNode::start(&format!("{OPEN}[server]\nallowed_origins = [\"*\"]\n")).await;
    let (mut own, set) = shake_hands(&node, &format!("Origin: http://{}\r\n", node.address)).await;
    let cookie = value(&set);
    let mine = id(&log_in(&mut own, "alice").await);
    let (mut foreign, set) = shake_hands(&node, &format!("Origin: https://evil.example\r\n{}", bringing(cookie))).await;
    assert_eq!(set.len(), 0);
    let connected = log_in(&mut foreign, "alice").await;
    assert_eq!(connected.header("sender-session"), connected.header("session"));
    assert_ne!(id(&connected), mine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_value_is_with_its_client_only() {
    let process = Process::start(
        "[log]\nfilter = \"trace\"\n[[destinations]]\npattern = \"/topic/open.{name}\"\nsubscribe = \"true\"\nsend = \"true\"\nstore = true\n",
    );
    let made = crate::support::http::post(process.address, "/dev/token", "Host: localhost\r\n", r#"{"user":"alice"}"#).await;
    let token = serde_json::from_slice::<serde_json::Value>(&made.body).unwrap()["token"].as_str().unwrap().to_owned();
    let (socket, answer) = WebSocket::open_with(process.address, "").await.unwrap();
    let cookie = value(&set_cookies(&answer.head)).to_owned();
    let mut said = Vec::new();
    let mut clients = vec![Client::on(socket)];
    for _ in 0..2 {
        let (socket, answer) = WebSocket::open_with(process.address, &bringing(&cookie)).await.unwrap();
        assert_eq!(set_cookies(&answer.head).len(), 1);
        clients.push(Client::on(socket));
    }
    for client in &mut clients {
        client.say(connect(&token, "1.2", "0,0")).await;
        said.push(client.connected().await);
        client.subscribe("0", ROOM).await;
        client.send(send(ROOM, "hello")).await;
        said.push(client.hears("hello").await);
        client.say("SEND\ndestination:/nowhere\n\n\0").await;
        said.push(client.frame().await);
    }
    assert!(said.iter().all(|frame| !format!("{frame:?}").contains(&cookie)), "{said:?}");
    for path in ["/", "/page/config.json", "/health/ready"] {
        assert!(!get(process.address, path).await.text().contains(&cookie), "{path}");
    }
    assert!(process.kept().iter().all(|file| !file.windows(32).any(|window| window == cookie.as_bytes())));
    let log = process.log();
    assert!(!log.contains(&cookie) && log.contains("session connected"), "{log}");
}
