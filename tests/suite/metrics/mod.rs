//! What a node says of itself to Prometheus: that it counts, where it says so and where not, that nothing a client brings
//! is in it, and that its documents and its dashboard are as the code is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is counted here is whole and small")]

mod canary;
mod counting;
mod dashboard;
mod page;
mod server;
mod table;

use std::time::Duration;

use self::page::Page;
use crate::support::node::TestNode;
use crate::support::{http, soon};

/// Any free port.
const METRICS: &str = "[metrics]\nport = 0\n";

async fn scrape(node: &TestNode) -> Page {
    let answer = http::get(node.metrics.unwrap(), "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/openmetrics-text; version=1.0.0; charset=utf-8")));
    Page::read(&answer.text())
}

/// Asks until the page is so: what a client has heard of may be counted a moment later.
async fn until(node: &TestNode, what: &str, is_so: impl Fn(&Page) -> bool) -> Page {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    soon(what, async {
        loop {
            pause.tick().await;
            let page = scrape(node).await;
            if is_so(&page) {
                return page;
            }
        }
    })
    .await
}

/// Asks until these series have these values.
async fn until_counted(node: &TestNode, expected: &[(&str, f64)]) -> Page {
    until(node, &format!("{expected:?}"), |page| expected.iter().all(|(series, value)| page.value(series) == *value)).await
}
