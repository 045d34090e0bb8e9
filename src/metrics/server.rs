//! The server of the page: `GET /metrics` and nothing else, for a few who ask now and then.
//!
//! It is no part of the way in for clients, and shares nothing with it: neither its port, nor its limits, nor its end. It
//! goes on until a drain is over, since that is when somebody looks.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Metrics, Snapshot};
use crate::shutdown::Shutdown;

/// Looks at the node. It must not wait.
pub type Look = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// So many may ask at once; further ones wait to be accepted.
const MOST_AT_ONCE: usize = 8;
const BACKLOG: u32 = 64;
/// For the head of a request, and for all of one from its first byte to the last of the answer.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// hyper takes no less.
const MAX_HEAD: usize = 8 * 1024;
/// When accepting fails (no file handles are left, mostly), trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An address that is ours, at which nobody is let in yet.
#[derive(Debug)]
pub struct Bound(TcpSocket);

/// Binds an address; port 0 takes any that is free.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted node must not wait for the sockets of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(Bound(socket))
}

impl Bound {
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)
    }
}

/// Serves until the node has stopped.
pub async fn serve(listener: TcpListener, metrics: Metrics, look: Look, shutdown: Shutdown) {
    let mut asking = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if asking.len() < MOST_AT_ONCE => match accepted {
                Ok((stream, _)) => drop(asking.spawn(answer(stream, metrics.clone(), Arc::clone(&look)))),
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection for metrics failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_answered) = asking.join_next() => {}
            () = shutdown.stopped() => return,
        }
    }
}

/// One request; whoever asks again comes again, so nobody holds a place while there is nothing to say.
async fn answer(stream: TcpStream, metrics: Metrics, look: Look) {
    let service = service_fn(|request: Request<_>| std::future::ready(Ok::<_, Infallible>(response(&request, &metrics, &look))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(ANSWERED_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics ended early"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

fn response<B>(request: &Request<B>, metrics: &Metrics, look: &Look) -> Response<Full<Bytes>> {
    if request.method() == Method::GET && request.uri().path() == "/metrics" {
        let mut page = Response::new(Full::from(metrics.page(&look())));
        page.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(OPENMETRICS));
        page
    } else {
        let mut nothing = Response::new(Full::from("There is nothing here but GET /metrics.\n"));
        *nothing.status_mut() = StatusCode::NOT_FOUND;
        nothing
    }
}
