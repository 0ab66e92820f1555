------------------------------- MODULE Watch -------------------------------
(***************************************************************************)
(* Watches of distdb: to follow the changes of keys, in order, without a   *)
(* gap, from node to node.                                                 *)
(*                                                                         *)
(* The nodes apply one log, each at its own speed.  An entry changes some  *)
(* keys, all at one revision, or moves the floor, below which history is   *)
(* forgotten.  A client watches at a node from a revision on.  What is     *)
(* behind comes from history, revision by revision, and then each change   *)
(* as the node applies it.  Who was cut off goes on at any node, behind    *)
(* the last revision that it has handled.                                  *)
(*                                                                         *)
(*    client               node                 another node               *)
(*      | --- Begin, from --> | (behind: catches up) |                     *)
(*      | <----- events ----- | Pump, from history   |                     *)
(*      | <----- events ----- | Apply (synced)       |                     *)
(*      | <---- progress ---- | TellProgress         |                     *)
(*      | <------ end ------- | Apply (slow)         |                     *)
(*      | ------------- Resume, cursor + 1 --------> | (its applied: less) *)
(*                                                                         *)
(* Of a watch, nothing outlives its connection but what the client knows:  *)
(* its cursor, the revision up to which it has handled everything.         *)
(*                                                                         *)
(* One action is one event of the program.  Decide and Compact are of Raft *)
(* (see Raft.tla), Receive, Lose, Resume, GiveUp and ReadAnew of the       *)
(* client, and CutOff, Rejoin, Restart and Idle of the environment.        *)
(*                                                                         *)
(* Invariants and liveness stand at the end; TLA_README.md says which      *)
(* configuration checks what, and which failures are expected.             *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Node,            \* The nodes.
    Key,             \* The keys.
    Kinds,           \* What happens to keys: "put" and "delete", or only "put".
    MaxWrites,       \* Entries that change keys.
    MaxCompactions,  \* Entries that move the floor.
    Buffer,          \* Lines on their way from a node to the client.
    Marks,           \* TRUE: nodes tell progress.
    MaxInstalls,     \* Snapshots installed, all nodes together.
    MaxRestarts,     \* Restarts, all nodes together.
    MaxCuts,         \* Times that a node is cut off from the others.
    MaxLosses,       \* Connections lost.
    Trail,           \* TRUE: note what the client has been through.
    Bug              \* "none", or the name of a mutant.

ASSUME Node # {} /\ Key # {} /\ Kinds \subseteq {"put", "delete"}
ASSUME Buffer > 0 /\ "nobody" \notin Node

VARIABLES
    log,        \* What the nodes apply: what an entry changes; state after it.
    applied,    \* Node -> how many entries it has applied.
    cut,        \* The nodes that are cut off.
    watch,      \* The watch, as its node knows it; see NoWatch.
    channel,    \* Lines on their way to the client, in order.
    client,     \* Who watches; see Init.
    spent,      \* Installs, restarts, cuts and losses so far.
    trail       \* Ghost: what the client has been through; only with Trail.

nodes == <<applied, cut>>
watching == <<watch, channel, client>>
vars == <<log, nodes, watching, spent, trail>>

Max(a, b) == IF a < b THEN b ELSE a
Min(a, b) == IF a < b THEN a ELSE b

(***************************************************************************)
(* The log.                                                                *)
(***************************************************************************)

\* The state after i entries, as far as it matters here.
After(i) == IF i = 0 THEN [events |-> {}, revision |-> 0, floor |-> 1] ELSE log[i]

Latest == After(Len(log)).revision
Revision(n) == After(applied[n]).revision
Floor(n) == After(applied[n]).floor

\* What revision r changed: <<key, kind>> each.
EventsOf(r) ==
    LET i == CHOOSE i \in 1..Len(log) : log[i].revision = r /\ log[i].events # {}
    IN log[i].events

\* Does a key exist after all that was decided?
Exists(k) ==
    LET of == {i \in 1..Len(log) : \E e \in log[i].events : e[1] = k}
    IN of # {} /\ \E i \in of : (\A j \in of : j <= i) /\ <<k, "put">> \in log[i].events

\* What an entry may change: some keys, of which those that do not exist cannot
\* be deleted.  An expiry is a delete that nobody asked for.
Changes ==
    {events \in SUBSET (Key \X Kinds) :
        /\ events # {}
        /\ \A e, f \in events : e[1] = f[1] => e = f
        /\ \A e \in events : e[2] = "delete" => Exists(e[1])}

\* The cluster decides to change keys.
Decide(events) ==
    /\ Latest < MaxWrites
    /\ log' = Append(log, [events |-> events, revision |-> Latest + 1,
                           floor |-> After(Len(log)).floor])
    /\ UNCHANGED <<nodes, watching, spent, trail>>

