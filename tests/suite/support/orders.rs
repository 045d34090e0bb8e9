//! Orders over the HTTP API, as a backend gives them.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Answer, ask};

pub(crate) const SERVICE_TOKEN: &str = "a-service-token-of-the-tests-with-more-than-32-bytes";

/// `[auth]` with the service token, for further keys to follow.
pub(crate) const AUTH: &str = "\n[auth]\nleeway = \"0s\"\nservice_tokens = [\"a-service-token-of-the-tests-with-more-than-32-bytes\"]\n";

/// Gives an order with the service token.
pub(crate) async fn order(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(ToString::to_string);
    order_with(address, method, path, &format!("Authorization: Bearer {SERVICE_TOKEN}\r\n"), body.as_deref()).await
}

/// The same with these header lines and this body.
pub(crate) async fn order_with(address: SocketAddr, method: &str, path: &str, headers: &str, body: Option<&str>) -> Answer {
    let body = body.map_or_else(
        || "\r\n".to_owned(),
        |body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    ask(address, &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}{body}")).await
}

/// The order is carried out at once, everywhere.
pub(crate) async fn ordered(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) {
    let answer = order(address, method, path, body).await;
    assert_eq!(answer.status, 204, "{method} {path}: {}", answer.text());
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Status and code of an answer that says why not.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}{}", self.head, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        for key in ["type", "title", "detail"] {
            assert!(problem[key].is_string(), "{problem}");
        }
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}
