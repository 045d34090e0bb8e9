//! STOMP on a WebSocket, so that a test reads as a dialogue.

use std::net::SocketAddr;

use bytes::Bytes;
use footfall::message::Code;
use stomp_frames::{Command, Decoder, Frame, Item, Limits, Version, encode};

use tokio::net::TcpStream;

use super::node::token;
use super::soon;
use super::websocket::{BINARY, FIN, Got, TEXT, WebSocket};

pub(crate) struct Client {
    pub(crate) socket: WebSocket,
    decoder: Decoder,
    version: Version,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Heard {
    Frame(Frame),
    Beat,
    Close(Option<u16>),
    End,
}

/// A client frame with these headers.
pub(crate) fn frame(command: Command, headers: &[(&'static str, &str)]) -> Frame {
    headers.iter().fold(Frame::new(command), |frame, (name, value)| frame.with_header(*name, (*value).to_owned()))
}

pub(crate) fn send(destination: &str, body: &str) -> Frame {
    frame(Command::Send, &[("destination", destination)]).with_body(Bytes::from(body.to_owned()))
}

pub(crate) fn subscribe(id: &str, destination: &str) -> Frame {
    frame(Command::Subscribe, &[("id", id), ("destination", destination)])
}

impl Client {
    pub(crate) fn on(socket: WebSocket) -> Self {
        let decoder = Decoder::new(Limits { frame: 1 << 24, ..Limits::AFTER_CONNECT });
        Self { socket, decoder, version: Version::V1_0 }
    }

    /// A socket on which nothing was said yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::on(WebSocket::open(address).await)
    }

    /// Connected as this user, without heart-beats.
    pub(crate) async fn connect(address: SocketAddr, user: &str) -> Self {
        Self::connect_with(address, &token(user), "1.2", "0,0").await
    }

    pub(crate) async fn connect_with(address: SocketAddr, token: &str, version: &str, heart_beat: &str) -> Self {
        let mut client = Self::open(address).await;
        client.say(&connect(token, version, heart_beat)).await;
        client.connected().await;
        client
    }

    /// With little room on its way, so that a node soon has to wait for whoever does not read.
    pub(crate) async fn connect_narrow(address: SocketAddr, token: &str) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.into()).unwrap();
        let mut client = Self::on(WebSocket::open_on(stream, address, "").await.unwrap().0);
        client.say(connect(token, "1.2", "0,0")).await;
        client.connected().await;
        client
    }

    /// CONNECTED comes.
    pub(crate) async fn connected(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Connected, "{frame:?}");
        self.version = frame.header("version").unwrap().parse().unwrap();
        self.decoder.set_version(self.version);
        frame
    }

    /// Bytes as they are, as one message.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let opcode = if std::str::from_utf8(bytes).is_ok() { TEXT } else { BINARY };
        self.socket.send(FIN | opcode, bytes).await;
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        self.say(encode(&frame, self.version)).await;
    }

    /// Sends a frame and waits for its RECEIPT, which must be what comes next.
    pub(crate) async fn done(&mut self, frame: Frame) -> Frame {
        self.send(frame.with_header("receipt", "done")).await;
        self.receipt("done").await
    }

    /// Sends a SUBSCRIBE and waits until it is live.
    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str) {
        self.done(subscribe(id, destination)).await;
    }

    /// What comes next, pongs aside.
    pub(crate) async fn heard(&mut self) -> Heard {
        soon("anything", self.hear()).await
    }

    /// Cancel safe.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.decoder.next_item().unwrap() {
                Some(Item::Frame(frame)) => return Heard::Frame(frame),
                Some(Item::HeartBeat) => return Heard::Beat,
                None => {}
            }
            match self.socket.read_frame().await {
                Got::Data(bytes) => self.decoder.push(bytes.into()),
                Got::Ping(_) | Got::Pong(_) => {}
                Got::Close(code) => return Heard::Close(code),
                Got::End => return Heard::End,
            }
        }
    }

    /// The next frame; beats and line ends are passed over.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            match self.heard().await {
                Heard::Frame(frame) => return frame,
                Heard::Beat => {}
                other => panic!("a frame should come, not {other:?}"),
            }
        }
    }

    pub(crate) async fn receipt(&mut self, id: &str) -> Frame {
        let frame = self.frame().await;
        assert!(frame.command == Command::Receipt && frame.header("receipt-id") == Some(id), "RECEIPT {id} should come, not {frame:?}");
        frame
    }

    pub(crate) async fn message(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Message, "{frame:?}");
        frame
    }

    /// The next MESSAGE has this body.
    pub(crate) async fn hears(&mut self, body: &str) -> Frame {
        let message = self.message().await;
        assert_eq!(message.body_text(), Some(body), "{message:?}");
        message
    }

    /// ERROR with this code comes next, and the close that goes with it.
    pub(crate) async fn refused(&mut self, code: Code) -> Frame {
        let error = self.frame().await;
        assert!(error.command == Command::Error && error.header("code") == Some(code.as_str()), "{code} should come, not {error:?}");
        assert_eq!(self.closed().await, Some(code.close().code()), "{error:?}");
        error
    }

    /// The close frame comes next.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.heard().await {
                Heard::Close(code) => return code,
                Heard::Beat => {}
                other => panic!("a close frame should come, not {other:?}"),
            }
        }
    }

    /// Everything that was sent before is done with, the session lives, and nothing else came.
    pub(crate) async fn lives(&mut self) {
        self.done(frame(Command::Unsubscribe, &[("id", "there is none")])).await;
    }
}

/// CONNECT as it goes out.
pub(crate) fn connect(token: &str, version: &str, heart_beat: &str) -> String {
    format!("CONNECT\naccept-version:{version}\nheart-beat:{heart_beat}\nAuthorization:Bearer {token}\n\n\0")
}
