//! The trace file: a line for each event, on which a checker can hold the node to its specification.
//!
//! It is written before what was observed may leave the node, so a trace never has what an event
//! made happen elsewhere and lacks the event. It is not synced: a power cut may take its end.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use common::identity::{NodeId, NodeName};
use common::observe::{Line, Observed};
use serde::Deserialize;

/// What every line begins with.
const BEGINNING: &[u8] = b"{\"v\":2,";

/// No line is longer.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Trace {
    file: BufWriter<File>,
    seq: u64,
    /// Of the last line.
    pub(crate) clock: u64,
}

/// What a restart has to know of the last line.
#[derive(Deserialize)]
struct Last {
    v: u32,
    lc: u64,
}

impl Trace {
    /// Goes on where the process before has ended. A line that it did not finish is cut.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        let tail_start = length.saturating_sub(2 * LINE_BYTES_MAX);
        file.seek(SeekFrom::Start(tail_start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Not even one line: what a killed process has begun, or something that is not ours.
        if whole == 0 && !tail.iter().zip(BEGINNING).all(|(byte, ours)| byte == ours) {
            return Err(no_trace());
        }
        let clock = clock_of(&tail[..whole])?;
        let end = tail_start + whole as u64;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { file: BufWriter::new(file), seq: 0, clock })
    }

    pub(crate) fn write(
        &mut self,
        node: (&NodeName, NodeId),
        at: Duration,
        events: &[Observed],
    ) -> io::Result<()> {
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        for observed in events {
            self.seq += 1;
            serde_json::to_writer(&mut self.file, &Line::new(node, self.seq, at_us, observed))?;
            self.file.write_all(b"\n")?;
        }
        self.file.flush()
    }
}

/// What the last of these whole lines says.
fn clock_of(lines: &[u8]) -> io::Result<u64> {
    let Some(lines) = lines.strip_suffix(b"\n") else { return Ok(0) };
    let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice::<Last>(line) {
        Ok(last) if last.v == Line::VERSION => Ok(last.lc),
        Ok(_) | Err(_) => Err(no_trace()),
    }
}

fn no_trace() -> io::Error {
    io::Error::other("there is a file, and it is no trace of this version")
}

#[cfg(test)]
mod tests {
    use common::identity::Incarnation;
    use common::observe::Event;

    use super::*;

    fn started(lamport: u64) -> [Observed; 1] {
        [Observed { lamport, event: Event::Start { incarnation: Incarnation(1) } }]
    }

    #[test]
    fn a_trace_goes_on_where_a_killed_process_has_left_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, name) = (dir.path().join("trace"), "n1".parse().expect("a name"));
        let mut trace = Trace::open(&path).expect("room");
        assert_eq!(trace.clock, 0);
        trace.write((&name, NodeId(1)), Duration::ZERO, &started(7)).expect("room");
        let whole = std::fs::read_to_string(&path).expect("there");
        std::fs::write(&path, format!("{whole}{{\"v\":2,\"l")).expect("room");
        let mut trace = Trace::open(&path).expect("it is one");
        assert_eq!(trace.clock, 7);
        trace.write((&name, NodeId(1)), Duration::ZERO, &started(8)).expect("room");
        let both = std::fs::read_to_string(&path).expect("there");
        assert_eq!(both, format!("{whole}{}", whole.replace("\"lc\":7", "\"lc\":8")));
    }

    #[test]
    fn what_is_no_trace_is_not_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("trace");
        for theirs in ["precious", "precious\n", "{\"v\":1}\n"] {
            std::fs::write(&path, theirs).expect("room");
            assert!(Trace::open(&path).is_err());
            assert_eq!(std::fs::read_to_string(&path).expect("there"), theirs);
        }
    }
}
