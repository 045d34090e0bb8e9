//! Accepts connections and speaks HTTP on them, with a bound on how many there are and on how long a head may take.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shutdown::Shutdown;

/// Connections that the kernel keeps for us while we are busy; enough for a herd that comes back at once.
const BACKLOG: i32 = 4096;
/// When accepting fails (no file handles are left, mostly), trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that the kernel keeps unsent before it says that a client is not keeping up. By default it keeps megabytes,
/// and shows no progress until a third of them is gone: a slow client would look like one that reads nothing, and cost
/// that much memory.
const UNSENT: u32 = 32 * 1024;
/// A connection without traffic is asked for a sign of life by the kernel after so long, and then so often.
const KEEPALIVE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// An HTTP head of more than this is refused with 431.
const MAX_HEAD: usize = 64 * 1024;

/// A connection's place among those that may be open. Whoever keeps the connection keeps it, a WebSocket too.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// An address that is ours, at which nobody is let in yet.
#[derive(Debug)]
pub struct Bound(Socket);

/// Binds an address; port 0 takes any that is free.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node must not wait for the sockets of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(Bound(socket))
}

impl Bound {
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
    }

    /// Lets clients in. Earlier the kernel would greet them for a node that can't serve yet, and no proxy would try another.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)?;
        TcpListener::from_std(self.0.into())
    }
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

fn tune(stream: &TcpStream) -> io::Result<()> {
    // A message that waits for more to come would be late.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A client that vanished without a word, and promised no heart-beats, would hold its seat for ever.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL))?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

async fn speak(stream: TcpStream, router: Router, head_timeout: Duration, shutdown: Shutdown) {
    if let Err(error) = tune(&stream) {
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
