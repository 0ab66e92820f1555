//! The first frame of each side: who is there, and whether we talk.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use common::identity::NodeId;
use common::peer::frame::{self, FrameError, Kind};
use common::peer::hello::{HELLO_BYTES_MAX, Hello, HelloError, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peers::View;

/// Whoever has not introduced himself in this time is no peer.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("{}", in_words(.0))]
    Io(#[from] io::Error),
    #[error("it sent {0}")]
    Frame(#[from] FrameError),
    #[error("it ended the connection before its hello")]
    Ended,
    #[error("it said nothing")]
    Silent,
    #[error("this node refused it: {0}")]
    Refused(#[from] HelloError),
    #[error("it refused this node: {0}")]
    RefusedBy(String),
    #[error("another node answers there: {0}")]
    Another(String),
    #[error("a fault that was set cuts it off")]
    Fault,
    #[error("it has a snapshot, and is not of this cluster")]
    Stranger,
    #[error("it has a snapshot, and another one is on its way")]
    Busy,
}

/// Without the number, where the system's own words say no more.
fn in_words(error: &io::Error) -> String {
    if error.raw_os_error().is_some() { error.kind().to_string() } else { error.to_string() }
}

/// Dials, and introduces this node. Yields the other one's hello, and what it has sent since.
pub(super) async fn dial(
    address: &str,
    ours: &View,
) -> Result<(TcpStream, Hello, BytesMut), HandshakeError> {
    let connecting = tokio::time::timeout(HANDSHAKE_TIME_MAX, TcpStream::connect(address)).await;
    let mut stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    say(&mut stream, &ours.hello).await?;
    let (theirs, rest) = hear(&mut stream).await?;
    ours.check(&theirs)?;
    Ok((stream, theirs, rest))
}

/// Checks that it is `node` that has answered.
pub(super) fn expect(theirs: &Hello, node: NodeId) -> Result<(), HandshakeError> {
    if theirs.node == node {
        Ok(())
    } else {
        Err(HandshakeError::Another(format!("{} ({})", theirs.name, theirs.node)))
    }
}

/// Lets a node that has dialled introduce itself, and answers it.
pub(super) async fn receive(
    stream: &mut TcpStream,
    ours: &View,
) -> Result<(Hello, BytesMut), HandshakeError> {
    let (theirs, rest) = hear(stream).await?;
    if let Err(error) = ours.check(&theirs) {
        let mut bytes = Vec::new();
        let refused = Refused { reason: error.to_string() };
        frame::encode_json(Kind::Refused, &refused, &mut bytes);
        stream.write_all(&bytes).await?;
        return Err(error.into());
    }
    say(stream, &ours.hello).await?;
    Ok((theirs, rest))
}

async fn say(stream: &mut TcpStream, hello: &Hello) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    frame::encode_json(Kind::Hello, hello, &mut bytes);
    stream.write_all(&bytes).await
}

async fn hear(stream: &mut TcpStream) -> Result<(Hello, BytesMut), HandshakeError> {
    let heard = tokio::time::timeout(HANDSHAKE_TIME_MAX, hear_patiently(stream)).await;
    heard.unwrap_or(Err(HandshakeError::Silent))
}

async fn hear_patiently(stream: &mut TcpStream) -> Result<(Hello, BytesMut), HandshakeError> {
    let mut buffer = BytesMut::with_capacity(HELLO_BYTES_MAX);
    loop {
        if let Some(frame) = frame::decode(&buffer, HELLO_BYTES_MAX)? {
            let length = frame.length;
            let hello = match frame.kind {
                Kind::Hello => frame.json()?,
                Kind::Refused => {
                    return Err(HandshakeError::RefusedBy(frame.json::<Refused>()?.reason));
                }
                Kind::Message | Kind::Received | Kind::Clock => {
                    return Err(FrameError::Kind(frame.kind as u8).into());
                }
            };
            buffer.advance(length);
            return Ok((hello, buffer));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(HandshakeError::Ended);
        }
    }
}
