//! A small STOMP client over a real WebSocket: frames out, frames in, and an end whenever the other side goes, is
//! silent for longer than it promised, or refuses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use stomp_frames::{Command, Decoder, Frame, Item, Limits, Version, encode};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, interval_at, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::manner::Beats;

/// Long enough for a busy machine. A node that was killed ends a socket at once, a stopped one never answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no connection (any more).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("the broker closed the connection: {0}")]
    Closed(String),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("the answer to CONNECT is {0:?}")]
    NotConnected(Box<Frame>),
    #[error("this is no frame: {0}")]
    Garbled(String),
    #[error("the client has what it wants")]
    Done,
}

fn lost(error: impl std::error::Error) -> Gone {
    Gone::Lost(error.to_string())
}

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
    frames: VecDeque<Frame>,
    heard: Instant,
    /// The longest time without anything; none if no beats were agreed on.
    silence: Option<Duration>,
    /// When the next of our own beats is due.
    beats: Option<Interval>,
}

impl Client {
    /// A socket, and a session on it. The broker's own settings may make beats rarer than these.
    pub(crate) async fn connect(address: SocketAddr, token: &str, beats: Beats) -> Result<Self, Gone> {
        timeout(PATIENCE, Self::try_connect(address, token, beats)).await.unwrap_or(Err(Gone::Silent(PATIENCE)))
    }

    async fn try_connect(address: SocketAddr, token: &str, beats: Beats) -> Result<Self, Gone> {
        let stream = TcpStream::connect(address).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let request = format!("ws://{address}/ws").into_client_request().map_err(lost)?;
        let (socket, _) = client_async(request, stream).await.map_err(lost)?;
        let limits = Limits { frame: 1 << 20, ..Limits::AFTER_CONNECT };
        let (decoder, frames) = (Decoder::new(limits), VecDeque::new());
        let mut client = Self { socket, decoder, frames, heard: Instant::now(), silence: None, beats: None };
        let connect = Frame::new(Command::Connect)
            .with_header("accept-version", "1.2")
            .with_header("heart-beat", format!("{},{}", beats.promised.unwrap_or_default().as_millis(), beats.asked.as_millis()))
            .with_header("Authorization", format!("Bearer {token}"));
        client.send(&[connect]).await?;
        let connected = client.receive().await?;
        if connected.command != Command::Connected {
            return Err(Gone::NotConnected(Box::new(connected)));
        }
        client.decoder.set_version(Version::V1_2);
        let (sends, wants) = beats_of(&connected);
        client.silence = sends.map(|beat| beat.max(beats.asked) * 2 + Duration::from_secs(1));
        client.beats = beats.promised.zip(wants).map(|(promised, wanted)| {
            let beat = promised.max(wanted);
            interval_at(Instant::now() + beat, beat)
        });
        Ok(client)
    }

    /// All of these in as few writes as the socket makes of them.
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> Result<(), Gone> {
        for frame in frames {
            let bytes = encode(frame, Version::V1_2);
            self.socket.feed(Message::Binary(bytes)).await.map_err(lost)?;
        }
        timeout(PATIENCE, self.socket.flush()).await.map_err(lost)?.map_err(lost)
    }

    /// The next frame. Cancel safe, and whoever cancels does not lengthen the silence that is borne.
    pub(crate) async fn receive(&mut self) -> Result<Frame, Gone> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let message = tokio::select! {
                message = heard(&mut self.socket, self.heard, self.silence) => message?,
                () = due(&mut self.beats) => {
                    self.socket.feed(Message::text("\n")).await.map_err(lost)?;
                    timeout(PATIENCE, self.socket.flush()).await.map_err(lost)?.map_err(lost)?;
                    continue;
                }
            };
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => self.take(text.into())?,
                Some(Ok(Message::Binary(bytes))) => self.take(bytes)?,
                Some(Ok(Message::Close(why))) => return Err(Gone::Closed(why.map(|why| why.to_string()).unwrap_or_default())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(Gone::Lost("end of the stream".to_owned())),
            }
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.decoder.push(bytes);
        while let Some(item) = self.decoder.next_item().map_err(|error| Gone::Garbled(error.to_string()))? {
            if let Item::Frame(frame) = item {
                self.frames.push_back(frame);
            }
        }
        Ok(())
    }
}

type Heard = Option<Result<Message, tungstenite::Error>>;

async fn heard(socket: &mut WebSocketStream<TcpStream>, last: Instant, silence: Option<Duration>) -> Result<Heard, Gone> {
    match silence {
        Some(silence) => timeout_at(last + silence, socket.next()).await.map_err(|_| Gone::Silent(silence)),
        None => Ok(socket.next().await),
    }
}

async fn due(beats: &mut Option<Interval>) {
    match beats {
        Some(beats) => {
            beats.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// What CONNECTED says of beats: how often the broker sends its own, and how often it wants the client's.
fn beats_of(connected: &Frame) -> (Option<Duration>, Option<Duration>) {
    let beat = |millis: &str| Some(Duration::from_millis(millis.parse().ok()?)).filter(|beat| !beat.is_zero());
    let both = connected.header("heart-beat").and_then(|beats| beats.split_once(','));
    both.map_or((None, None), |(sends, wants)| (beat(sends), beat(wants)))
}
