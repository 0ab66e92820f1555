//! What `--help` says beyond the flags.

/// Below the help of all commands. A test holds it against the table of exit codes.
pub(crate) const AFTER_LONG_HELP: &str = "\
Which daemon:
  --socket, else $DISTDB_SOCKET, else --node, else $DISTDB_NODE, else the only socket in the
  runtime directory. The runtime directory is --runtime-dir, else $DISTDB_RUNTIME_DIR, else
  /run/distdb for root, else $XDG_RUNTIME_DIR/distdb; a node's socket is NAME/control.sock in it.

Environment:
  DISTDB_SOCKET, DISTDB_NODE, DISTDB_RUNTIME_DIR, DISTDB_SESSION, DISTDB_TIMEOUT, DISTDB_OUTPUT,
  DISTDB_QUIET, DISTDB_VERBOSE   the flags of these names; a flag beats its variable
  NO_COLOR                       no colour, on a terminal either

Output:
  Data goes to stdout, messages to stderr, one line each. With --output json each line of stdout is
  one JSON object, and a failure is one on stderr. In text, the cells of a line are separated by
  tabs; in keys and values of several on a line \\t \\n \\r \\\\ and \\xNN stand for tab, newline,
  carriage return, backslash, and a byte that is not UTF-8. Tables have borders on a terminal only;
  elsewhere, and with --output raw, their first line names the columns.
  $(distdbctl get KEY) loses newlines at the end of the value, as $(...) always does; where every
  byte counts, write to a file: distdbctl get KEY --output raw > FILE.

Sessions:
  With DISTDB_SESSION=FILE the commands put, get, delete, list, incr, add, remove, conflicts and
  batch remember in FILE what they have seen, and see no less than that, on whichever node: what a
  script has written it can read, and what it writes takes the place of what it has read. A node
  that is behind is waited for until --timeout; then the exit code is 69. FILE is a line of JSON. It
  need not exist, and commands that run side by side may share it: what each has seen is in it when
  they are done. It is replaced as a whole, so its directory must be writable: where that can't be,
  the exit code is 73, and nothing is asked; 65 if FILE is something else. With --read linearizable
  or --read stale a read goes by that alone. Broadcast mode promises nothing of the kind.

Retries:
  A node that has no leader or quorum, is not ready, too busy or about to end is asked again until
  --timeout, after the time that it names, else after 50 to 500 ms. A write or mode set whose
  answer got lost is asked again under the same tag, so that it takes effect once; not for keys in
  broadcast mode, which knows no tags. Exit code 74 means that --timeout came before it was
  known. A change of the members waits for the change before it and for a leader that has settled;
  it is never sent again once it may have been applied. call, batch and bench send a request once.
  Without a daemon at the socket nothing is tried again.

Exit codes:
  0    done
  1    the answer is no: no such key, nothing deleted
  2    usage
  3    condition false, nothing changed
  4    busy
  5    conflict
  6    lost while held
  7    a check found something: degraded, not ready, a promise broken
  10   compacted: that history is not kept
  65   bad data, or too large
  66   input missing or unreadable
  68   no daemon, surely not applied
  69   unavailable, surely not applied
  70   a bug, or corruption
  73   output can't be written
  74   outcome unknown: it may have been applied, or may yet be
  75   try later, surely not applied
  76   protocol: the node doesn't know that, or answers what this client can't read
  77   not permitted
  78   configuration
  124  timed out
  126  the command can't be run
  127  the command is not found
  130  interrupted
  Other codes are those of the command of watch, lock or elect: its own, or 128 and the
  signal that killed it.

Examples:
  distdbctl put name alice                      store a value
  distdbctl put name -- \"$value\"                whatever the value is, even '-' or '--help'
  distdbctl put photo < photo.jpg               from stdin, byte by byte
  distdbctl get photo --output raw > copy.jpg
  distdbctl list user/ --keys
  distdbctl watch user/ --prefix -- sh -c 'echo \"$DISTDB_EVENT $DISTDB_KEY: $(cat)\"'
  distdbctl watch user/ --prefix --initial --cursor users.cursor -- ./sync-user
  distdbctl lock backup -n -- sh -c 'pg_dump db > dump'      on one machine at a time
  distdbctl elect primary \"$(hostname)\" -- ./serve         others: distdbctl leader primary
  distdbctl wait members=3 --timeout 30s && distdbctl status --all
  distdbctl get name --read stale               from a node that is cut off
  DISTDB_SESSION=s distdbctl --node node2 get name    no older than what s has seen
  distdbctl put presence/bob here --acks all    in causal mode: answered when every node has it
  distdbctl conflicts list || distdbctl conflicts show KEY
  distdbctl put job/7 mine --if-absent || echo taken    exit 3: somebody has it
  distdbctl put presence/$HOSTNAME up --ttl 30s
  until distdbctl incr builds --once \"$JOB\"; do :; done  adds one, however often it is tried
  distdbctl txn 'if absent lock then put lock me; incr locks end'
  distdbctl get config --at '10 min ago'; distdbctl history config
  distdbctl export > backup.ndjson && distdbctl import backup.ndjson --on-conflict skip
  distdbctl member remove node3 --dry-run       what would become of the quorum
  distdbctl explain --for write                 why writes don't work, and what to do
  distdbctl call get '{\"key\":\"name\"}'           the protocol itself
  distdbctl bench --op put --clients 64 --duration 5s
  distdbctl check linearizable --faults         on a cluster to play with: make cluster