\* The cluster decides to forget what was before a revision that there is.
Compact(floor) ==
    /\ Cardinality({i \in 1..Len(log) : log[i].events = {}}) < MaxCompactions
    /\ After(Len(log)).floor < floor /\ floor <= Latest
    /\ log' = Append(log, [events |-> {}, revision |-> Latest, floor |-> floor])
    /\ UNCHANGED <<nodes, watching, spent, trail>>

(***************************************************************************)
(* Lines.  All changes of a revision that a watch follows are one line.    *)
(***************************************************************************)
Events(r, events) == [kind |-> "events", revision |-> r, events |-> events, floor |-> 0]
Progress(r) == [kind |-> "progress", revision |-> r, events |-> {}, floor |-> 0]

\* The last line: where to resume, and the floor if that is what ended it.
Slow(resume) == [kind |-> "slow", revision |-> resume, events |-> {}, floor |-> 0]
Compacted(resume, floor) ==
    [kind |-> "compacted", revision |-> resume, events |-> {}, floor |-> floor]

Selected(events) == {e \in events : e[1] \in client.keys}
Wanted(r) == Selected(EventsOf(r))

\* What node n has in its history of a revision that is not below its floor.
History(n, r) ==
    IF Bug = "DeleteAtFloorLost" /\ r = Floor(n)
    THEN {e \in Wanted(r) : e[2] # "delete"} ELSE Wanted(r)

HasRoom == Len(channel) < Buffer

(***************************************************************************)
(* The watch at its node.                                                  *)
(***************************************************************************)
NoWatch ==
    [node |-> "nobody",
     from |-> 0,         \* Where it began.
     next |-> 0,         \* The next revision to deliver.
     synced |-> FALSE,   \* Does it get what is applied, or from history?
     marked |-> 0]       \* The last progress told.

Note(what) == trail' = IF Trail THEN trail \cup {what} ELSE trail

\* Node n answers who wants to watch from a revision on: c is the client.
Answer(n, from, c) ==
    IF \/ from < Floor(n) /\ Bug # "SilentStart"
       \/ from = Floor(n) /\ from > 1 /\ Bug = "CompactedAtFloor"
    THEN /\ client' = [c EXCEPT !.status = "compacted", !.floor = Floor(n), !.last = n]
         /\ UNCHANGED <<watch, channel>>
    ELSE LET next == IF from < Floor(n) THEN Revision(n) + 1 ELSE from IN
         /\ client' = [c EXCEPT !.status = "watching", !.last = n, !.avoids = "nobody"]
         /\ watch' = [NoWatch EXCEPT !.node = n, !.from = from, !.next = next,
                                     !.synced = next > Revision(n)]
         /\ UNCHANGED channel

Begin(n, from, keys) ==
    /\ client.status = "idle"
    /\ Answer(n, from, [client EXCEPT !.keys = keys, !.start = from - 1, !.cursor = from - 1])
    /\ UNCHANGED <<log, nodes, spent, trail>>

\* A synced watch gets revision r, with what it follows of it, as n applies it.
\* If the client has not read what came before, the watch ends.
Live(r, events) ==
    LET below == r < watch.next /\ Bug # "LiveIgnoresFrom"
        early == ~watch.synced /\ Bug # "LiveOvertakes"
        moved == [watch EXCEPT !.next = IF watch.synced THEN Max(@, r + 1) ELSE @]
    IN
    IF below \/ early \/ events = {}
    THEN /\ watch' = moved
         /\ UNCHANGED <<channel, trail>>
    ELSE IF HasRoom
    THEN /\ watch' = moved
         /\ channel' = Append(channel, Events(r, events))
         /\ UNCHANGED trail
    ELSE CASE Bug = "SlowLosesLine" -> watch' = moved /\ UNCHANGED <<channel, trail>>
           [] Bug = "SlowDropped" -> watch' = NoWatch /\ UNCHANGED <<channel, trail>>
           [] OTHER ->
               /\ watch' = NoWatch
               /\ channel' = Append(channel,
                      Slow(IF Bug = "SlowResumesAhead" THEN r + 1 ELSE watch.next))
               /\ Note("slow")

