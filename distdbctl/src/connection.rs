//! One connection to a node's control socket: lines go out, lines come in, and nothing waits
//! longer than it is told.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::control::failure::{Applied, ErrorCode, Failure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::place;
use crate::problem::{OwnCode, Problem};
use crate::waiting;

/// The longest line of a node: a change with the value before it and the one after, each at its
/// longest and in base64, with room to spare.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a read takes.
const READ_BYTES: usize = 64 * 1024;

/// A connection, and the line of which a part may have come.
#[derive(Debug)]
pub(crate) struct Connection {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
    /// Readable once Ctrl-C was pressed, where that must not end the process in silence.
    interrupts: Option<SignalFd>,
}

/// Why no line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Not in time.
    TimedOut,
    /// The node closed the connection, or died.
    Closed,
    /// A line without an end.
    Endless,
    /// Ctrl-C came first.
    Interrupted,
    /// Nobody reads the output any more.
    OutputClosed,
}

impl Connection {
    /// Connects, or says why nobody can be asked.
    pub(crate) fn open(path: &Path, deadline: Instant) -> Result<Self, Problem> {
        let address = UnixAddr::new(path).map_err(|_| too_long(path))?;
        let stream = connect_until(&address, deadline).map_err(|errno| no_answer(path, errno))?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::with_capacity(READ_BYTES, stream),
            line: Vec::new(),
            interrupts: None,
        })
    }

    /// A second handle, for a thread of its own to write to.
    pub(crate) fn writer(&self) -> io::Result<UnixStream> {
        self.stream.get_ref().try_clone()
    }

    /// The socket itself, for who reads it in another way.
    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream.into_inner()
    }

    /// What is readable once something has come that was not read yet.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }

    /// Whether a part of what comes next has been read already.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    /// Takes note of Ctrl-C instead of ending by it, so that something can be said first.
    pub(crate) fn catch_interrupts(&mut self) -> io::Result<()> {
        let signals = interrupt();
        signals.thread_block()?;
        self.interrupts = Some(SignalFd::new(&signals)?);
        Ok(())
    }

    /// Sends a line, newline and all. On failure, tells also whether the node may have got it.
    pub(crate) fn send(&mut self, line: &[u8], deadline: Instant) -> Result<(), (Lost, Applied)> {
        let mut sent = 0;
        while sent < line.len() {
            let outcome = match self.stream.get_ref().write(&line[sent..]) {
                Ok(written) => {
                    sent += written;
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pause(PollFlags::POLLOUT, Some(deadline), false)
                }
                Err(_) => Err(Lost::Closed),
            };
            if let Err(lost) = outcome {
                // The node takes a last line without its newline, but no line without its end.
                let is_whole = sent + 1 >= line.len();
                return Err((lost, if is_whole { Applied::Unknown } else { Applied::No }));
            }
        }
        Ok(())
    }

    /// The next line, without its newline. `None` waits as long as it takes.
    pub(crate) fn receive(&mut self, deadline: Option<Instant>) -> Result<Vec<u8>, Lost> {
        self.receive_while(deadline, false)
    }

    /// The same, for as long as somebody reads our output.
    pub(crate) fn receive_for_reader(&mut self) -> Result<Vec<u8>, Lost> {
        self.receive_while(None, true)
    }

    fn receive_while(
        &mut self,
        deadline: Option<Instant>,
        has_reader: bool,
    ) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(line) = self.receive_ready()? {
                return Ok(line);
            }
            self.pause(PollFlags::POLLIN, deadline, has_reader)?;
        }
    }

    /// The next line, if all of it is there.
    pub(crate) fn receive_ready(&mut self) -> Result<Option<Vec<u8>>, Lost> {
        let room = (REPLY_BYTES_MAX - self.line.len()) as u64;
        match self.stream.by_ref().take(room).read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.last() == Some(&b'\n') => {
                self.line.pop();
                Ok(Some(std::mem::take(&mut self.line)))
            }
            Ok(_) if self.line.len() >= REPLY_BYTES_MAX => Err(Lost::Endless),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Ok(_) | Err(_) => Err(Lost::Closed),
        }
    }

    /// Waits until the socket can be read or written.
    fn pause(
        &self,
        wanted: PollFlags,
        deadline: Option<Instant>,
        has_reader: bool,
    ) -> Result<(), Lost> {
        let stdout = io::stdout();
        let mut watched = vec![PollFd::new(self.stream.get_ref().as_fd(), wanted)];
        let interrupts = self.interrupts.as_ref().map(|signals| {
            watched.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
            watched.len() - 1
        });
        // Without a wish, `poll` still tells that the other end of a pipe is gone.
        let output = has_reader.then(|| {
            watched.push(PollFd::new(stdout.as_fd(), PollFlags::empty()));
            watched.len() - 1
        });
        loop {
            match poll(&mut watched, waiting::timeout(deadline)) {
                Ok(0) => return Err(Lost::TimedOut),
                Err(Errno::EINTR) => continue,
                Err(_) => return Err(Lost::Closed),
                Ok(_) => {}
            }
            let happened = |at: Option<usize>| at.is_some_and(|at| watched[at].any() == Some(true));
            return if happened(interrupts) {
                Err(Lost::Interrupted)
            } else if watched[0].any() != Some(true) && happened(output) {
                Err(Lost::OutputClosed)
            } else {
                Ok(())
            };
        }
    }

    /// What to say of a connection that brought no answer. `timeout` is what was given to it.
    pub(crate) fn problem(&self, lost: Lost, applied: Applied, timeout: Duration) -> Problem {
        let path = self.path.display();
        let unknown = match applied {
            Applied::No => "",
            Applied::Yes | Applied::Unknown => "; whether it was applied is unknown",
        };
        let problem = match lost {
            Lost::TimedOut => {
                let timeout = humantime::format_duration(timeout);
                let message = format!("no answer from {path} within {timeout}{unknown}");
                Failure::new(ErrorCode::Timeout, message).into()
            }
            Lost::Closed => {
                let message = format!("{path} closed the connection without an answer{unknown}");
                Problem::new(OwnCode::Disconnected, message)
            }
            Lost::Endless => {
                let message = format!("{path} sent a line of more than {REPLY_BYTES_MAX} bytes");
                Problem::new(OwnCode::Protocol, message)
            }
            Lost::Interrupted => {
                let message = format!("interrupted before {path} answered; outcome unknown");
                Problem::new(OwnCode::Interrupted, message)
            }
            Lost::OutputClosed => Problem::new(OwnCode::ClosedPipe, "nobody reads the output"),
        };
        let problem = problem.applied(applied);
        match applied {
            Applied::No => problem,
            Applied::Yes | Applied::Unknown => {
                problem.with_hint("look at what is there before you try again")
            }
        }
    }
}