";

/// Below the short help.
pub(crate) const AFTER_HELP: &str = "--help tells more: environment, output, exit codes, examples. \
     'distdbctl COMMAND --help' tells of one command.";

/// Below the help of `trace`.
pub(crate) const AFTER_TRACE: &str = "\
Each node keeps the last 4,096 events in memory, and as many that tell of links, offices and members.
All nodes in the runtime directory are asked, or those that --node names. A line is: Lamport clock, node,
how long ago, event, what belongs to it; an entry of the log is called TERM/INDEX. Heartbeats are left
out but with -v. In the order of the clock nothing comes before what caused it.
";

/// Below the help of `put`.
pub(crate) const AFTER_PUT: &str = "\
Without VALUE, or with '-', the value is read from stdin, byte by byte, to its end. Behind '--'
everything is taken as it is, so distdbctl put KEY -- \"$value\" stores whatever is in it: '-' there is
a value of one byte. A number may be negative without '--'.

In causal mode a put is answered once this node has it on its disk; with --acks 2, majority or all
once so many have. Where they don't in time the exit code is 74, stderr says who does, and the write
goes on its way all the same. A put takes the place of all values that this node has; with --context
or --session of those that were seen before, and what was written meanwhile stands beside it.
";

/// Below the help of `get` and `list`.
pub(crate) const AFTER_READ: &str = "\
In raft mode a read is linearizable, from any node, and needs a majority; with --read stale it is
this node's own copy, which may be old. In broadcast mode every read is this node's own copy.
In causal mode it is, too, but one that never shows a write without those that it depends on. Where
concurrent writes stand side by side get prints the latest, the same on every node, and exits with
5; --siblings prints all of them. Of a set the elements are printed, a line each.
";

/// Below the help of `incr`.
pub(crate) const AFTER_INCR: &str = "\
In raft mode the key holds a decimal number of 64 bits; one that does not exist is at 0. In causal mode
it needs the resolver counter (distdbctl mode set PREFIX causal --resolver counter); what nodes count
at the same time adds up. An incr that ends with 74 may have been counted: with --once it can be tried
again until it succeeds, and counts once (raft mode).
";

/// Below the help of `add` and `remove`.
pub(crate) const AFTER_SET: &str = "\
The key is in causal mode with the resolver set (distdbctl mode set PREFIX causal --resolver set).
Get prints the elements, a line each. An element that is added on one node while another removes it
stays. Each element is a request of its own; behind '--' an element may begin with a dash.
";

/// Below the help of `conflicts resolve`.
pub(crate) const AFTER_RESOLVE: &str = "\
The value comes from VALUE or stdin as that of put does, or is that of the sibling that --take
names. It takes the place of all siblings that the node has, or with --context, --session or --take
of those that were seen before; one that came later stays beside it.
";

/// Below the help of `member remove`.
pub(crate) const AFTER_MEMBER_REMOVE: &str = "\
A leader that is removed hands over first. The daemon that was removed ends; its data directory is
of no use any more. It comes back as a new member: with an empty directory and --join.
";

/// Below the help of `watch`.
pub(crate) const AFTER_WATCH: &str = "\
Each change is a line: put<TAB>KEY<TAB>VALUE, delete<TAB>KEY, or expire<TAB>KEY for a key whose lease
has ended. With --previous the fourth cell is the value before.