\* n applies the next entry.
Apply(n) ==
    LET entry == log[applied[n] + 1] IN
    /\ n \notin cut /\ applied[n] < Len(log)
    /\ applied' = [applied EXCEPT ![n] = @ + 1]
    /\ IF watch.node = n /\ entry.events # {}
       THEN Live(entry.revision, Selected(entry.events))
       ELSE UNCHANGED <<watch, channel, trail>>
    /\ UNCHANGED <<log, cut, client, spent>>

\* The next revision of a watch that catches up, as there is room.  A chunk of
\* several is several such steps, with nothing between them.  Where the floor
\* has passed it, the watch ends.
Pump(n) ==
    LET next == IF Bug = "SkipsToFloor" THEN Max(watch.next, Floor(n)) ELSE watch.next
        events == History(n, next)
        first == CHOOSE e \in events : TRUE
        splits == Bug = "SplitRevision" /\ Cardinality(events) > 1
    IN
    /\ watch.node = n /\ ~watch.synced
    /\ IF next < Floor(n)
       THEN /\ watch' = NoWatch
            /\ channel' = Append(channel, Compacted(next, Floor(n)))
            /\ Note("passed")
       ELSE /\ HasRoom \/ events = {}
            /\ watch' = [watch EXCEPT !.next = next + 1,
                             !.synced = next + 1 > Revision(n) \/ Bug = "SyncedEarly"]
            /\ channel' =
                   IF events = {} THEN channel
                   ELSE IF splits
                   THEN channel \o <<Events(next, {first}), Events(next, events \ {first})>>
                   ELSE Append(channel, Events(next, events))
            /\ UNCHANGED trail
    /\ UNCHANGED <<log, nodes, client, spent>>

\* What is told stands behind the events, and is no more than they say.  A node
\* that is cut off tells nothing.  What was told is not told again here; in the
\* program it is, so that silence means something (see GiveUp).
TellProgress(n) ==
    LET mark == IF watch.synced \/ Bug = "ProgressAhead" THEN Revision(n) ELSE watch.next - 1 IN
    /\ Marks /\ watch.node = n /\ HasRoom
    /\ n \notin cut \/ Bug = "MarksWhenCutOff"
    /\ mark > watch.marked
    /\ watch' = [watch EXCEPT !.marked = mark]
    /\ channel' = IF Bug = "ProgressOvertakes" THEN <<Progress(mark)>> \o channel
                  ELSE Append(channel, Progress(mark))
    /\ UNCHANGED <<log, nodes, client, spent, trail>>

(***************************************************************************)
(* Snapshots and restarts.                                                 *)
(***************************************************************************)

\* n takes over the state of another node: what is between was not applied
\* here, but is in the history of the snapshot, down to its floor.  A watch goes
\* on where it was.
InstallSnapshot(n, from) ==
    LET state == After(applied[from])
        synced == Bug = "InstallStaysSynced" /\ watch.synced
        next == CASE Bug = "InstallSkips" -> Max(watch.next, state.revision + 1)
                  [] Bug = "InstallForgetsFuture" -> Min(watch.next, Revision(n) + 1)
                  [] Bug = "InstallBeginsAnew" -> watch.from
                  [] OTHER -> watch.next
    IN
    /\ {n, from} \cap cut = {} /\ applied[n] < applied[from]
    /\ spent.installs < MaxInstalls
    /\ spent' = [spent EXCEPT !.installs = @ + 1]
    /\ applied' = [applied EXCEPT ![n] = applied[from]]
    /\ IF watch.node # n THEN UNCHANGED <<watch, channel, trail>>
       ELSE IF Bug = "InstallSaysCompacted" /\ watch.synced
       THEN /\ watch' = NoWatch
            /\ channel' = Append(channel, Compacted(watch.next, state.floor))
            /\ UNCHANGED trail
       ELSE /\ watch' = [watch EXCEPT !.next = next,
                             !.synced = synced \/ next > state.revision]
            /\ Note(IF watch.synced THEN "installed" ELSE "installed behind")
            /\ UNCHANGED channel
    /\ UNCHANGED <<log, cut, client>>

