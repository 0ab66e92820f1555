//! Whether a cluster in causal mode holds what its clients were told that it does.

use std::collections::{BTreeMap, BTreeSet};

use common::control::reply::{Get, List};
use common::control::request::{Range, Request};
use common::modes::{Mode, Resolver, Rule};

use crate::cluster::LocalCluster;
use crate::cluster::causal::{Fate, Written, counter, set, values_of};
use crate::cluster::client::{key, value_of};

impl LocalCluster {
    /// A cluster that takes what [`super::causal`] writes.
    pub fn start_causal(count: usize, flags: &[&str]) -> Self {
        let cluster = Self::start_with(count, Mode::Causal, flags);
        cluster.set_mode("count/", Rule::Causal(Resolver::Counter));
        cluster.set_mode("set/", Rule::Causal(Resolver::Set));
        cluster
    }
}

impl Written {
    /// Every node that runs holds every write that was kept, or what has taken its place, and
    /// nothing that nobody has written. Nodes must have come to rest.
    pub fn assert_kept(&self, cluster: &LocalCluster) {
        for node in cluster.running() {
            let name = cluster.name(node);
            self.check_single(name, &texts(cluster, node, &format!("single/{}/", self.number)));
            for (shared, values) in &self.shared {
                check_shared(&format!("{shared} on {name}"), values, &get(cluster, node, shared));
            }
            check_all(
                &format!("the set on {name}"),
                &self.elements,
                &get(cluster, node, &set(self.number)),
            );
            let count = cluster.client(node).get(&counter(self.number)).expect("it serves");
            let count: i64 = count.map_or(0, |count| count.parse().expect("a number"));
            assert_eq!(count, self.counted, "L2: the counter on {name}");
        }
    }

    fn check_single(&self, node: &str, held: &BTreeMap<String, String>) {
        for (key, value) in held {
            assert_eq!(key, value, "on {node}");
        }
        let held = held.keys().cloned().collect();
        check_all(&format!("the keys on {node}"), &self.single, &held);
    }
}

/// What was kept is there, and what is there was written.
fn check_all(place: &str, written: &BTreeMap<String, Fate>, held: &BTreeSet<String>) {
    for (one, fate) in written {
        match fate {
            Fate::Kept => assert!(held.contains(one), "{place} lack {one}, which was acknowledged"),
            Fate::Refused => assert!(!held.contains(one), "{place} have {one}, which was refused"),
            Fate::Unknown => {}
        }
    }
    let invented = held.iter().find(|one| !written.contains_key(*one));
    assert_eq!(invented, None, "{place} have what nobody wrote");
}

/// The same of a key whose values take each other's place.
fn check_shared(
    place: &str,
    written: &BTreeMap<String, (Fate, BTreeSet<String>)>,
    held: &BTreeSet<String>,
) {
    let was_seen = |value: &String| written.values().any(|(_, seen)| seen.contains(value));
    for (value, (fate, seen)) in written {
        let is_held = held.contains(value);
        let may_be_gone = was_seen(value);
        match fate {
            Fate::Kept => assert!(is_held || may_be_gone, "{place} lacks {value}"),
            Fate::Refused => assert!(!is_held, "{place} has {value}, which was refused"),
            Fate::Unknown => {}
        }
        // Whoever is there, or was read by another, has been executed.
        if *fate == Fate::Kept || is_held || may_be_gone {
            let stale = seen.intersection(held).next();
            assert_eq!(stale, None, "{place} has it still, and {value} took its place");
        }
    }
    let invented = held.iter().find(|value| !written.contains_key(*value));
    assert_eq!(invented, None, "{place} has what nobody wrote");
}

fn get(cluster: &LocalCluster, node: usize, name: &str) -> BTreeSet<String> {
    let got: Get = cluster.client(node).ask(Request::get(key(name), None)).expect("it serves");
    values_of(&got)
}

/// All keys with a prefix and their values, page by page.
fn texts(cluster: &LocalCluster, node: usize, prefix: &str) -> BTreeMap<String, String> {
    let mut client = cluster.client(node);
    let (mut all, mut start) = (BTreeMap::new(), None);
    loop {
        let range = Range { prefix: prefix.to_owned(), start, ..Range::default() };
        let page: List = client.ask(Request::List(range)).expect("it serves");
        let items = page.items.iter();
        all.extend(items.map(|item| (item.key.as_str().to_owned(), value_of(item))));
        let Some(next) = page.next else { return all };
        start = Some(next.as_str().to_owned());
    }
}
