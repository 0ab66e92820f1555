//! The text form of a transaction:
//!
//! ```text
//! txn        = [ "if" condition { "&&" condition } "then" ] ops [ "else" ops ] [ "end" ]
//! condition  = operand ( "=" | "!=" | "<" | ">" ) WORD | "exists" KEY | "absent" KEY
//! operand    = KEY | "rev(" KEY ")" | "version(" KEY ")" | "create(" KEY ")" | "lease(" KEY ")"
//! ops        = [ op { ";" op } ]
//! op         = "put" KEY VALUE [ "--lease" ID ] [ "--previous" ] | "get" KEY | "list" [ PREFIX ]
//!            | "delete" ( KEY [ "--previous" ] | "--prefix" PREFIX ) | "incr" KEY [ DELTA ]
//! ```
//!
//! A word in quotes is never a keyword.

use common::control::kv::{Txn, TxnOp};
use common::control::request::Selection;
use common::identity::LeaseId;
use common::kv::condition::{Compare, Relation, Target};
use common::kv::key::{Key, check_prefix};
use common::kv::value::Value;

use super::words::{Mistake, Word, split};

/// What is left of the text.
struct Parser<'a> {
    words: &'a [Word],
    at: usize,
    /// The column behind the last word.
    end: usize,
}

/// Reads a transaction.
pub(super) fn parse(text: &str) -> Result<Txn, Mistake> {
    let words = split(text)?;
    let mut parser = Parser { words: &words, at: 0, end: text.chars().count() + 1 };
    let txn = parser.txn()?;
    match parser.peek() {
        Some(_) => Err(parser.expected("';' or the end")),
        None => Ok(txn),
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// Whether the next word is this keyword or sign; then it is taken.
    fn take(&mut self, keyword: &str) -> bool {
        let is_it = self.peek().is_some_and(|word| !word.is_quoted && word.text == keyword);
        self.at += usize::from(is_it);
        is_it
    }

    fn expected(&self, what: &str) -> Mistake {
        match self.peek() {
            Some(word) => {
                let what = format!("expected {what}, found {:?}", word.text);
                Mistake { column: word.column, what }
            }
            None => Mistake { column: self.end, what: format!("expected {what}, found the end") },
        }
    }

    fn require(&mut self, keyword: &str) -> Result<(), Mistake> {
        if self.take(keyword) { Ok(()) } else { Err(self.expected(&format!("'{keyword}'"))) }
    }

    /// A word that is no sign.
    fn word(&mut self, what: &str) -> Result<&'a Word, Mistake> {
        let is_sign = |word: &Word| {
            !word.is_quoted && ["&&", "!=", "=", "<", ">", ";", "(", ")"].contains(&&*word.text)
        };
        match self.peek() {
            Some(word) if !is_sign(word) => {
                self.at += 1;
                Ok(word)
            }
            Some(_) | None => Err(self.expected(what)),
        }
    }

    fn key(&mut self) -> Result<Key, Mistake> {
        let word = self.word("a key")?;
        Key::try_from(word.text.as_str())
            .map_err(|error| Mistake { column: word.column, what: error.to_string() })
    }

    fn prefix(&mut self) -> Result<String, Mistake> {
        let word = self.word("a prefix")?;
        let checked = check_prefix(&word.text);
        checked.map_err(|error| Mistake { column: word.column, what: error.to_string() })?;
        Ok(word.text.clone())
    }

    fn value(&mut self) -> Result<Value, Mistake> {
        let word = self.word("a value")?;
        Value::try_from(word.text.clone().into_bytes())
            .map_err(|error| Mistake { column: word.column, what: error.to_string() })
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Mistake> {
        let word = self.word(what)?;
        let wrong = |_| Mistake {
            column: word.column,
            what: format!("expected {what}, found {:?}", word.text),
        };
        word.text.parse().map_err(wrong)
    }

    fn lease(&mut self) -> Result<LeaseId, Mistake> {
        self.number("a lease: up to 16 hexadecimal digits")
    }

    fn txn(&mut self) -> Result<Txn, Mistake> {
        let mut txn = Txn::default();
        if self.take("if") {
            txn.compares.push(self.condition()?);
            while self.take("&&") {
                txn.compares.push(self.condition()?);
            }
            self.require("then")?;
        }
        txn.then = self.ops()?;
        if self.take("else") {
            txn.otherwise = self.ops()?;
        }
        self.take("end");
        let column = 1;
        txn.check().map_err(|failure| Mistake { column, what: failure.message })?;
        Ok(txn)
    }

    fn condition(&mut self) -> Result<Compare, Mistake> {
        for (keyword, relation) in [("exists", Relation::NotEqual), ("absent", Relation::Equal)] {
            if self.take(keyword) {
                return Ok(Compare { key: self.key()?, relation, target: Target::Create(0) });
            }
        }
        let function = ["rev", "version", "create", "lease"];
        let is_called = self.words.get(self.at + 1).is_some_and(|w| !w.is_quoted && w.text == "(");
        let named = self.peek().filter(|word| is_called && !word.is_quoted);
        let Some(name) = named else {
            let key = self.key()?;
            let relation = self.relation()?;
            return Ok(Compare { key, relation, target: Target::Value(self.value()?) });
        };
        if !function.contains(&&*name.text) {
            return Err(self.expected("rev, version, create or lease"));
        }
        self.at += 2;
        let key = self.key()?;
        self.require(")")?;
        let relation = self.relation()?;
        let target = match &*name.text {
            "rev" => Target::Mod(self.number("a revision")?),
            "version" => Target::Version(self.number("a number")?),
            "create" => Target::Create(self.number("a revision")?),
            _ => {
                let is_none = self.peek().is_some_and(|word| word.text.is_empty());
                self.at += usize::from(is_none);
                Target::Lease(if is_none { None } else { Some(self.lease()?) })
            }
        };
        Ok(Compare { key, relation, target })
    }

    fn relation(&mut self) -> Result<Relation, Mistake> {
        for (sign, relation) in [
            ("=", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ] {
            if self.take(sign) {
                return Ok(relation);
            }
        }
        Err(self.expected("'=', '!=', '<' or '>'"))
    }

    fn ops(&mut self) -> Result<Vec<TxnOp>, Mistake> {
        let mut ops = Vec::new();
        loop {
            while self.take(";") {}
            let is_over = self
                .peek()
                .is_none_or(|word| !word.is_quoted && (word.text == "else" || word.text == "end"));
            if is_over {
                return Ok(ops);
            }
            ops.push(self.op()?);
            let is_next =
                |word: &Word| word.is_quoted || !["else", "end", ";"].contains(&&*word.text);
            if self.peek().is_some_and(is_next) {
                return Err(self.expected("';', 'else' or 'end'"));
            }
        }
    }

    fn op(&mut self) -> Result<TxnOp, Mistake> {
        if self.take("put") {
            let (key, value) = (self.key()?, self.value()?);
            let lease = if self.take("--lease") { Some(self.lease()?) } else { None };
            return Ok(TxnOp::Put { key, value, lease, previous: self.take("--previous") });
        }
        if self.take("delete") || self.take("del") {
            if self.take("--prefix") {
                let selection = Selection::Prefix(self.prefix()?);
                return Ok(TxnOp::Delete { selection, previous: false });
            }
            let selection = Selection::Key(self.key()?);
            return Ok(TxnOp::Delete { selection, previous: self.take("--previous") });
        }
        if self.take("get") {
            return self.key().map(TxnOp::Get);
        }
        if self.take("list") || self.take("ls") {
            let has_prefix = self
                .peek()
                .is_some_and(|word| word.is_quoted || ![";", "else", "end"].contains(&&*word.text));
            let prefix = if has_prefix { self.prefix()? } else { String::new() };
            return Ok(TxnOp::List { prefix, limit: None });
        }
        if self.take("incr") {
            let key = self.key()?;
            let has_delta = self
                .peek()
                .is_some_and(|word| word.is_quoted || ![";", "else", "end"].contains(&&*word.text));
            let delta = if has_delta { self.number("a number")? } else { 1 };
            return Ok(TxnOp::Incr { key, delta });
        }
        Err(self.expected("put, get, delete, list or incr"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::try_from(text).expect("a key")
    }

    fn value(text: &str) -> Value {
        Value::try_from(text.as_bytes().to_vec()).expect("short")
    }

    fn put(name: &str, text: &str) -> TxnOp {
        TxnOp::Put { key: key(name), value: value(text), lease: None, previous: false }
    }

    #[test]
    fn a_transaction_reads_as_it_is_said() {
        let text = r#"if name = "alice" && rev(cfg) < 10 then put name bob; delete tmp
                      else get name end"#;
        let name = Compare {
            key: key("name"),
            relation: Relation::Equal,
            target: Target::Value(value("alice")),
        };
        let cfg = Compare { key: key("cfg"), relation: Relation::Less, target: Target::Mod(10) };
        let delete = TxnOp::Delete { selection: Selection::Key(key("tmp")), previous: false };
        let expected = Txn {
            compares: vec![name, cfg],
            then: vec![put("name", "bob"), delete],
            otherwise: vec![TxnOp::Get(key("name"))],
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn what_need_not_be_said_may_be_left_out() {
        let txn = parse("put a 1; put b 2;").expect("two puts");
        assert_eq!(txn.then, [put("a", "1"), put("b", "2")]);
        let txn = parse("if absent a then else incr a -3").expect("a condition");
        assert_eq!(txn.compares[0].target, Target::Create(0));
        assert_eq!((txn.then.len(), txn.otherwise.len()), (0, 1));
        let txn = parse("list; list a/; incr n").expect("three");
        assert_eq!(txn.then[2], TxnOp::Incr { key: key("n"), delta: 1 });
        assert_eq!(parse(""), Ok(Txn::default()));
    }

    #[test]
    fn a_quoted_word_is_what_it_says() {
        let txn = parse(r#"put "if" 'a "b" ; c'; put "x;y" "1\n\"2\"""#).expect("two puts");
        assert_eq!(txn.then, [put("if", "a \"b\" ; c"), put("x;y", "1\n\"2\"")]);
        let txn = parse("if key='' then").expect("a condition");
        assert_eq!(txn.compares[0].target, Target::Value(value("")));
    }

    #[test]
    fn a_mistake_says_where_it_is_and_what_was_expected() {
        for (text, column, what) in [
            ("if a", 5, "'='"),
            ("if a = 1 put b 2", 10, "'then'"),
            ("if rev(a) = x then", 13, "a revision"),
            ("if age(a) = 1 then", 4, "rev, version"),
            ("put a", 6, "a value"),
            ("put a 1 put b 2", 9, "';'"),
            ("jump a", 1, "put, get"),
            ("put a \"1", 7, "no end"),
            ("get a; end of it", 12, "the end"),
            ("put a 1; put a 2", 1, "twice"),
            ("delete --prefix", 16, "a prefix"),
            ("incr n much", 8, "a number"),
            ("if a & b then", 6, "&"),
        ] {
            let mistake = parse(text).expect_err(text);
            assert_eq!(mistake.column, column, "{text}: {mistake}");
            assert!(mistake.what.contains(what), "{text}: {mistake}");
        }
    }
}