\* The connection is gone, and all lines on it.
Disconnected(avoids) ==
    /\ watch' = NoWatch
    /\ channel' = <<>>
    /\ client' = [client EXCEPT !.status = "lost", !.avoids = avoids]

\* n begins again from what it has on disk, and knows of fewer entries that they
\* are decided than before (see Raft.tla).  Its watches are gone.
Restart(n, i) ==
    /\ spent.restarts < MaxRestarts
    /\ spent' = [spent EXCEPT !.restarts = @ + 1]
    /\ applied' = [applied EXCEPT ![n] = i]
    /\ IF watch.node = n THEN Disconnected("nobody") ELSE UNCHANGED watching
    /\ UNCHANGED <<log, cut, trail>>

\* n no longer hears of what is decided.  It goes on serving what it has.
CutOff(n) ==
    /\ cut = {} /\ Cardinality(Node) > 1 /\ spent.cuts < MaxCuts
    /\ spent' = [spent EXCEPT !.cuts = @ + 1]
    /\ cut' = {n}
    /\ UNCHANGED <<log, applied, watching, trail>>

Rejoin(n) ==
    /\ n \in cut
    /\ cut' = {}
    /\ UNCHANGED <<log, applied, watching, spent, trail>>

(***************************************************************************)
(* The client.                                                             *)
(***************************************************************************)

\* The cursor never goes back: a node that is behind tells older progress.
Moved(to) == IF Bug = "ProgressTakesBack" THEN to ELSE Max(client.cursor, to)

Receive ==
    LET line == Head(channel)
        got == Append(client.got, [revision |-> line.revision, events |-> line.events])
    IN
    /\ channel # <<>>
    /\ channel' = Tail(channel)
    /\ client' = CASE line.kind = "events" ->
                        [client EXCEPT !.cursor = Max(@, line.revision), !.got = got]
                   [] line.kind = "progress" ->
                        [client EXCEPT !.cursor = Moved(line.revision)]
                   [] line.kind = "slow" ->
                        [client EXCEPT !.cursor = Max(@, line.revision - 1), !.status = "lost"]
                   [] line.kind = "compacted" ->
                        [client EXCEPT !.cursor = Max(@, line.revision - 1),
                                       !.status = "compacted", !.floor = line.floor]
    /\ UNCHANGED <<log, nodes, watch, spent, trail>>

Lose ==
    /\ client.status = "watching" /\ spent.losses < MaxLosses
    /\ spent' = [spent EXCEPT !.losses = @ + 1]
    /\ Disconnected("nobody")
    /\ UNCHANGED <<log, nodes, trail>>

\* No progress comes: the node is cut off, and the client tries another.
GiveUp(n) ==
    /\ Marks /\ Bug # "MarksWhenCutOff"
    /\ watch.node = n /\ n \in cut /\ channel = <<>>
    /\ Disconnected(n)
    /\ Note("gave up")
    /\ UNCHANGED <<log, nodes, spent>>

\* The client goes on, at whatever node.
Resume(n) ==
    LET from == CASE Bug = "ResumeRepeats" -> Max(client.cursor, 1)
                  [] Bug = "ResumesAtNow" /\ client.got = <<>> -> Revision(n) + 1
                  [] OTHER -> client.cursor + 1
    IN
    /\ client.status = "lost" /\ n # client.avoids
    /\ Answer(n, from, client)
    /\ Note(IF from < Floor(n) THEN "resumed too late"
            ELSE IF n # client.last THEN "resumed elsewhere" ELSE "resumed there")
    /\ UNCHANGED <<log, nodes, spent>>

\* The client was told that what it has not seen is forgotten.  It reads the
\* keys, in a state that is not older than what it was told, and goes on from there.
ReadAnew(n) ==
    /\ client.status = "compacted"
    /\ Revision(n) >= client.floor \/ Bug = "ReadsOlder"
    /\ client' = [client EXCEPT !.status = "lost", !.floor = 0, !.got = <<>>,
                                !.start = Revision(n), !.cursor = Revision(n)]
    /\ Note("read anew")
    /\ UNCHANGED <<log, nodes, watch, channel, spent>>