With CMD, it is run once for each change instead, one run after the other, the value on its stdin,
and DISTDB_EVENT (put, delete, expire), DISTDB_KEY and DISTDB_REVISION in its environment. It has no
descriptors but 0, 1 and 2, and a process group of its own; it gets the signals that distdbctl gets.
--deliver latest runs it for the newest change of each key where several wait; --deliver batch once
for all that wait, a line of JSON for each on stdin, with DISTDB_COUNT and DISTDB_REVISION (the last).
When it fails, the watch ends with its exit code; --on-error skip goes on, --on-error retry runs it
again for the same change, after 100 ms, and twice as long each time, up to 30 s.

A watch goes on when its node is gone or restarts: with the same one, or the next of several --node.
In raft mode it misses nothing, and tells nothing twice. If it takes so long that the changes are not
kept any more, the exit code is 10. --timeout is for the beginning. A node that is cut off from the
majority says so by its silence: after 3 s there is a warning, or with --require-quorum the end.

--initial begins with what is there, as puts, all as of one revision, and goes on from the next one:
no change is missed between the two. --cursor FILE notes in FILE, on the disk, up to which revision
all is handled; with the same FILE the next watch begins there, and --from and --initial count only
if FILE is not there yet. Each change is handled at least once: after a crash, perhaps again.
";

/// Below the help of `lock`.
pub(crate) const AFTER_LOCK: &str = "\
Flags are those of flock(1). Who asks first has it first. CMD runs in a process group of its own,
with DISTDB_TOKEN and DISTDB_LEASE in its environment, no descriptors but 0, 1 and 2, and the signals
TERM, INT, HUP, QUIT, USR1 and USR2 that distdbctl gets. When it ends, so do the processes it has
left behind. Without CMD the token is printed once the lock is held, and that is so until stdin ends.

The lock is held by a lease, which is kept alive while distdbctl runs. Where that fails, because the
node is gone or cut off, CMD gets TERM after three quarters of --ttl, and is killed at nine tenths.
Another process, the guard, sees to it even if distdbctl is stopped; if distdbctl is killed, CMD is
killed at once, and the lock is free after --ttl. Give the time that a failover takes, and more. Who
runs as another user, as under sudo, can't be killed.

What that is worth: the machine may sleep at any moment, and CMD with it; what CMD has sent before may
arrive late. No lock can help that. Where two writers must never meet, let the place that is written
to compare tokens: DISTDB_TOKEN grows from holder to holder, and distdbctl put KEY VALUE --fence
\"$DISTDB_TOKEN\" is refused once a later holder is known. Without that, a lock saves work; it does
not protect data.

Exit codes: CMD's own, 128 and the signal that killed it, 126 and 127 as env(1); 4 if it is not had
with -n or in the time of -w (-E names another); 6 if it was lost while held.
";

/// Below the help of `elect`.
pub(crate) const AFTER_ELECT: &str = "\
An election is a lock whose holder has a value that others see: distdbctl leader NAME prints it, and
distdbctl elect NAME --observe each one from here on. All that lock --help says of --ttl, tokens,
signals and exit codes holds here, too.
";

/// Below the help of `wait`.
pub(crate) const AFTER_WAIT: &str = "\
Conditions:
  synced         this node serves
  members=N      at least N members are up and serve, this node among them
  key KEY        the key exists
  revision>=N    this node has applied revision N
  leader         a leader is known; a cluster founded in broadcast mode has none
Exits with 124 if it is not so within --timeout.
";

/// Below the help of `batch`.
pub(crate) const AFTER_BATCH: &str = "\
A line of input is a command, quoted as in a shell:
  put KEY VALUE   get KEY [--read HOW]   delete KEY   delete --prefix PREFIX   wait CONDITION
  list [PREFIX] [--keys] [--count] [--limit N] [--read HOW]      the first page of it
  incr KEY [DELTA]   add KEY ELEMENT   remove KEY ELEMENT        each write with --acks as well
  conflicts list [PREFIX]   conflicts resolve KEY VALUE          of the list the first page
or a request of the protocol, if it begins with '{'. Blank lines and those that begin with '#' are
skipped. Each line sees what the lines before it did. A run of lines that write, or of lines that
don't, is sent without waiting for answers; where one follows the other, all answers are awaited.
In a session a key that is written again waits for the first write, too.

Each line has one line of result, in the order of the input: ok, no (no such key, nothing deleted),
conflict (siblings) or error, and behind it, separated by tabs: put, add, remove, resolve: the
revision; get: the value, or a set's elements; delete: how many; incr: what the counter is at; list:
keys and values in turn; conflicts: keys and numbers of siblings in turn; an error: its code and
message. Requests in JSON, and with --output json
commands as well, are answered in JSON. The exit code is that of the first line that is not ok.
";

