//! What a script looks at.

use super::*;

impl Stage {
    pub(in crate::script) fn store(&mut self, name: &str) -> Told {
        let store = self.node(name)?.store();
        let lines = store
            .entries_after(None)
            .map(|(key, entry)| format!("{key}={}\n", self.names.entry(entry)));
        let told: String = lines.collect();
        Ok(if told.is_empty() { "empty\n".to_owned() } else { told })
    }

    pub(in crate::script) fn members(&mut self, name: &str) -> Told {
        let own = self.hosts.get(name).map_or(NodeId(0), Host::id);
        let others = self.node(name)?.other_members();
        let others = others.map(|member| format!("{} is node {:#x}\n", member.name, member.id.0));
        Ok(format!("{name} is node {:#x}\n", own.0) + &others.collect::<String>())
    }

    pub(in crate::script) fn compare(&mut self) -> Told {
        let nodes = self.hosts.iter();
        let nodes = nodes.filter_map(|(name, host)| Some((name.as_str(), host.node()?)));
        Ok(match convergence::check(nodes) {
            Ok(()) => "all stores are equal\n".to_owned(),
            Err(_) => "the stores differ\n".to_owned(),
        })
    }

    pub(in crate::script) fn flight(&self) -> String {
        let mut told = String::new();
        for ((from, to), packets) in &self.streams {
            for packet in packets {
                writeln!(told, "{from} -> {to}: {}", self.packet(packet)).expect("a string");
            }
        }
        told
    }

    pub(super) fn packet(&self, packet: &Packet) -> String {
        match packet {
            Packet::Message(message) => self.names.message(message),
            Packet::Close => "the end of the connection".to_owned(),
        }
    }
}
