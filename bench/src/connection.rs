//! A client's connection: opened up to CONNECTED, then split into what it sends and what it hears.

use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use memchr::memmem;
use stomp_frames::{Command, FrameWriter, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::Target;
use crate::endpoint::{Endpoint, tokens};
use crate::heard::{Heard, hear};
use crate::websocket::{Frame, Scanner, put_text_frame};

const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// What a connection reads into. One for each thread and not for each connection, since no bytes stay in it: ten
    /// thousand idle connections then need next to no memory on this side of the socket.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into());
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

#[derive(Debug)]
pub(crate) struct Sender {
    socket: OwnedWriteHalf,
    frames: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    socket: OwnedReadHalf,
    scanner: Scanner,
    body_size: usize,
}

/// What all connections of a run have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Milliseconds, both ways; 0 for none, so that only what is measured is on the wire.
    pub(crate) heart_beat: u32,
    pub(crate) body_size: usize,
}

/// Opens connections, a bounded number at a time, spread over the users.
pub(crate) async fn open_all(target: &Target, manner: Manner, count: usize) -> Result<Vec<Connection>> {
    let tokens = tokens(target).await?;
    stream::iter(tokens.iter().cycle().take(count).enumerate())
        .map(|(number, token)| async move {
            let opened = timeout(PATIENCE, Connection::open(&target.url, token, manner)).await;
            let opened = opened.context("CONNECTED did not come within 30 s.").flatten();
            opened.with_context(|| format!("Connection {} of {count} could not be opened.", number + 1))
        })
        .buffered(target.opening.into())
        .try_collect()
        .await
}

impl Connection {
    async fn open(endpoint: &Endpoint, token: &str, manner: Manner) -> Result<Self> {
        let mut stream = endpoint.connect().await?;
        upgrade(&mut stream, endpoint).await?;
        let (read, write) = stream.into_split();
        let mut connection = Self {
            sender: Sender { socket: write, frames: Vec::new() },
            receiver: Receiver { socket: read, scanner: Scanner::default(), body_size: manner.body_size },
        };
        let beat = format!("{0},{0}", manner.heart_beat);
        let bearer = format!("Bearer {token}");
        let connect = [("accept-version", "1.2"), ("heart-beat", &beat), ("Authorization", &bearer)];
        connection.sender.send(&stomp(Command::Connect, &connect, b"")).await?;
        // CONNECTED is the one frame here that is neither a delivery nor a receipt.
        let mut connected = false;
        let expect_connected = |heard| match heard {
            Heard::Strange(text) if text.starts_with("CONNECTED |") => {
                connected = true;
                Ok(ControlFlow::Break(()))
            }
            other => bail!("Instead of CONNECTED the node sent {other:?}"),
        };
        connection.receiver.hear_until(expect_connected).await?;
        ensure!(connected, "The node closed the connection before CONNECTED.");
        Ok(connection)
    }

    /// Subscribes and waits for the receipt, which says that the subscription is live.
    pub(crate) async fn subscribe(&mut self, destination: &str) -> Result<()> {
        let headers = [("destination", destination), ("id", "0"), ("receipt", "0")];
        self.sender.send(&stomp(Command::Subscribe, &headers, b"")).await?;
        let heard = self.receiver.hear_until(|heard| match heard {
            Heard::Receipt(0) => Ok(ControlFlow::Break(())),
            // A room that others already use.
            Heard::HeartBeat | Heard::Delivery(_) => Ok(ControlFlow::Continue(())),
            other => bail!("SUBSCRIBE to {destination} was answered by {other:?}"),
        });
        timeout(PATIENCE, heard).await.with_context(|| format!("SUBSCRIBE to {destination} got no receipt within 30 s."))?
    }
}

impl Sender {
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.send_all([frame]).await
    }

    /// Writes frames in one go.
    pub(crate) async fn send_all(&mut self, frames: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<()> {
        self.frames.clear();
        for frame in frames {
            put_text_frame(&mut self.frames, frame.as_ref());
        }
        self.socket.write_all(&self.frames).await.context("The node closed a connection while it was written to.")?;
        self.frames.shrink_to(4096);
        Ok(())
    }
}

impl Receiver {
    /// Hears until told to stop. The end of the connection, and an ERROR, are errors: no run expects them.
    pub(crate) async fn hear_until(&mut self, mut on: impl FnMut(Heard) -> Result<ControlFlow<()>>) -> Result<()> {
        let (scanner, socket, body_size) = (&mut self.scanner, &mut self.socket, self.body_size);
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                loop {
                    let mut buffer = ReadBuf::new(scratch);
                    // poll_read knows after a short read that the socket is empty, which saves the read that says so.
                    ready!(Pin::new(&mut *socket).poll_read(context, &mut buffer)).context("A connection was lost.")?;
                    if buffer.filled().is_empty() {
                        return Poll::Ready(Err(anyhow::anyhow!("The node closed a connection without a close frame.")));
                    }
                    let mut enough = false;
                    scanner.scan(buffer.filled(), |frame| {
                        match frame {
                            Frame::Data(payload) => match hear(payload, body_size) {
                                Heard::Refused(text) => bail!("The node sent {text}"),
                                heard => enough |= on(heard)?.is_break(),
                            },
                            Frame::Close { code, reason } => {
                                bail!("The node closed a connection with {code} {:?}.", String::from_utf8_lossy(reason))
                            }
                            Frame::Control => {}
                        }
                        Ok(())
                    })?;
                    if enough {
                        return Poll::Ready(Ok(()));
                    }
                }
            })
        })
        .await
    }
}

/// A frame as text, with its headers in order.
pub(crate) fn stomp(command: Command, headers: &[(&str, &str)], body: &[u8]) -> Bytes {
    let mut writer = FrameWriter::new(command, Version::V1_2);
    for (name, value) in headers {
        writer.header(name, value);
    }
    writer.finish(body)
}

/// The opening handshake. `Sec-WebSocket-Accept` is not checked: it proves to a browser that it talks to a WebSocket
/// server, which whoever starts a measurement knows.
async fn upgrade(stream: &mut TcpStream, endpoint: &Endpoint) -> Result<()> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: Zm9vdGZhbGwtYmVuY2ghIQ==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n",
        endpoint.path(),
        endpoint.authority()
    );
    stream.write_all(request.as_bytes()).await.context("The handshake could not be written.")?;
    let mut answer = BytesMut::with_capacity(1024);
    while memmem::find(&answer, b"\r\n\r\n").is_none() {
        ensure!(answer.len() < 16 * 1024, "The node's answer to the handshake has no end.");
        let read = stream.read_buf(&mut answer).await.context("The handshake was not answered.")?;
        ensure!(read > 0, "The node closed the connection during the handshake.");
    }
    ensure!(answer.ends_with(b"\r\n\r\n"), "The node sent bytes before CONNECT.");
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned();
    ensure!(status == "101", "The node answered the WebSocket handshake with status {status}.");
    Ok(())
}
