//! What the process is to those who started it: exit codes, signals, and systemd.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the daemon can't run, or no longer. Of these follow its exit codes.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 78: somebody must change flags, environment or files.
    Configuration(anyhow::Error),
    /// 70: a disk has failed, what it holds is damaged, or the daemon is wrong.
    Broken(anyhow::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(78),
            Self::Broken(_) => ExitCode::from(70),
        }
    }

    pub(crate) fn error(&self) -> &anyhow::Error {
        match self {
            Self::Configuration(error) | Self::Broken(error) => error,
        }
    }
}

/// The signals that ask the daemon to end.
pub(crate) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// The next one's name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// How often the state is told at most: it has the index of the last entry in it.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Tells systemd, if it started us (`NOTIFY_SOCKET`). It not listening is no reason to fail.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    told: String,
    told_at: Option<Instant>,
}

impl Supervisor {
    /// READY=1: the socket answers. It does not mean that there is a quorum; STATUS= says that.
    pub(crate) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The state in one line, if it is another than before. It is asked for with each tick, so one
    /// that comes too early is told a little later.
    pub(crate) fn status(&mut self, summary: String) {
        if self.told_at.is_some_and(|at| at.elapsed() < STATUS_INTERVAL) {
            return;
        }
        if self.told != summary {
            tell(&[NotifyState::Status(&summary)]);
            self.told = summary;
            self.told_at = Some(Instant::now());
        }
    }

    /// The last state of a node that is a member no longer.
    pub(crate) fn removed(&self) {
        tell(&[NotifyState::Status("removed from the cluster")]);
    }

    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
