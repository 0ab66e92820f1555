//! Which message was received from which sender's line. A number is given to those alone that are
//! received at all: losses are no steps of the specification.

use std::collections::BTreeMap;

use super::super::Line;
use super::fields::Id;

/// What tells a message from all others that would do anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Append { term: u64, prev: Id, entries: usize, commit: u64, round: u64 },
    Appended { term: u64, round: u64, ok: bool, index: u64 },
}

/// The numbers of messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By the line that sends or receives one.
    numbers: BTreeMap<usize, u64>,
    /// The line that receives one last.
    last: BTreeMap<u64, usize>,
    /// The line that sends it.
    sender: BTreeMap<u64, usize>,
    given: u64,
}

impl Messages {
    /// Pairs what was received with what was sent.
    pub(super) fn of(lines: &[&Line]) -> Result<Self, String> {
        let mut found = Self::default();
        let mut sent: BTreeMap<(&str, &str, Key), usize> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let Some((is_sent, peer, key)) = read(line)? else { continue };
            let id = line.id();
            if is_sent {
                sent.insert((id, peer, key), at);
            } else {
                // Of what was never sent there is no message 0 for the specification.
                if let Some(sender) = sent.get(&(peer, id, key)) {
                    found.receive(*sender, at);
                }
            }
        }
        Ok(found)
    }

    /// The message that was sent at `sender` is received, or rather something follows from it, at
    /// `receiver`.
    pub(super) fn receive(&mut self, sender: usize, receiver: usize) -> u64 {
        let number = self.numbers.get(&sender).copied().unwrap_or_else(|| {
            self.given += 1;
            self.numbers.insert(sender, self.given);
            self.sender.insert(self.given, sender);
            self.given
        });
        self.numbers.entry(receiver).or_insert(number);
        let last = self.last.entry(number).or_default();
        *last = receiver.max(*last);
        number
    }

    /// The number of what is sent or received at a line; 0 if nobody receives it.
    pub(super) fn number(&self, at: usize) -> u64 {
        self.numbers.get(&at).copied().unwrap_or(0)
    }

    /// The line that sends what is received at one.
    pub(super) fn sender(&self, at: usize) -> Option<usize> {
        self.sender.get(&self.number(at)).copied()
    }

    /// Whether nobody receives the message with that number later than at `at`.
    pub(super) fn is_last_of(&self, number: u64, at: usize) -> bool {
        self.last.get(&number) == Some(&at)
    }

    /// Whether nobody receives it later.
    pub(super) fn is_last(&self, at: usize) -> bool {
        self.last.get(&self.number(at)) == Some(&at)
    }
}

/// Whether the line sends a message, or receives it; to or from whom; and which one.
fn read(line: &Line) -> Result<Option<(bool, &str, Key)>, String> {
    let append = |entries| -> Result<Key, String> {
        Ok(Key::Append {
            term: line.number("term")?,
            prev: line.place("prev")?,
            entries,
            commit: line.number("commit")?,
            round: line.number("round")?,
        })
    };
    let appended = |term| -> Result<Key, String> {
        let (round, ok) = (line.number("round")?, line.truth("ok")?);
        Ok(Key::Appended { term, round, ok, index: line.number("index")? })
    };
    Ok(Some(match line.ev.as_str() {
        "SendAppend" => (true, line.word("to")?, append(line.entries()?.len())?),
        "HandleAppend" => {
            let entries = usize::try_from(line.number("entries")?).map_err(|e| e.to_string())?;
            (false, line.word("from")?, append(entries)?)
        }
        "SendAppended" => (true, line.word("to")?, appended(line.number("term")?)?),
        "HandleAppended" => (false, line.word("from")?, appended(line.number("term")?)?),
        _ => return Ok(None),
    }))
}
