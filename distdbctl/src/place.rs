//! Which sockets a command talks to.
//!
//! `--socket`, else `$DISTDB_SOCKET`, else `--node`, else `$DISTDB_NODE`, else the only socket in
//! the runtime directory. A flag and its variable are one to `clap`, which prefers the flag.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use common::identity::NodeName;

use crate::args::Globals;
use crate::problem::{OwnCode, Problem};

const SOCKET: &str = "control.sock";

/// The one socket that the command is for.
pub(crate) fn one(globals: &Globals) -> Result<PathBuf, Problem> {
    let mut sockets = several(globals)?;
    match (sockets.pop(), sockets.is_empty()) {
        (Some(socket), true) => Ok(socket),
        (None, _) | (Some(_), false) => {
            Err(Problem::usage("several nodes are named; this command asks one"))
        }
    }
}

/// The sockets that the command is for, one at least.
pub(crate) fn several(globals: &Globals) -> Result<Vec<PathBuf>, Problem> {
    let sockets: Vec<_> = globals.socket.iter().filter(|path| !path.is_empty()).collect();
    if !sockets.is_empty() {
        return Ok(sockets.into_iter().map(PathBuf::from).collect());
    }
    let names: Vec<_> = globals.node.iter().filter(|name| !name.is_empty()).collect();
    let runtime_dir = runtime_dir(globals)?;
    if names.is_empty() {
        return only(&runtime_dir).map(|socket| vec![socket]);
    }
    let path_of = |name: &String| match name.parse::<NodeName>() {
        Ok(name) => Ok(runtime_dir.join(name.as_str()).join(SOCKET)),
        Err(error) => Err(Problem::usage(error.to_string())),
    };
    names.into_iter().map(path_of).collect()
}

/// The sockets of the nodes that are named; where none is, all in the runtime directory.
pub(crate) fn named_or_all(globals: &Globals) -> Result<Vec<PathBuf>, Problem> {
    let is_named = globals.socket.iter().any(|path| !path.is_empty())
        || globals.node.iter().any(|name| !name.is_empty());
    if is_named {
        return several(globals);
    }
    Ok(all(globals)?.into_iter().map(|(_, path)| path).collect())
}

/// All sockets in the runtime directory, with their nodes' names, in the order of these.
pub(crate) fn all(globals: &Globals) -> Result<Vec<(NodeName, PathBuf)>, Problem> {
    let runtime_dir = runtime_dir(globals)?;
    let found = sockets_in(&runtime_dir);
    if found.is_empty() { Err(no_socket(&runtime_dir)) } else { Ok(found) }
}

/// The names of other nodes with a socket beside that of `socket`'s node.
pub(crate) fn neighbours(socket: &Path) -> Vec<NodeName> {
    let node_dir = socket.parent();
    let Some(runtime_dir) = node_dir.and_then(Path::parent) else { return Vec::new() };
    let others = sockets_in(runtime_dir).into_iter().filter(|(_, path)| path != socket);
    others.map(|(name, _)| name).collect()
}

fn only(runtime_dir: &Path) -> Result<PathBuf, Problem> {
    let mut found = sockets_in(runtime_dir);
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(no_socket(runtime_dir)),
        (Some((_, path)), true) => Ok(path),
        (Some(last), false) => {
            found.push(last);
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            let dir = runtime_dir.display();
            let message = format!("{dir} has several sockets: {}", names.join(", "));
            let hint = format!("say which: --node {}, or DISTDB_NODE={}", names[0], names[0]);
            Err(Problem::new(OwnCode::NoDaemon, message).with_hint(hint))
        }
    }
}

fn no_socket(runtime_dir: &Path) -> Problem {
    let message = format!("no daemon: no socket was found in {}", runtime_dir.display());
    Problem::new(OwnCode::NoDaemon, message)
        .with_hint("start distdbd, or say where with --runtime-dir or --socket")
}

fn sockets_in(runtime_dir: &Path) -> Vec<(NodeName, PathBuf)> {
    // A directory that is missing or can't be read holds no socket that could be connected.
    let entries = fs::read_dir(runtime_dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join(SOCKET);
            path.symlink_metadata().is_ok().then_some((name, path))
        })
        .collect();
    found.sort();
    found
}

