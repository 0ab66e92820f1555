//! One node of a cluster: a process while it runs, its flags and its files while it does not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::client::Client;
use crate::cluster::eventually;

/// Whoever drops one kills it.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) name: String,
    /// Where the cluster keeps sockets and logs.
    pub(super) dir: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) flags: Vec<String>,
    /// How it comes to a cluster, where it keeps nothing of one.
    pub(super) founding: Vec<String>,
    pub(super) process: Option<Child>,
    pub(super) is_paused: bool,
}

impl Daemon {
    pub(super) fn launch(&mut self) {
        let process = self.command().spawn().expect("distdbd starts");
        assert!(self.process.replace(process).is_none(), "it runs already");
    }

    pub(super) fn wait_answering(&self) {
        let socket = self.socket();
        eventually("its socket answers", || Client::connect(&socket).is_ok());
    }

    pub(super) fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.log());
        let mut command = Command::new(binary());
        command
            .args(["--node", &self.name, "--listen", "127.0.0.1:0", "--enable-faults"])
            .arg("--runtime-dir")
            .arg(self.dir.join("run"))
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(&self.flags)
            .args(&self.founding)
            .stdin(Stdio::null())
            .stderr(log.expect("its directory is there"));
        command
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Waits until it has ended, and tells how.
    pub(super) fn ended(&mut self) -> ExitStatus {
        self.is_paused = false;
        let process = self.process.as_mut().expect("it runs");
        let mut status = None;
        eventually("it ends", || {
            status = process.try_wait().expect("it is our child");
            status.is_some()
        });
        self.process = None;
        status.expect("it has ended")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.runtime_dir().join("control.sock")
    }

    pub(super) fn address(&self) -> String {
        let file = self.runtime_dir().join("peer.addr");
        fs::read_to_string(file).expect("it has started").trim_end().to_owned()
    }

    fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run").join(&self.name)
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    pub(super) fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// `distdbd` beside this test or program, built from what is there now.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test's path");
        let mut dirs = test.ancestors().skip(1).filter(|dir| !dir.ends_with("deps"));
        let profile_dir = dirs.next().expect("PROFILE/deps/test or PROFILE/program");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "distdbd", "--target-dir"]);
        build.arg(profile_dir.parent().expect("TARGET/PROFILE"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "distdbd does not build");
        profile_dir.join("distdbd")
    })
}
