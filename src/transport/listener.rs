//! Accepts connections and speaks HTTP on them, with a bound on how many there are and on how long a head may take.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shutdown::Shutdown;

/// Connections that the kernel keeps for us while we are busy; enough for a herd that comes back at once.
const BACKLOG: i32 = 4096;
/// When accepting fails (no file handles are left, mostly), trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// An HTTP head of more than this is refused with 431.
const MAX_HEAD: usize = 64 * 1024;

/// A connection's place among those that may be open. Whoever keeps the connection keeps it, a WebSocket too.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Binds an address; port 0 takes any that is free.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node must not wait for the sockets of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Serves until the node drains; connections that are upgraded by then go on.
pub async fn serve(listener: TcpListener, router: Router, max_connections: usize, head_timeout: Duration, shutdown: Shutdown) {
    let room = Arc::new(Semaphore::new(max_connections));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((stream, peer, Seat { _permit: Arc::new(permit) }))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = shutdown.draining() => return,
        };
        match accepted {
            Ok((stream, peer, seat)) => {
                let router = router.clone().layer(axum::Extension(ConnectInfo(peer))).layer(axum::Extension(seat));
                shutdown.spawn("http", speak(stream, router, head_timeout, shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn speak(stream: TcpStream, router: Router, head_timeout: Duration, shutdown: Shutdown) {
    // A message that waits for more to come would be late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the client was gone at once");
        return;
    }
    let service = TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
