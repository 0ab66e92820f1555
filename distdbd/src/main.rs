//! The daemon of distdb: it connects the core in `common` to sockets, a clock, a disk and
//! signals.
//!
//! - [`driver`] is the loop around the core. Everything else hands it inputs over bounded
//!   channels, and carries out what comes back.
//! - [`control`] is the Unix socket for clients, [`peers`] the TCP port and the links.
//! - [`disk`] is the files of a node, [`upkeep`] what is done to them beside the loop, [`place`]
//!   where files are.
//! - [`process`] is what systemd and shells see, [`witness`] logs and traces, [`fault`] the failures
//!   that tests ask for.
//!
//! It is one thread, but for what snapshots take: a hop to another costs as much as the work on a
//! request, and a panic in the core ends the process, rather than leave it half alive.

mod args;
mod control;
mod disk;
mod driver;
mod fault;
mod peers;
mod place;
mod process;
mod recorder;
mod trace;
mod upkeep;
mod witness;

use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context, anyhow};
use common::broadcast;
use common::config::Config;
use common::identity::{ClusterId, NodeId};
use common::node::{Found, Identity, Node};
use common::storage::Storage;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::{Args, Fsync, LogFormat};
use crate::control::Control;
use crate::control::clients::Clients;
use crate::control::socket::{self, Access, Socket};
use crate::disk::DataDir;
use crate::driver::Driver;
use crate::fault::Faults;
use crate::peers::dial::Dialler;
use crate::peers::{Peers, Shared, View, accept};
use crate::place::SocketDir;
use crate::process::{EndSignals, Failure, Supervisor};
use crate::upkeep::{Files, Upkeep};
use crate::witness::Witness;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => {
            // Nobody reads the answer to --help if this fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 78 } else { 0 });
        }
    };
    start_logging(&args);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&args)));
    let failure = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Broken(anyhow!("a bug in distdbd; the panic above says where")),
    };
    #[expect(clippy::print_stderr, reason = "the last word, for whoever started the daemon")]
    {
        eprintln!("distdbd: {:#}", failure.error());
    }
    failure.exit_code()
}

