//! Bytes at the port for peers that no peer would send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::peer::frame::{self, Kind};
use serde_json::json;

use crate::sim::dice::Dice;

/// Connections that send something.
const CONNECTIONS: usize = 20;

/// How long an answer is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(100);

/// Sends all kinds of bytes to an address. What the node does with the connections is its own
/// matter, as long as it goes on.
pub fn write(address: &str, dice: &mut Dice) {
    for _ in 0..CONNECTIONS {
        let bytes = bytes(dice);
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let _ = stream.set_read_timeout(Some(ANSWER_TIME_MAX));
        let _ = stream.write_all(&bytes);
        if dice.chance(0.5) {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let _ = stream.read(&mut [0; 256]);
    }
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    match dice.below(5) {
        0 => bytes.extend(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        1 => bytes.extend(noise(dice)),
        2 => {
            let kind = dice.pick(&[Kind::Hello, Kind::Refused, Kind::Received, Kind::Message]);
            frame::encode_json(kind, &hello(), &mut bytes);
        }
        3 => {
            frame::encode_json(Kind::Hello, &hello(), &mut bytes);
            bytes.truncate(dice.below(bytes.len()));
        }
        _ => {
            frame::encode_json(Kind::Hello, &hello(), &mut bytes);
            let place = dice.below(bytes.len());
            bytes[place] ^= 1 << dice.below(8);
        }
    }
    bytes
}

fn noise(dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(4_096);
    (0..length).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect()
}

/// A stranger's.
fn hello() -> serde_json::Value {
    json!({
        "protocol_min": 1, "protocol_max": 1, "cluster": "00000000000000000000000000000001",
        "node": "0000000000000001", "name": "stranger", "address": "127.0.0.1:1",
        "incarnation": 1, "epoch": 1, "mode": "raft", "purpose": "messages",
    })
}
