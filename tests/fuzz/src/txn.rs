//! Texts of transactions, read by the grammar of `distdbctl`.

#[path = "../../../distdbctl/src/cmd/txn/grammar.rs"]
mod grammar;
#[path = "../../../distdbctl/src/cmd/txn/words.rs"]
mod words;

use common::control::kv::{Kv, Txn, TxnOp};
use common::control::request::{Call, Request, Selection};
use common::kv::condition::{Compare, Relation, Target};

/// Reads `bytes`, and says what was read again, as text and as a line.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match grammar::parse(text) {
        Ok(txn) => {
            let said = said(&txn);
            let again = grammar::parse(&said);
            assert_eq!(again.as_ref().map_err(ToString::to_string), Ok(&txn), "{said}");
            let call = Call::new(Request::Kv(Box::new(Kv::Txn(txn))));
            let line = call.to_line();
            assert_eq!(Call::parse(line.strip_suffix(b"\n").expect("it ends")), Ok(call));
        }
        Err(mistake) => {
            let last = text.chars().count() + 1;
            assert!((1..=last).contains(&mistake.column), "{mistake}");
        }
    }
}

/// The text of a transaction that was read from one.
fn said(txn: &Txn) -> String {
    let conditions: Vec<String> = txn.compares.iter().map(condition).collect();
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!("if {} then ", conditions.join(" && "))
    };
    let ops = |ops: &[TxnOp]| ops.iter().map(op).collect::<Vec<_>>().join("; ");
    format!("{condition}{} else {} end", ops(&txn.then), ops(&txn.otherwise))
}

fn condition(Compare { key, relation, target }: &Compare) -> String {
    let sign = match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Less => "<",
        Relation::Greater => ">",
    };
    let key = quoted(key.as_str());
    match target {
        Target::Value(value) => {
            let value = std::str::from_utf8(value.as_bytes()).expect("it was text");
            format!("{key} {sign} {}", quoted(value))
        }
        Target::Mod(revision) => format!("rev({key}) {sign} {revision}"),
        Target::Version(number) => format!("version({key}) {sign} {number}"),
        Target::Create(revision) => format!("create({key}) {sign} {revision}"),
        Target::Lease(None) => format!("lease({key}) {sign} ''"),
        Target::Lease(Some(lease)) => format!("lease({key}) {sign} {lease}"),
    }
}

fn op(op: &TxnOp) -> String {
    match op {
        TxnOp::Put { key, value, lease, previous } => {
            let value = std::str::from_utf8(value.as_bytes()).expect("it was text");
            let lease = lease.map(|lease| format!(" --lease {lease}")).unwrap_or_default();
            let previous = if *previous { " --previous" } else { "" };
            format!("put {} {}{lease}{previous}", quoted(key.as_str()), quoted(value))
        }
        TxnOp::Delete { selection: Selection::Prefix(prefix), previous: _ } => {
            format!("delete --prefix {}", quoted(prefix))
        }
        TxnOp::Delete { selection: Selection::Key(key), previous } => {
            let previous = if *previous { " --previous" } else { "" };
            format!("delete {}{previous}", quoted(key.as_str()))
        }
        TxnOp::Get(key) => format!("get {}", quoted(key.as_str())),
        TxnOp::List { prefix, limit: _ } => format!("list {}", quoted(prefix)),
        TxnOp::Incr { key, delta } => format!("incr {} {delta}", quoted(key.as_str())),
    }
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
