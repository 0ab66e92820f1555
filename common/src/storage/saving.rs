//! Saving: the record of a node is replaced, its log gets a frame for each commit.

use std::io;

use crate::node::{Identity, Record};
use crate::storage::commit::Commit;
use crate::storage::snapshot::Kind;
use crate::storage::wal::{self, Wal};
use crate::storage::{Disk, Held, Owner, RECORD, Save, Storage, record};
use crate::{causal, raft};

impl<D: Disk> Save<Record> for Storage<D> {
    fn save(&mut self, records: &[Record]) -> io::Result<()> {
        let (mut raft, mut causal) = (None, None);
        for record in records {
            match record {
                Record::Identity(identity) => self.save_identity(identity)?,
                Record::Raft(record) => assert!(raft.replace(record).is_none(), "{ONE_A_COMMIT}"),
                Record::Causal(record) => {
                    assert!(causal.replace(record).is_none(), "{ONE_A_COMMIT}");
                }
            }
        }
        if raft.is_none() && causal.is_none() { Ok(()) } else { self.append(raft, causal) }
    }
}

impl<D: Disk> Storage<D> {
    fn save_identity(&mut self, identity: &Identity) -> io::Result<()> {
        let (cluster, node) = (identity.broadcast.cluster, identity.broadcast.node);
        let owner = Owner { cluster, node };
        assert!(self.owner.is_none_or(|before| before == owner), "an identity stays");
        self.owner = Some(owner);
        if identity.mode.has_log() && self.log.is_none() {
            return self.create_log(owner, identity);
        }
        self.write_record(identity, self.log.is_some())
    }

    fn append(
        &mut self,
        raft: Option<&raft::record::Record>,
        causal: Option<&causal::record::Record>,
    ) -> io::Result<()> {
        let vote = raft.map(raft::record::Record::without_tail);
        let commit = Commit { raft: raft.or(self.vote.as_ref()), causal };
        let log = self.log.as_mut().expect("the identity is persisted before the log");
        log.append(&mut self.disk, &commit, commit.extent())?;
        self.vote = vote.or(self.vote.take());
        Ok(())
    }

    /// Begins a log, where none has ever been in use.
    pub(super) fn create_log(&mut self, owner: Owner, identity: &Identity) -> io::Result<()> {
        self.write_record(identity, false)?;
        for file in self.disk.files()? {
            let is_snapshot = Kind::ALL.iter().any(|kind| kind.mark_of(&file).is_some());
            if is_snapshot || wal::number_of(&file).is_some() {
                self.disk.remove(&file)?;
            }
        }
        self.log = Some(Wal::create(&mut self.disk, owner, self.segment_bytes)?);
        self.write_record(identity, true)
    }

    fn write_record(&mut self, identity: &Identity, has_log: bool) -> io::Result<()> {
        let held = Held { identity: identity.clone(), has_log };
        self.disk.replace(RECORD, &record::encode(&held))
    }
}

/// A frame has room for one record of each protocol.
const ONE_A_COMMIT: &str = "a protocol persists once a commit, when it is flushed";