/// Below the help of `call`.
pub(crate) const AFTER_CALL: &str = "\
OP and the members of JSON are sent as they are, known to this client or not; the answer is printed
as it came, an error too, and the exit code is the error's. A watch is printed until it ends.
";

/// Below the help of `bench`.
pub(crate) const AFTER_BENCH: &str = "\
Each client has one request outstanding at any time. The clients are spread over the nodes named:
--node node1,node2 or --socket PATH --socket PATH. Keys are bench/000001 and so on, chosen at
random; --key-prefix puts them where another mode is. For get, list, range and cas they are written
first. cas puts what is there under the condition that it is there (raft mode).
List reads up to 100 keys at a time. With --op watch one connection keeps --clients puts of one key
outstanding, and --watchers follow it over --connections; what counts is the changes that reach them.

A request that fails is counted by its code, and the run goes on; so does a client whose node is
gone or silent for --timeout, on the next of the nodes. The longest gap is the longest time without
a success: kill the leader during the run, and it tells how long the failover took. The exit code
is that of the first failure only if nothing succeeded.
";

/// Below the help of `check`.
pub(crate) const AFTER_CHECK: &str = "\
The clients put, get, delete, and in raft mode compare and swap; each value is stored once, so that
it tells its write. They ask all nodes whose sockets are in the runtime directory, or those of
--node node1,node2. Their keys are PREFIX, 8 random digits and what follows; these alone are
written, and removed in the end. What they were answered, and when, is judged afterwards. An
operation whose outcome nobody learnt may have taken effect at any time, or never.

--faults lets one kind after the other happen for about a second, heals it, and goes on; the
operations are spread over 15 s then, unless --duration says otherwise. All is healed in the end,
after Ctrl-C as well, and the nodes are waited for, six times --timeout at most. If distdbctl itself is killed, heal by hand:
distdbctl fault heal at each node, and kill -CONT. A daemon is killed only with --faults kill,
and something, such as systemd, should start it again. Nodes without --enable-faults refuse (77)
before anything is written.

linearizable --read stale shows what a violation looks like: stale reads are not linearizable.
Keys in broadcast mode converge after a fault only once distdbctl sync has run.

Exit codes: 0 all is well, 7 a violation: stdout has the answers that contradict each other;
69 nobody can say: too little was answered, or it takes too long to judge.
";

/// Below the help of `history` and `diff`.
pub(crate) const AFTER_HISTORY: &str = "\
history prints a line for each change: revision, put, delete or expire, the time by the leader's
clock, the user id of who asked for it (- where nobody did), and the value. diff prints + KEY AFTER,
- KEY BEFORE, or ~ KEY BEFORE AFTER, separated by tabs. As much history is kept as the daemons'
--history-age, --history-events and --history-size say; what was before gets exit code 10, and stderr
says where history begins. get --rev, get --at and list --rev read it, too.
";

/// Below the help of `txn`.
pub(crate) const AFTER_TXN: &str = "\
  if name = alice && rev(cfg) < 10 then put name bob; delete tmp else get name end
Conditions: KEY, rev(KEY), version(KEY), create(KEY) or lease(KEY), then =, !=, < or >, then a word;
exists KEY; absent KEY. Of a key that does not exist the numbers are 0, and no comparison of its
value holds. Operations: put KEY VALUE [--lease ID] [--previous], delete KEY [--previous], delete
--prefix PREFIX, get KEY, list [PREFIX], incr KEY [DELTA]; at most 256, no key stored twice. Words with
spaces or signs go into quotes; a quoted word is no keyword. Without if, all is done. A text that
begins with '{' is the JSON object of the protocol: {\"if\":[...],\"then\":[...],\"else\":[...]}.

All operations take effect at one revision, each sees what those before it did, and no other client
sees a part of it. Each prints a line: its name, and behind it, separated by tabs, what the command of
that name prints. The exit code is 3 if the condition was false, whatever was done else.
";

/// Below the help of `lease keep`.
pub(crate) const AFTER_LEASE_KEEP: &str = "\
A lease goes by the clock of the cluster's log: leaders tell it, and while there is none it stands
still. So a lease may last longer by an election, and never ends too early. Ctrl-C stops keeping it
alive; it ends when its time is over.
";

/// Below the help of `export` and `import`.
pub(crate) const AFTER_EXPORT: &str = "\
A line is {\"key\":...,\"value\":...}, with value_b64 (base64) in place of value where that is no UTF-8.
Keys in raft mode are all as of one revision. Leases and history are not exported. import stores many
lines at a time; with --on-conflict skip a second import changes nothing. If it fails, what came
before is stored, and stderr names the line.
";
