//! What comes from a peer: frames, and what is in them.

use common::node::Message;
use common::peer::frame::{self, FRAME_BYTES_MAX, Frame, FrameError, Kind};
use common::peer::hello::{HELLO_BYTES_MAX, Hello, Received, Refused};

use crate::{allocation, sealed};

/// What a message takes in memory for each of its bytes, and beside them: a vector is made for up
/// to a mebibyte of what it says that it holds before any of it is read.
const BYTES_PER_BYTE: usize = 256;
const BYTES_BESIDE: usize = 4 * 1024 * 1024;

/// Reads `bytes` as a stream, and as what is inside a frame of the kind that they begin with.
pub fn run(bytes: &[u8]) {
    stream(bytes, FRAME_BYTES_MAX);
    stream(bytes, HELLO_BYTES_MAX);
    if let Some((kind, payload)) = bytes.split_first() {
        stream(&sealed::peer_frame(kind % 4, payload), FRAME_BYTES_MAX);
    }
}

fn stream(mut bytes: &[u8], bytes_max: usize) {
    while let Ok(Some(frame)) = frame::decode(bytes, bytes_max) {
        let (this, rest) = bytes.split_at(frame.length);
        assert_eq!(frame::decode(&this[..this.len() - 1], bytes_max), Ok(None), "half a frame");
        let budget = BYTES_BESIDE + BYTES_PER_BYTE * this.len();
        match frame.kind {
            Kind::Message => message(&frame, budget),
            Kind::Hello => hello(&frame, budget),
            Kind::Refused => json::<Refused>(&frame, budget),
            Kind::Received => json::<Received>(&frame, budget),
            Kind::Clock => drop(allocation::within(budget, || frame.message::<u64>())),
        }
        bytes = rest;
    }
}

fn message(frame: &Frame<'_>, budget: usize) {
    let read = allocation::within(budget, || frame.message::<Message>());
    if let Ok(message) = read {
        let mut bytes = Vec::new();
        frame::encode(&message, &mut bytes);
        let again = frame::decode(&bytes, FRAME_BYTES_MAX).expect("sound").expect("whole");
        assert!(again.payload.len() <= frame.payload.len(), "the same in more bytes");
        assert_eq!(again.message(), Ok(message));
    }
}

fn hello(frame: &Frame<'_>, budget: usize) {
    if let Ok(hello) = allocation::within(budget, || frame.json::<Hello>()) {
        let _ = hello.check(&hello);
        let mut bytes = Vec::new();
        frame::encode_json(Kind::Hello, &hello, &mut bytes);
        assert_eq!(json_of::<Hello>(&bytes), Ok(hello));
    }
}

fn json<T>(frame: &Frame<'_>, budget: usize)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(value) = allocation::within(budget, || frame.json::<T>()) {
        let mut bytes = Vec::new();
        frame::encode_json(frame.kind, &value, &mut bytes);
        assert_eq!(json_of::<T>(&bytes), Ok(value));
    }
}

fn json_of<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    frame::decode(bytes, FRAME_BYTES_MAX).expect("sound").expect("whole").json()
}