(***************************************************************************)
(* Behaviours.                                                             *)
(***************************************************************************)
Init ==
    /\ log = <<>>
    /\ applied = [n \in Node |-> 0]
    /\ cut = {}
    /\ watch = NoWatch /\ channel = <<>>
    /\ client =
        [status |-> "idle",   \* Or "watching", "lost", "compacted".
         keys |-> {},         \* What it follows.
         start |-> 0,         \* It wants all that comes after this revision.
         cursor |-> 0,        \* It has handled all up to this revision.
         floor |-> 0,         \* What it was told with "compacted".
         last |-> "nobody",   \* Where it was answered last.
         avoids |-> "nobody", \* The node that it has given up.
         got |-> <<>>]        \* Ghost: the lines with events since `start`.
    /\ spent = [installs |-> 0, restarts |-> 0, cuts |-> 0, losses |-> 0]
    /\ trail = {}

\* The bounds of a model end every behaviour, so a deadlock says nothing here;
\* that progress is made until then is what liveness is for.
Idle == UNCHANGED vars

Work ==
    \/ \E n \in Node : Apply(n) \/ Pump(n) \/ TellProgress(n)
    \/ \E n \in Node, r \in 1..MaxWrites, keys \in SUBSET Key \ {{}} : Begin(n, r, keys)
    \/ Receive
    \/ \E n \in Node : GiveUp(n) \/ Resume(n) \/ ReadAnew(n)

Cluster ==
    \/ \E events \in Changes : Decide(events)
    \/ \E floor \in 1..MaxWrites : Compact(floor)
    \/ \E n, m \in Node : InstallSnapshot(n, m)

Failures ==
    \/ \E n \in Node : CutOff(n) \/ Rejoin(n)
    \/ \E n \in Node : \E i \in 0..applied[n] : Restart(n, i)
    \/ Lose

Next == Work \/ Cluster \/ Failures \/ Idle

Spec == Init /\ [][Next]_vars

\* Nothing has to be decided and nothing has to fail; all else goes on.  Who is
\* cut off may stay so.  Every behaviour of a bounded model comes to an end, so
\* this one condition is enough.
FairSpec == Spec /\ WF_vars(Work)

\* Nodes are alike, and so are keys.
Symmetry == Permutations(Node) \cup Permutations(Key)

(***************************************************************************)
(* Safety.                                                                 *)
(***************************************************************************)
Somebody == Node \cup {"nobody"}
Revisions == 0..MaxWrites + 1
AllEvents == Key \X Kinds

TypeOK ==
    /\ \A i \in 1..Len(log) :
           /\ log[i].events \subseteq AllEvents
           /\ log[i].revision \in 1..MaxWrites /\ log[i].floor \in 1..log[i].revision
    /\ applied \in [Node -> 0..Len(log)] /\ cut \subseteq Node
    /\ watch.node \in Somebody /\ watch.synced \in BOOLEAN
    /\ watch.from \in Revisions /\ watch.next \in Revisions /\ watch.marked \in Revisions
    /\ watch.node = "nobody" => watch = NoWatch
    /\ watch.node # "nobody" => client.status = "watching"
    /\ client.status \in {"idle", "watching", "lost", "compacted"}
    /\ client.keys \subseteq Key
    /\ client.start \in Revisions /\ client.cursor \in Revisions
    /\ client.start <= client.cursor
    /\ client.floor \in Revisions
    /\ client.last \in Somebody /\ client.avoids \in Somebody
    \* Behind the last line of a watch nothing comes, and it is the one above the bound.
    /\ Len(channel) <= Buffer + 1
    /\ \A i \in 1..Len(channel) :
           channel[i].kind \in {"slow", "compacted"} <=>
               i = Len(channel) /\ watch.node = "nobody"
    /\ channel # <<>> => client.status = "watching"

\* A watch is synced as long as it has all that its node has applied.
SyncedHasAll ==
    \A n \in Node : watch.node = n => watch.synced = (watch.next > Revision(n))

