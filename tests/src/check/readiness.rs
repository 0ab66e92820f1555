//! Served only when ready: a node answers questions about keys, takes writes and gives its state
//! only after it has become ready, and it never ceases to be.
//!
//! Source: pitfalls S2, S8. TLA+: `ServesOnlyWhenSynced`. Within the commit in which a node
//! becomes ready both answers are right: the order of answers and events is not known.

use common::broadcast::message;
use common::control::failure::ErrorCode;
use common::control::reply::Reply;
use common::node::Message;
use common::observe::Event;
use common::protocol::Answer;

use super::{Batch, Check};

/// Nothing needs to be remembered.
#[derive(Debug, Default)]
pub(super) struct ServedOnlyWhenReady;

impl Check for ServedOnlyWhenReady {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let was_ready = batch.was_ready;
        let mut events = batch.outbox.events();
        let became_ready = events.any(|event| matches!(event, Event::BecomeReady { .. }));
        if was_ready && became_ready {
            return Err("it became ready twice".to_owned());
        }
        if batch.state.is_ready() != (was_ready || became_ready) {
            return Err("it is ready, or not, without having said so".to_owned());
        }
        let mut answers = batch.outbox.answers.iter().map(|(_, answer)| answer);
        if was_ready && answers.clone().any(is_unready) {
            return Err("it said not_ready after it was ready".to_owned());
        }
        if was_ready || became_ready {
            return Ok(());
        }
        if answers.any(is_about_keys) {
            return Err("it answered before it was ready".to_owned());
        }
        if gives_state(batch) {
            return Err("it gave its state before it was ready".to_owned());
        }
        Ok(())
    }
}

fn is_about_keys(answer: &Answer) -> bool {
    let Answer::Reply(_, Ok(reply)) = answer else {
        return matches!(answer, Answer::Watch(_));
    };
    match reply {
        Reply::Put(_) | Reply::Get(_) | Reply::Delete(_) | Reply::List(_) => true,
        Reply::Count(_) | Reply::Conflicts(_) | Reply::Kv(_) => true,
        Reply::Watch(_) | Reply::Wait(_) | Reply::Sync(_) => true,
        Reply::Hello(_) | Reply::Cancel(_) | Reply::Status(_) | Reply::Members(_) => false,
        Reply::Check(_) | Reply::Fault(_) | Reply::Explain(_) | Reply::Modes(_) => false,
        Reply::MemberChanged(_) | Reply::Transferred(_) | Reply::Trace(_) => false,
    }
}

/// Whether it says so of itself; a node that is ready may say it of all others, to a `sync`.
fn is_unready(answer: &Answer) -> bool {
    let Answer::Reply(_, Err(failure)) = answer else {
        return false;
    };
    let is_of_itself = failure.message.contains("does not serve yet");
    failure.code == ErrorCode::NotReady && is_of_itself
}

fn gives_state(batch: &Batch<'_>) -> bool {
    batch.outbox.messages.iter().any(|envelope| {
        matches!(
            &envelope.message,
            Message::Broadcast(message::Message::SyncChunk(_) | message::Message::Write { .. })
        )
    })
}
