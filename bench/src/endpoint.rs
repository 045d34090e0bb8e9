//! Where the node listens, and how to get a token from its development endpoint.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Target;

const PATIENCE: Duration = Duration::from_secs(10);

/// `ws://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    authority: String,
    path: String,
}

impl Endpoint {
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let connected = timeout(PATIENCE, TcpStream::connect(&self.authority)).await;
        let stream = connected.context("The node did not accept a connection within 10 s.")?.context("The node could not be reached.")?;
        stream.set_nodelay(true).context("TCP_NODELAY could not be set.")?;
        Ok(stream)
    }
}

impl FromStr for Endpoint {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("ws://").context("The URL must begin with ws://, as in ws://127.0.0.1:8080/ws.")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(!authority.is_empty(), "The URL names no host.");
        ensure!(!rest.contains(|c: char| c.is_whitespace() || c.is_control()), "A URL has no spaces.");
        // A colon inside the brackets of an IPv6 address is not the one before a port.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority, path: format!("/{path}") })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ws://{}{}", self.authority, self.path)
    }
}

/// One token for each user, or the one that was given.
pub(crate) async fn tokens(target: &Target) -> Result<Vec<String>> {
    if let Some(token) = &target.token {
        return Ok(vec![token.clone()]);
    }
    let mut tokens = Vec::new();
    for user in 1..=target.users {
        let body = serde_json::json!({ "user": format!("bench{user}"), "roles": target.roles }).to_string();
        let token = timeout(PATIENCE, development_token(&target.url, &body)).await;
        let token = token.context("POST /dev/token was not answered within 10 s.")?;
        tokens.push(token.context("No token could be got from POST /dev/token; give one with --token.")?);
    }
    Ok(tokens)
}

/// Plain HTTP by hand, because an HTTP client for one request would be the largest dependency here.
async fn development_token(endpoint: &Endpoint, body: &str) -> Result<String> {
    let mut stream = endpoint.connect().await?;
    let request = format!(
        "POST /dev/token HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        endpoint.authority,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.context("The request could not be written.")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).await.context("The answer could not be read.")?;
    token_in(&answer)
}

fn token_in(answer: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: String,
    }
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("The node answered with status {status:?}; is it in development mode, and is this loopback?");
    }
    // From brace to brace, so that the sizes between the chunks of a chunked answer don't matter.
    let json = answer.find('{').zip(answer.rfind('}')).and_then(|(first, last)| answer.get(first..=last));
    let answer: Answer = serde_json::from_str(json.unwrap_or_default()).context("The answer holds no token.")?;
    Ok(answer.token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, authority, path) in [
            ("ws://127.0.0.1:8080/ws", "127.0.0.1:8080", "/ws"),
            ("ws://localhost", "localhost:80", "/"),
            ("ws://[::1]:9/a/b?c", "[::1]:9", "/a/b?c"),
            ("ws://[::1]/ws", "[::1]:80", "/ws"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.authority(), endpoint.path()), (authority, path), "{text}");
        }
        for text in ["", "wss://x/ws", "http://x", "ws://", "ws:///ws", "ws://a b/"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_token_is_found_in_plain_and_in_chunked_answers() {
        let plain = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"token\":\"a.b\"}";
        let chunked = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{\"token\":\"a.b\"}\r\n0\r\n\r\n";
        assert_eq!(token_in(plain).unwrap(), "a.b");
        assert_eq!(token_in(chunked).unwrap(), "a.b");
    }

    #[test]
    fn a_refusal_is_no_token() {
        assert!(token_in("HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(token_in("HTTP/1.1 200 OK\r\n\r\n{}").is_err());
        assert!(token_in("").is_err());
    }
}