fn start_logging(args: &Args) {
    let logs = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(args.log_level)
        .with_target(false)
        .with_ansi(false);
    match args.log {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    args.check().map_err(Failure::Configuration)?;
    let runtime_dir = place::runtime_dir(args).map_err(Failure::Configuration)?;
    let socket_dir = runtime_dir.join(args.node.as_str());
    let data_dir = place::data_dir(args).map_err(Failure::Configuration)?;
    let socket_path = socket_dir.join("control.sock");
    socket::check_path(&socket_path).map_err(Failure::Configuration)?;
    let access = Access::new(args.socket_mode, args.socket_group.as_deref());
    let access = access.map_err(Failure::Configuration)?;
    if args.check_config {
        return Ok(());
    }
    let (storage, found) = open_storage(args, data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
        .map_err(Failure::Broken)?;
    let outcome = runtime.block_on(async {
        let socket_dir = SocketDir::open(socket_dir).map_err(Failure::Configuration)?;
        let peer_port = PeerPort::open(args, found.identity.as_ref(), &socket_dir.path).await;
        let peer_port = peer_port.map_err(Failure::Configuration)?;
        // The control socket comes last: whoever finds it finds a node that answers.
        let socket = Socket::bind(socket_path, &access).map_err(Failure::Configuration)?;
        let ended = serve(args, storage, found, peer_port, socket).await;
        drop(socket_dir);
        ended
    });
    // A snapshot that is being written, or sent, is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Takes the data directory, and reads what it has kept of this node.
fn open_storage(args: &Args, path: PathBuf) -> Result<(Storage<DataDir>, Found), Failure> {
    let sync = args.fsync == Fsync::Always;
    if !sync {
        tracing::warn!(
            "--fsync never: nothing that this node acknowledges is sure to be on its disk; a crash \
             of the system may lose it, and let the node vote twice in a term. For tests only"
        );
    }
    let disk = DataDir::open(path.clone(), sync)?;
    let opened = Storage::open(disk, &args.node, args.segment_size);
    let (storage, mut found, warnings) =
        opened.map_err(|error| disk::failure(&path, &args.node, error))?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if found.identity.is_none() {
        found.identity = first_identity(args).map_err(Failure::Configuration)?;
    }
    Ok((storage, found))
}

/// Who a node is that has kept nothing: the first of a new cluster, or nobody until it joins.
fn first_identity(args: &Args) -> anyhow::Result<Option<Identity>> {
    let node = &args.node;
    match (args.bootstrap, args.join.as_slice()) {
        (true, _) => {
            let (id, cluster) = (NodeId(rand::random()), ClusterId(rand::random()));
            let broadcast = broadcast::Record::bootstrap(id, node.clone(), cluster);
            Ok(Some(Identity { broadcast, mode: args.mode.into(), founder: true }))
        }
        (false, [_, ..]) => Ok(None),
        (false, []) => {
            let listen = &args.listen;
            Err(anyhow!(
                "the data directory is empty; found a cluster or join one:\n  \
                 distdbd --node {node} --listen {listen} --bootstrap\n  \
                 distdbd --node {node} --listen {listen} --join HOST:PORT"
            ))
        }
    }
}

/// The port for peers, and the address that they are told.
struct PeerPort {
    listener: TcpListener,
    address: String,
}

impl PeerPort {
    async fn open(
        args: &Args,
        identity: Option<&Identity>,
        socket_dir: &Path,
    ) -> anyhow::Result<Self> {
        let listener = match bind_again(args, identity).await {
            Some(listener) => Ok(listener),
            None => TcpListener::bind(&args.listen).await,
        };
        let listener = listener.with_context(|| format!("listen for peers at {}", args.listen))?;
        let bound = listener.local_addr().context("read the address in use")?;
        let address = advertised(args, bound)?;
        let file = socket_dir.join("peer.addr");
        fs::write(&file, format!("{bound}\n"))
            .with_context(|| format!("write {}", file.display()))?;
        Ok(Self { listener, address })
    }
}

/// Where any free port will do, the one this node had before is the best: its peers know it, and
/// find it there even if they have all restarted at once.
async fn bind_again(args: &Args, identity: Option<&Identity>) -> Option<TcpListener> {
    let host = args.listen.strip_suffix(":0")?;
    let known = identity?.broadcast.members.named(&args.node)?;
    let (_, port) = known.address.rsplit_once(':')?;
    TcpListener::bind(format!("{host}:{port}")).await.ok()
}

fn advertised(args: &Args, bound: SocketAddr) -> anyhow::Result<String> {
    if let Some(address) = &args.advertise {
        return Ok(address.clone());
    }
    anyhow::ensure!(
        !bound.ip().is_unspecified(),
        "--listen {} is every address of this machine; --advertise HOST:PORT tells peers which",
        args.listen,
    );
    Ok(bound.to_string())
}

/// See [`Config::log_kept_bytes`]: 100,000 entries of 300 bytes, about.
const LOG_KEPT_BYTES: usize = 32 * 1024 * 1024;

/// See [`Config::causal_log_bytes`]: some ten thousand writes, as many as are sent in a second.
const CAUSAL_LOG_BYTES: usize = 32 * 1024 * 1024;

fn config(args: &Args, found: &Found, address: String) -> Config {
    let known = found.identity.as_ref().map(|identity| identity.broadcast.node);
    Config {
        node: known.unwrap_or_else(|| NodeId(rand::random())),
        name: args.node.clone(),
        address,
        heartbeat_interval: args.heartbeat_interval,
        election_timeout: args.election_timeout,
        mode: args.mode.into(),
        snapshot_every: args.snapshot_every,
        log_kept_bytes: LOG_KEPT_BYTES,
        causal_log_bytes: CAUSAL_LOG_BYTES,
        keeping: args.keeping(),
        seed: rand::random(),
        is_traced: args.trace.is_some(),
    }
}

async fn serve(
    args: &Args,
    storage: Storage<DataDir>,
    found: Found,
    peer_port: PeerPort,
    (socket, clients_listener): (Socket, tokio::net::UnixListener),
) -> Result<(), Failure> {
    let config = config(args, &found, peer_port.address);
    let signals = EndSignals::listen().context("listen for signals").map_err(Failure::Broken)?;
    let witness = Witness::new(args.node.clone(), config.node, args.trace.as_deref())
        .context("open the trace file")
        .map_err(Failure::Configuration)?;
    let mut node = Node::recover(config, found)
        .context("what the data directory holds does not belong together")
        .map_err(Failure::Broken)?;
    node.hear(witness.clock());
    let faults = Faults::new(args.enable_faults);
    let (view, view_receiver) = watch::channel(View::alone(node.hello()));
    let path = Arc::from(storage.disk().path());
    let files = Files { path, sync: args.fsync == Fsync::Always };
    let (upkeep, written) = Upkeep::start(files.clone());
    let (shared, peer_inputs, dial_events) = Shared::new(view_receiver, faults.clone(), files);
    tokio::spawn(accept::accept(peer_port.listener, shared.clone()));
    tokio::spawn(Dialler::new(shared.clone(), args.join.clone(), dial_events).run());
    let (inputs, client_inputs) = mpsc::channel(control::INPUTS_MAX);
    let (stop, client_writers) = (CancellationToken::new(), TaskTracker::new());
    let control = Control {
        listener: clients_listener,
        node: args.node.clone(),
        inputs,
        stop: stop.clone(),
        writers: client_writers.clone(),
    };
    tokio::spawn(control.accept(control::clients_max(raise_descriptor_limit())));
    let driver = Driver {
        node,
        storage,
        full_since: None,
        upkeep,
        written,
        origin: Instant::now(),
        clients: Clients::default(),
        client_inputs,
        drained: shared.drained.clone(),
        peers: Peers::new(shared),
        peer_inputs,
        view,
        faults,
        socket: Some(socket),
        stop,
        client_writers,
        supervisor: Supervisor::default(),
        witness,
        ending: None,
    };
    // As a task among the others it runs behind all connections that have something to say: their
    // requests share a commit. The future that the runtime blocks on has no place in that order.
    let ended = tokio::spawn(driver.run(signals)).await;
    let ended = ended.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()));
    ended.context("a write failed, so this node must not speak").map_err(Failure::Broken)
}

/// As many descriptors as the process may have, for clients.
fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1_024;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}
