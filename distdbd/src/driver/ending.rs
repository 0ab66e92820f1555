//! The end of the process.
//!
//! 1. Nobody new is heard: the socket goes, and clients are read no more.
//! 2. The node hands over what it leads, and answers what it has been asked. For that the loop
//!    goes on, for a while.
//! 3. Those who still wait are told that it ends, and all of it leaves.

use std::io;
use std::time::Duration;

use common::node::Node;
use common::protocol::{Effects, Input, Protocol};
use tokio::time::Instant;

use crate::control::ClientInput;
use crate::driver::Driver;
use crate::process::EndSignals;

/// How long the node may take to hand over, and for what is in flight. With the times below it
/// stays under the 5 s in which the process has to end.
const RETIRE_TIME_MAX: Duration = Duration::from_millis(1_500);

/// How long the last lines may take: then whoever has not read yet is left behind.
const END_TIME_MAX: Duration = Duration::from_millis(2_500);

/// How long to look for requests that were read before the end began.
const LAST_REQUESTS_TIME_MAX: Duration = Duration::from_millis(100);

impl Driver {
    /// Begins to end, because a signal says so.
    pub(super) fn retire(&mut self, signal: &'static str, effects: &mut Effects<Node>) {
        tracing::info!(signal, "ending");
        self.supervisor.stopping();
        self.stop_listening(RETIRE_TIME_MAX);
        self.node.step(self.now(), Input::Retire, effects);
    }

    /// Ends, because the node is no longer a member of its cluster.
    pub(super) fn leave(&mut self) {
        tracing::warn!("this node was removed from its cluster; ending");
        self.supervisor.removed();
        self.supervisor.stopping();
        self.stop_listening(Duration::ZERO);
    }

    fn stop_listening(&mut self, time_max: Duration) {
        self.ending = Some(Instant::now() + time_max);
        self.stop.cancel();
        drop(self.socket.take());
        self.clients.stop_reading();
    }

    /// Whether the loop need not go on: nothing is left to hand over or to answer, or no time.
    pub(super) fn may_end(&self) -> bool {
        let Some(until) = self.ending else { return false };
        let is_done =
            !self.node.leads() && self.client_inputs.is_empty() && self.clients.are_answered();
        is_done || until <= Instant::now()
    }

    /// Tells those who wait, and lets all of it leave.
    pub(super) async fn end(mut self, mut signals: EndSignals) -> io::Result<()> {
        let mut effects = Effects::default();
        // What was read before is carried out. The channel ends with the last reader.
        while let Ok(Some(input)) =
            tokio::time::timeout(LAST_REQUESTS_TIME_MAX, self.client_inputs.recv()).await
        {
            if let ClientInput::Request { .. } = input {
                self.on_client(input, &mut effects);
            }
        }
        self.node.step(self.now(), Input::Stop, &mut effects);
        self.commit(effects)?;
        drop(self.clients);
        let written = async {
            self.client_writers.close();
            self.client_writers.wait().await;
            self.peers.finish().await;
        };
        tokio::select! {
            () = written => {}
            () = tokio::time::sleep(END_TIME_MAX) => tracing::warn!("left slow readers behind"),
            name = signals.next() => tracing::warn!(signal = name, "ending at once"),
        }
        Ok(())
    }
}
