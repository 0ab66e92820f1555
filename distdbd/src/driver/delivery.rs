//! What becomes of the effects of some steps.

use std::io;
use std::time::Duration;

use common::identity::NodeId;
use common::node::{Node, Record};
use common::protocol::{Answer, Effects, Input, Outbox, Protocol, RequestId, Task};
use common::storage::{Save, Storage};
use tokio::time::Instant;

use crate::disk::DataDir;
use crate::driver::Driver;
use crate::driver::additions::Additions;
use crate::peers::{snapshot, verify};
use crate::upkeep::Snapshot;

/// How often to look whether a disk that was full has room again.
pub(super) const ROOM_INTERVAL: Duration = Duration::from_secs(1);

impl Driver {
    /// Lets leave what may, makes durable what must be, and delivers. Tells whether there is news
    /// to report.
    pub(super) fn commit(&mut self, mut effects: Effects<Node>) -> io::Result<bool> {
        self.look_for_room(&mut effects)?;
        self.node.flush(self.now(), &mut effects);
        let early = self.deliver(effects.take_early())?;
        let delay = self.faults.disk_delay();
        let outbox = effects.commit(&mut Slowed { storage: &mut self.storage, delay })?;
        Ok(self.deliver(outbox)? || early)
    }

    /// Tells the core when the disk is full, before there is no room for votes, and when it has
    /// room again.
    fn look_for_room(&mut self, effects: &mut Effects<Node>) -> io::Result<()> {
        if self.full_since.is_some_and(|since| since.elapsed() < ROOM_INTERVAL) {
            return Ok(());
        }
        let has_room = self.storage.reserve()?;
        let was_full = self.full_since.is_some();
        self.full_since = (!has_room).then(Instant::now);
        if has_room == was_full {
            self.node.step(self.now(), Input::DiskFull(!has_room), effects);
        }
        Ok(())
    }

    fn deliver(&mut self, outbox: Outbox<Node>) -> io::Result<bool> {
        let Outbox { messages, disconnects, answers, tasks, events } = outbox;
        // Before anything that it may make happen elsewhere.
        let is_news = self.witness.observe(self.origin.elapsed(), events)?;
        self.peers.send(self.node.clock(), messages);
        for peer in disconnects {
            self.peers.disconnect(peer);
        }
        for (request, answer) in answers {
            self.answer(request, answer);
        }
        self.clients.flush();
        for task in tasks {
            self.begin(task)?;
        }
        Ok(is_news)
    }

    fn answer(&mut self, request: RequestId, mut answer: Answer) {
        if let Answer::Reply(_, Ok(reply)) = &mut answer {
            let shared = self.peers.shared();
            let trouble = |name: &str| {
                let mut members = self.node.other_members();
                shared.troubles.of(members.find(|member| member.name.as_str() == name)?.id)
            };
            let has_faults = self.faults.are_enabled();
            let wal_bytes = self.storage.wal_bytes();
            Additions { wal_bytes, has_faults, trouble: &trouble }.add_to(reply);
        }
        if let Some(ended) = self.clients.answer(request, answer) {
            let mut effects = Effects::default();
            self.node.step(self.now(), Input::Abandoned(ended), &mut effects);
        }
    }

    /// Has something done beside the loop, or at once where that takes no time.
    fn begin(&mut self, task: Task) -> io::Result<()> {
        match task {
            Task::WriteSnapshot(snapshot) => self.write(Snapshot::Raft(snapshot)),
            Task::WriteCausal(snapshot) => self.write(Snapshot::Causal(snapshot)),
            Task::SendSnapshot(peer) => {
                let address = self.address_of(peer).unwrap_or_default();
                snapshot::send(peer, address, self.peers.shared().clone());
            }
            Task::Verify(node, address) => {
                verify::start(node, address, self.peers.shared().clone());
            }
            Task::Release(kind, mark) => self.storage.release(kind, mark)?,
            Task::Retire => self.leave(),
        }
        Ok(())
    }

    fn write(&self, snapshot: Snapshot) {
        let owner = self.storage.owner().expect("there is a log, so there is an owner");
        self.upkeep.write(owner, snapshot);
    }

    fn address_of(&self, peer: NodeId) -> Option<String> {
        let mut members = self.node.other_members();
        members.find(|member| member.id == peer).map(|member| member.address.clone())
    }
}

/// The storage, where a fault may make each sync take longer. The loop waits for it, as it waits
/// for a disk that is slow by itself.
struct Slowed<'a> {
    storage: &'a mut Storage<DataDir>,
    delay: Duration,
}

impl Save<Record> for Slowed<'_> {
    fn save(&mut self, records: &[Record]) -> io::Result<()> {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        self.storage.save(records)
    }
}
