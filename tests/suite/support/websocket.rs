//! A client's WebSocket (RFC 6455) without any rule that it must obey.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::{self, Answer};
use super::soon;

// Opcodes, and what else is in a frame's first byte.
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
pub(crate) const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// What a node sent, frame by frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The connection is gone.
    End,
}

pub(crate) struct WebSocket {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
}

/// The request that becomes a WebSocket, with further header lines.
pub(crate) fn upgrade(address: SocketAddr, headers: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

impl WebSocket {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, "Sec-WebSocket-Protocol: v12.stomp\r\n").await.unwrap().0
    }

    /// A WebSocket and the answer that made it, or the answer that refused it.
    pub(crate) async fn open_with(address: SocketAddr, headers: &str) -> Result<(Self, Answer), Answer> {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::open_on(stream, address, headers).await
    }

    pub(crate) async fn open_on(stream: TcpStream, address: SocketAddr, headers: &str) -> Result<(Self, Answer), Answer> {
        Self::open_bytes(stream, address, headers.as_bytes()).await
    }

    /// The same with header lines that need not be text.
    pub(crate) async fn open_bytes(mut stream: TcpStream, address: SocketAddr, headers: &[u8]) -> Result<(Self, Answer), Answer> {
        stream.set_nodelay(true).unwrap();
        let plain = upgrade(address, "");
        let (request, end) = plain.split_at(plain.len() - 2);
        stream.write_all(&[request.as_bytes(), headers, end.as_bytes()].concat()).await.unwrap();
        let (answer, rest) = soon("the answer to the upgrade", http::answer(&mut stream)).await;
        let answer = answer.unwrap();
        if answer.status == 101 { Ok((Self::with(stream, &rest), answer)) } else { Err(answer) }
    }

    /// On a connection whose upgrade was answered, with what came behind the answer.
    pub(crate) fn with(stream: TcpStream, rest: &[u8]) -> Self {
        Self { stream, buffer: BytesMut::from(rest) }
    }

    /// Bytes as they are. That the node may have closed already is for what is read next to show.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _gone_or_not = soon("room to write", self.stream.write_all(bytes)).await;
    }

    /// One whole, masked frame.
    pub(crate) async fn send(&mut self, first_byte: u8, payload: &[u8]) {
        self.write(&frame(first_byte, payload)).await;
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Got {
        soon("the next frame", self.read_frame()).await
    }

    /// Cancel safe.
    pub(crate) async fn read_frame(&mut self) -> Got {
        loop {
            if let Some(got) = self.take_frame() {
                return got;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Got::End,
                Ok(_) => {}
            }
        }
    }

    fn take_frame(&mut self) -> Option<Got> {
        let (&first, &second) = (self.buffer.first()?, self.buffer.get(1)?);
        assert_eq!(second & MASKED, 0, "a server masks nothing");
        assert_eq!(first & !FIN & 0x70, 0, "no extension was agreed on");
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().unwrap()))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.buffer.get(2..10)?.try_into().unwrap())).unwrap()),
            short => (2, usize::from(short)),
        };
        if self.buffer.len() < head + length {
            return None;
        }
        self.buffer.advance(head);
        let payload = self.buffer.split_to(length).to_vec();
        assert_ne!(first & FIN, 0, "a node does not send fragments");
        Some(match first & 0x0F {
            TEXT => {
                assert!(std::str::from_utf8(&payload).is_ok(), "text is UTF-8");
                Got::Data(payload)
            }
            BINARY => Got::Data(payload),
            CLOSE => Got::Close(payload.get(..2).map(|code| u16::from_be_bytes(code.try_into().unwrap()))),
            PING => Got::Ping(payload),
            PONG => Got::Pong(payload),
            other => panic!("opcode {other}"),
        })
    }

    /// Whether the node answers a ping: it has read all that was sent before, and lives.
    pub(crate) async fn answers_ping(&mut self) -> bool {
        self.send(FIN | PING, b"still there?").await;
        self.next().await == Got::Pong(b"still there?".to_vec())
    }
}

/// A masked frame whose length is as short as it can be said.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match payload.len() {
        short @ 0..=125 => bytes.push(MASKED | u8::try_from(short).unwrap()),
        medium @ 126..=0xFFFF => {
            bytes.push(MASKED + 126);
            bytes.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(MASKED | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A masked frame's head that says this of its payload's length, and nothing of the payload.
pub(crate) fn head_of(first_byte: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first_byte, MASKED + 127];
    bytes.extend(length.to_be_bytes());
    bytes.extend(MASK);
    bytes
}