/// Lets time pass between two tries. Ctrl-C ends that: it ends the process, or where that is not to
/// happen in silence, it is told.
pub(crate) fn pause(duration: Duration) -> Result<(), Lost> {
    let Ok(signals) = SignalFd::new(&interrupt()) else {
        std::thread::sleep(duration);
        return Ok(());
    };
    let mut watched = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, waiting::timeout(Some(Instant::now() + duration))) {
        Ok(count) if count > 0 => Err(Lost::Interrupted),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn interrupt() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals
}

/// Ends by the signal that was caught before, so that whoever started us sees just that: a loop of
/// a shell stops at Ctrl-C only if the command in it dies of the signal.
pub(crate) fn die_of_interrupt() {
    // Where the signal is ignored we live on, and end with the exit code for it.
    let _ = interrupt().thread_unblock();
    let _ = raise(Signal::SIGINT);
}

/// A listener whose queue is full lets a client wait without end, were it not for the send
/// timeout, which `connect` keeps too (unix(7) is silent on it, net/unix/af_unix.c is not).
fn connect_until(address: &UnixAddr, deadline: Instant) -> Result<UnixStream, Errno> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let remaining = deadline.saturating_duration_since(Instant::now());
    // Zero would mean: without end.
    let remaining = remaining.max(Duration::from_millis(1));
    let microseconds = i64::from(remaining.subsec_micros());
    let seconds = i64::try_from(remaining.as_secs()).unwrap_or(i64::MAX);
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::new(seconds, microseconds))?;
    while let Err(errno) = connect(fd.as_raw_fd(), address) {
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(true).map_err(|_| Errno::EINVAL)?;
    Ok(stream)
}

fn too_long(path: &Path) -> Problem {
    let bytes = path.as_os_str().len();
    let shown = path.display();
    let message = format!("the socket path has {bytes} bytes, and may have 107: {shown}");
    Problem::new(OwnCode::Configuration, message).with_hint("choose a shorter runtime directory")
}

fn no_answer(path: &Path, errno: Errno) -> Problem {
    let shown = path.display();
    if errno == Errno::EAGAIN || errno == Errno::EINPROGRESS {
        let message = format!("{shown} accepted no connection in time");
        return Failure::new(ErrorCode::Timeout, message).into();
    }
    if errno == Errno::EACCES || errno == Errno::EPERM {
        let message = format!("{shown} may not be connected: {}", errno.desc());
        return Problem::from(Failure::new(ErrorCode::Denied, message))
            .with_hint("ask for the socket's group, or for another --socket-mode of distdbd");
    }
    if errno == Errno::EMFILE || errno == Errno::ENFILE {
        let message = format!("no more connections: {}", errno.desc());
        return Problem::new(OwnCode::Configuration, message).with_hint("raise ulimit -n");
    }
    let message = format!("no daemon answers at {shown}: {}", errno.desc());
    let problem = Problem::new(OwnCode::NoDaemon, message).applied(Applied::No);
    let neighbours = place::neighbours(path);
    if neighbours.is_empty() {
        return problem.with_hint("is distdbd running?");
    }
    let names: Vec<_> = neighbours.iter().map(common::identity::NodeName::as_str).collect();
    problem.with_hint(format!("is distdbd running? other sockets there: {}", names.join(", ")))
}
