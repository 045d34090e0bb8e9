//! A small STOMP client over a real WebSocket: frames out, frames in, and an end whenever the other side goes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use footfall::message::UserName;
use futures_util::{SinkExt, StreamExt};
use stomp_frames::{Command, Decoder, Frame, Item, Limits, Version, encode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::node::token;

/// Long enough for a busy machine; a node that was killed ends a socket at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
    frames: VecDeque<Frame>,
}

fn gone(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl Client {
    /// A socket, and a session on it.
    pub(crate) async fn connect(address: SocketAddr, user: &UserName) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!("ws://{address}/ws").into_client_request().map_err(gone)?;
        let shaken = timeout(PATIENCE, client_async(request, stream)).await?;
        let (socket, _) = shaken.map_err(gone)?;
        let limits = Limits { frame: 1 << 20, ..Limits::AFTER_CONNECT };
        let mut client = Self { socket, decoder: Decoder::new(limits), frames: VecDeque::new() };
        let connect = Frame::new(Command::Connect)
            .with_header("accept-version", "1.2")
            .with_header("heart-beat", "0,0")
            .with_header("Authorization", format!("Bearer {}", token(user)));
        client.send(&[connect]).await?;
        let connected = client.receive().await?;
        assert_eq!(connected.command, Command::Connected, "{connected:?}");
        client.decoder.set_version(Version::V1_2);
        Ok(client)
    }

    /// All of these in as few writes as the socket makes of them.
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            let bytes = encode(frame, Version::V1_2);
            self.socket.feed(Message::Binary(bytes)).await.map_err(gone)?;
        }
        timeout(PATIENCE, self.socket.flush()).await?.map_err(gone)
    }

    /// The next frame. Cancel safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let message = self.socket.next().await.ok_or(io::ErrorKind::ConnectionReset)?.map_err(gone)?;
            match message {
                Message::Text(text) => self.decoder.push(text.into()),
                Message::Binary(bytes) => self.decoder.push(bytes),
                _ => continue,
            }
            while let Some(item) = self.decoder.next_item().expect("a server's frames can be read") {
                if let Item::Frame(frame) = item {
                    self.frames.push_back(frame);
                }
            }
        }
    }
}
