//! HTTP by hand: a request is the text that goes out.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head as it came, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    ask(address, &format!("POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"))
        .await
}

/// A request as it is, byte for byte, and what comes back on the same connection.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // What is too long is refused while it is still being written.
    let _refused_or_not = stream.write_all(request.as_bytes()).await;
    let (answer, _rest) = soon("the answer", answer(&mut stream)).await;
    answer.unwrap_or_else(|| panic!("no answer to {:?}", &request[..request.len().min(200)]))
}

/// Reads one answer, and what came behind it; none if the connection was closed instead.
pub(crate) async fn answer(stream: &mut TcpStream) -> (Option<Answer>, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return (None, bytes),
            Ok(_) => {}
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = bytes.split_off(end);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while body.len() < length && matches!(stream.read_buf(&mut body).await, Ok(1..)) {}
    let rest = body.split_off(length.min(body.len()));
    (Some(Answer { status, head, body }), rest)
}
