//! The steps that nobody told, as the specification has them.

use serde_json::{Value, json};

use super::super::Line;
use super::Steps;
use super::unseen::Unsung;

impl Steps<'_> {
    /// What a process did last, and had on the disk before it could tell.
    pub(super) fn catch_up(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let n = self.names.name(line.id())?.to_owned();
        let unsung = self.unseen.before(at);
        let steps: Vec<_> = unsung.iter().map(|one| self.unsung(line, one)).collect();
        for step in steps {
            let (ev, mut members) = step?;
            if ev == "Reboot" {
                let commit = line.number("commit")?;
                self.made.push(json!({"ev": "Crash", "n": n, "commit": commit}));
            }
            (members["ev"], members["n"]) = (json!(ev), json!(n));
            self.made.push(members);
        }
        Ok(())
    }

    fn unsung(&self, line: &Line, unsung: &Unsung) -> Result<(&'static str, Value), String> {
        Ok(match unsung {
            Unsung::Reboot => ("Reboot", json!({})),
            Unsung::UpdateTerm(term) => ("UpdateTerm", json!({"term": term})),
            Unsung::BecomeCandidate { term, last } => (
                "BecomeCandidate",
                json!({"term": term, "last": last.index, "last_term": last.term}),
            ),
            Unsung::Vote { from, term } => {
                let from = self.names.name(from)?;
                ("HandleRequestVote", json!({"from": from, "asked": term, "granted": true}))
            }
            Unsung::BecomeLeader(term) => ("BecomeLeader", json!({"term": term})),
            Unsung::Append { sender, number, is_last } => {
                let sent = self.lines[*sender];
                let (from, prev) = (self.names.name(sent.id())?, sent.place("prev")?.index);
                let members = json!({
                    "from": from, "message": number, "is_last": is_last, "prev": prev,
                    "term": sent.number("term")?, "ok": true,
                    "last": prev + sent.entries()?.len() as u64,
                });
                ("HandleAppend", members)
            }
            Unsung::Propose { term, index } => {
                let request = format!("{term}.{index}");
                ("Propose", json!({"term": term, "index": index, "request": request}))
            }
            Unsung::ProposeConfiguration(index) => {
                let members = json!({
                    "index": index, "removed": "nobody",
                    "voters": self.names.all_of(&line.nodes("voters")?)?,
                    "members": self.names.all_of(&line.nodes("members")?)?,
                });
                ("ProposeConfiguration", members)
            }
            Unsung::InstallSnapshot(last) => {
                ("InstallSnapshot", json!({"last": last.index, "last_term": last.term}))
            }
            Unsung::Sync(last) => {
                let (term, voted) = (line.number("term")?, self.voted(line)?);
                let members = json!({
                    "term": term, "voted": voted, "last": last.index, "last_term": last.term,
                });
                ("Sync", members)
            }
        })
    }
}
