//! What clients ask, and what they are told.

use super::*;
use crate::control::bytes::join;

impl Cluster {
    pub(super) fn ask(&mut self, node: u64, request: Request) -> RequestId {
        self.call(node, Call { timeout: Some(Duration::from_secs(60)), ..Call::new(request) })
    }

    /// One of a client that asks under a tag.
    pub(super) fn ask_tagged(&mut self, node: u64, request: Request, seq: u64) -> RequestId {
        let tag = Some(RequestTag { client: "7".to_owned(), seq });
        self.call(node, Call { tag, ..Call::new(request) })
    }

    pub(super) fn call(&mut self, node: u64, call: Call) -> RequestId {
        self.requests += 1;
        let id = RequestId { connection: self.requests, sequence: 1 };
        self.step(node, Input::Request { id, call });
        id
    }

    pub(super) fn put(&mut self, node: u64, key: &str, text: &str) -> RequestId {
        self.ask(node, put(key, text, Acks::default(), None))
    }

    pub(super) fn delete(&mut self, node: u64, key: &str) -> RequestId {
        let (selection, acks) = (Selection::Key(of(key)), Acks::default());
        self.ask(node, Request::Delete { selection, acks, context: None })
    }

    /// The reply; none if there was no answer.
    pub(super) fn reply(&self, id: RequestId) -> Option<&Result<Reply, Failure>> {
        let answer = self.answers.iter().find(|(to, _)| *to == id).map(|(_, answer)| answer);
        answer.map(|answer| match answer {
            Answer::Reply(_, outcome) => outcome,
            other => panic!("it is no reply: {other:?}"),
        })
    }

    /// The context of an answer.
    pub(super) fn context_of(&self, id: RequestId) -> Context {
        let context = match self.reply(id) {
            Some(Ok(Reply::Put(put))) => put.context.as_ref(),
            Some(Ok(Reply::Get(get))) => get.context.as_ref(),
            other => panic!("it has no context: {other:?}"),
        };
        context.expect("it is of causal mode").parse().expect("a node makes no other")
    }

    /// Who is told to have a write that was put.
    pub(super) fn acks_of(&self, id: RequestId) -> Vec<String> {
        let Some(Ok(Reply::Put(put))) = self.reply(id) else {
            panic!("it is not answered: {:?}", self.reply(id));
        };
        put.acks.iter().flatten().map(ToString::to_string).collect()
    }

    /// The values of a key, side by side, in the order of their bytes.
    pub(super) fn values(&self, node: u64, key: &str) -> Vec<String> {
        let versions = self.node(node).store().get(&of(key));
        let text = |version: &crate::causal::version::Version| {
            String::from_utf8_lossy(&version.value).into_owned()
        };
        let mut values: Vec<String> = versions.iter().map(text).collect();
        values.sort_unstable();
        values
    }

    /// What a reader is shown at a node.
    pub(super) fn shown(&mut self, node: u64, key: &str) -> Option<String> {
        let id = self.ask(node, Request::get(of(key), None));
        let Some(Ok(Reply::Get(get))) = self.reply(id) else { panic!("it is no get") };
        let item = get.item.as_ref()?;
        let value = join(item.value.clone(), item.value_b64.clone()).expect("one of both")?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

pub(super) fn put(key: &str, text: &str, acks: Acks, context: Option<Context>) -> Request {
    Request::Put { key: of(key), value: value(text), acks, context }
}

pub(super) fn incr(acks: Acks) -> Request {
    Request::Incr { key: of("n/k"), delta: 1, acks, context: None }
}

pub(super) fn of(key: &str) -> Key {
    Key::try_from(key).expect("a key")
}

pub(super) fn value(text: &str) -> Value {
    Value::try_from(text.as_bytes().to_vec()).expect("a value")
}