Ordered ==
    \A i, j \in 1..Len(client.got) :
        i < j => client.got[i].revision <= client.got[j].revision

\* No event comes twice.
Unique ==
    \A i, j \in 1..Len(client.got) :
        i # j /\ client.got[i].revision = client.got[j].revision =>
            client.got[i].events \cap client.got[j].events = {}

\* Of a revision comes all that is followed, or nothing.
Atomic ==
    \A i \in 1..Len(client.got) : client.got[i].events = Wanted(client.got[i].revision)

\* Of revision r, is all that is followed in these lines?
IsIn(r, lines) ==
    \A e \in Wanted(r) :
        \E i \in 1..Len(lines) : lines[i].revision = r /\ e \in lines[i].events

\* What is said to be handled has come.
NoGap ==
    \A r \in client.start + 1..Min(client.cursor, Latest) : IsIn(r, client.got)

\* A line that says that all up to N was delivered stands behind all of that.
ProgressNeverAhead ==
    \A i \in 1..Len(channel) : channel[i].kind = "progress" =>
        \A r \in client.start + 1..Min(channel[i].revision, Latest) :
            IsIn(r, client.got) \/ IsIn(r, SubSeq(channel, 1, i))

\* Who is told that history is forgotten wanted what is below the floor, and the
\* floor is one that was decided.
CompactedOnlyBelowFloor ==
    /\ client.status = "compacted" =>
           /\ client.cursor + 1 < client.floor
           /\ \E i \in 1..Len(log) : log[i].floor = client.floor
    /\ \A i \in 1..Len(channel) : channel[i].kind = "compacted" =>
           channel[i].revision < channel[i].floor

\* No watch gets what is before its beginning, nor does any client.
NeverBelowFrom ==
    /\ \A i \in 1..Len(channel) :
           channel[i].kind = "events" /\ watch.node # "nobody" =>
               channel[i].revision >= watch.from
    /\ \A i \in 1..Len(client.got) : client.got[i].revision > client.start

(***************************************************************************)
(* Action properties.                                                      *)
(***************************************************************************)

\* What a client has handled it has handled.
CursorMonotone ==
    [][client.status # "idle" => client'.cursor >= client.cursor]_vars

(***************************************************************************)
(* Liveness, under FairSpec.                                               *)
(***************************************************************************)

\* Whatever happens to nodes and connections, at last all that was decided and
\* is followed has come, since the client has read the keys last.
EventuallyDelivered ==
    <>[](\A r \in client.start + 1..Latest : IsIn(r, client.got))

(***************************************************************************)
(* Witnesses: each says that something cannot happen, and TLC must find it *)
(* happening; or the properties above would hold of nothing.               *)
(***************************************************************************)
Through(what) == what \in trail

\* Did the client get something before this watch, and something by it?
GotOn ==
    \E i, j \in 1..Len(client.got) :
        client.got[i].revision < watch.from /\ watch.from <= client.got[j].revision

\* A watch went on at another node.
NeverResumedElsewhere == ~(Through("resumed elsewhere") /\ GotOn)

\* A watch ended because its client was slow, and went on.
NeverSlow == ~(Through("slow") /\ GotOn)

\* A client got something, and came back too late.
NeverTooLate == ~(Through("resumed too late") /\ client.got # <<>>)

\* The floor passed a watch that caught up.
NeverPassed == ~(Through("passed") /\ client.status = "compacted" /\ client.got # <<>>)

\* A client was told so, read the keys, and got what came then.
NeverReadAnew == ~(Through("read anew") /\ client.got # <<>>)

\* A synced watch outlived a snapshot, and got what it had missed, and more.
NeverInstalled ==
    ~(Through("installed") /\ watch.node # "nobody" /\ watch.synced
      /\ Len(client.got) > 2 /\ spent.losses = 0)

\* A client left a node that was cut off, and got on.
NeverGaveUp == ~(Through("gave up") /\ GotOn)

\* A client that got something goes on at a node that knows less.
NeverAhead ==
    ~(\E n \in Node : watch.node = n /\ watch.synced /\ watch.from > Revision(n) + 1
                      /\ client.got # <<>>)
=============================================================================