fn runtime_dir(globals: &Globals) -> Result<PathBuf, Problem> {
    let is_root = nix::unistd::geteuid().is_root();
    let of_session = std::env::var_os("XDG_RUNTIME_DIR");
    runtime_dir_of(globals.runtime_dir.clone(), is_root, of_session)
}

/// The first that is there and not empty.
fn runtime_dir_of(
    given: Option<OsString>,
    is_root: bool,
    of_session: Option<OsString>,
) -> Result<PathBuf, Problem> {
    let is_set = |dir: &OsString| !dir.is_empty();
    if let Some(dir) = given.filter(is_set) {
        return Ok(PathBuf::from(dir));
    }
    if is_root {
        return Ok(PathBuf::from("/run/distdb"));
    }
    of_session.filter(is_set).map(|dir| Path::new(&dir).join("distdb")).ok_or_else(|| {
        let message = "no runtime directory: neither DISTDB_RUNTIME_DIR nor XDG_RUNTIME_DIR is set";
        Problem::new(OwnCode::NoDaemon, message).with_hint("say where with --runtime-dir")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn globals(dir: &Path) -> Globals {
        Globals { runtime_dir: Some(dir.into()), ..Globals::default() }
    }

    fn add_socket(dir: &Path, node: &str) {
        fs::create_dir(dir.join(node)).unwrap();
        fs::write(dir.join(node).join(SOCKET), "").unwrap();
    }

    #[test]
    fn the_only_socket_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let missing = one(&globals(&dir.path().join("nowhere"))).unwrap_err();
        assert_eq!(missing.exit(), Exit::NO_DAEMON);
        fs::create_dir(dir.path().join("no-socket")).unwrap();
        add_socket(dir.path(), "-no-name");
        assert_eq!(one(&globals(dir.path())).unwrap_err().exit(), Exit::NO_DAEMON);
        add_socket(dir.path(), "node1");
        assert_eq!(one(&globals(dir.path())), Ok(dir.path().join("node1/control.sock")));
    }

    #[test]
    fn several_sockets_are_named() {
        let dir = tempfile::tempdir().unwrap();
        add_socket(dir.path(), "node2");
        add_socket(dir.path(), "node1");
        let problem = one(&globals(dir.path())).unwrap_err();
        assert_eq!(problem.exit(), Exit::NO_DAEMON);
        assert!(problem.message.contains("node1, node2"), "{problem}");
    }

    #[test]
    fn a_socket_beats_a_node_which_beats_what_is_found() {
        let dir = tempfile::tempdir().unwrap();
        add_socket(dir.path(), "found");
        let mut globals = globals(dir.path());
        globals.node = vec!["node7".to_owned()];
        assert_eq!(one(&globals), Ok(dir.path().join("node7/control.sock")));
        globals.socket = vec!["/x/y".into()];
        assert_eq!(one(&globals), Ok(PathBuf::from("/x/y")));
        (globals.socket, globals.node) = (vec!["".into()], vec![String::new()]);
        assert_eq!(one(&globals), Ok(dir.path().join("found/control.sock")));
    }

    #[test]
    fn a_name_that_could_leave_the_directory_is_refused() {
        for name in ["..", "a/b", "-a"] {
            let globals = Globals { node: vec![name.to_owned()], ..globals(Path::new("/r")) };
            assert_eq!(one(&globals).unwrap_err().exit(), Exit::USAGE, "{name}");
        }
    }

    #[test]
    fn two_names_are_too_many_for_most() {
        let node = vec!["a".to_owned(), "b".to_owned()];
        let globals = Globals { node, ..globals(Path::new("/r")) };
        assert_eq!(one(&globals).unwrap_err().exit(), Exit::USAGE);
        assert_eq!(several(&globals).unwrap().len(), 2);
    }

    #[test]
    fn the_runtime_directory_is_given_or_root_s_or_the_session_s() {
        let dir = |given: Option<&str>, is_root, session: Option<&str>| {
            runtime_dir_of(given.map(Into::into), is_root, session.map(Into::into)).ok()
        };
        assert_eq!(dir(Some("/a"), true, Some("/s")), Some("/a".into()));
        assert_eq!(dir(Some(""), true, Some("/s")), Some("/run/distdb".into()));
        assert_eq!(dir(None, false, Some("/s")), Some("/s/distdb".into()));
        assert_eq!(dir(None, false, Some("")), None);
    }
}
