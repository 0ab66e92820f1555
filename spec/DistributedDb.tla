--------------------------- MODULE DistributedDb ---------------------------
(***************************************************************************)
(* Lab 1 of distdb: broadcast replication of a key-value store.            *)
(*                                                                         *)
(* Every node accepts writes, applies them to its own store in memory and  *)
(* sends them once to every linked peer.  Nobody acknowledges, nobody      *)
(* sends again, receivers do not pass a write on.  The larger version wins *)
(* everywhere (last writer wins), so equal sets of writes give equal       *)
(* stores.  A node that starts copies the store of a ready node (sync)     *)
(* before it serves anything.                                              *)
(*                                                                         *)
(*    joiner               donor               every other member          *)
(*      | <----- Link ----> | <----- Link ----->  |   subscribe first ...  *)
(*      | <----------------- Link ------------->  |                        *)
(*      | -- RequestSync -> |                     |   ... and copy second  *)
(*      | <-- ServeSync --- | (seen, links)       |                        *)
(*      | MergeChunk ...    |                     |                        *)
(*      | BecomeReady       |                     |                        *)
(*                                                                         *)
(* One action is one event of the program and has its name.  Crash, Lose   *)
(* and Idle belong to the environment: no program can observe them.        *)
(*                                                                         *)
(* Invariants and liveness stand at the end; TLA_README.md says which      *)
(* configuration checks what, and which failures are expected.             *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Node,         \* A set of naturals: versions compare node ids.
    Bootstrap,    \* The nodes that are ready, with empty stores, at first.
    LastKey,      \* Keys are 1..LastKey; sync walks them in this order.
    Value,        \* What may be put.
    MaxWrites,    \* Puts and deletes in a behaviour.
    MaxStarts,    \* Nobody crashes after this many starts, all nodes together.
    MaxLosses,    \* Writes that links lose.
    MaxBreaks,    \* Links that break between two running nodes.
    CrashLoses,   \* TRUE: what a node sent just before it crashed may vanish.
    Bug           \* "none", or the name of a mutant.

Nobody == 0             \* The donor of no session.  No node has this id.
Absent == "absent"      \* The key was never written, as far as the node knows.
Tombstone == "deleted"  \* The key was deleted; the version says when.

ASSUME Node \subseteq Nat /\ Nobody \notin Node
ASSUME Bootstrap \subseteq Node
ASSUME {Absent, Tombstone} \cap Value = {}

VARIABLES
    up,           \* Is the process running?
    incarnation,  \* Starts so far.  The only variable that survives a crash.
    ready,        \* Has the node a whole store, so that it may serve?
    clock,        \* The Lamport clock.
    number,       \* The node's own writes in this incarnation.
    store,        \* Key -> [version, value].
    seen,         \* Node -> <<incarnation, number>> last applied of its writes.
    linked,       \* The peers this node believes it is connected to.
    required,     \* Node -> what a donor must have seen of it; Zero when ready.
    session,      \* The joiner's sync: donor, next cursor, subscriptions.
    channel,      \* channel[a][b]: what is in flight from a to b, in order.
    faults,       \* Losses and breaks so far.
    history,      \* Ghost: every write ever made.
    best,         \* Ghost: the largest entry the node has applied of a key.
    baseline,     \* Ghost: the donor's store when the session began.
    short         \* Ghost: nodes that became ready with less than `baseline`.

\* What a crash takes away, and what belongs to all.
memory == <<ready, clock, number, store, seen, linked, required, session>>
ghosts == <<history, best, baseline, short>>
vars == <<up, incarnation, memory, channel, faults, ghosts>>

Key == 1..LastKey

(***************************************************************************)
(* Order.  Pairs <<incarnation, number>> and versions <<clock, node,       *)
(* incarnation>> compare lexicographically.                                *)
(***************************************************************************)
PairLess(p, q) == p[1] < q[1] \/ (p[1] = q[1] /\ p[2] < q[2])
PairMax(p, q) == IF PairLess(p, q) THEN q ELSE p

VersionLess(v, w) ==
    \/ v[1] < w[1]
    \/ v[1] = w[1] /\ PairLess(<<v[2], v[3]>>, <<w[2], w[3]>>)

Max(a, b) == IF a < b THEN b ELSE a
Min(S) == CHOOSE x \in S : \A y \in S : x <= y
RECURSIVE Sum(_, _)
Sum(f, S) == IF S = {} THEN 0 ELSE LET x == Min(S) IN f[x] + Sum(f, S \ {x})
Range(s) == {s[i] : i \in 1..Len(s)}

Zero == <<0, 0>>
NoSession == [donor |-> Nobody, cursor |-> 0, subscribed |-> {}]
Missing == [version |-> <<0, 0, 0>>, value |-> Absent]
EmptyStore == [k \in Key |-> Missing]
NothingSeen == [x \in Node |-> Zero]
Silence == [x \in Node |-> <<>>]

Larger(old, new) == IF VersionLess(old.version, new.version) THEN new ELSE old

\* The merge rule of a store: the larger version wins.  A delete is an entry
\* like any other, or an older put that arrives later would bring the key back.
Merged(old, new, overwrite) ==
    LET winner == IF overwrite THEN new ELSE Larger(old, new) IN
    IF Bug = "DropTombstone" /\ winner.value = Tombstone THEN Missing ELSE winner

(***************************************************************************)
(* Messages.                                                               *)
(***************************************************************************)
WriteMessage(n, k, entry) ==
    [kind |-> "write", origin |-> n, number |-> <<incarnation[n], number[n] + 1>>,
     key |-> k, entry |-> entry]
Request(cursor) == [kind |-> "request", cursor |-> cursor]

Head0(a, b) == channel[a][b] # <<>>
HeadIs(a, b, kind) == Head0(a, b) /\ Head(channel[a][b]).kind = kind
InFlight(a, b, kind) == \E m \in Range(channel[a][b]) : m.kind = kind
WritesInFlight == \E a, b \in Node : InFlight(a, b, "write")

\* Both ends hold the connection.  After a crash only the survivor believes in
\* it, until it notices (Unlink); what it sends meanwhile goes nowhere.
Connected(a, b) == b \in linked[a] /\ a \in linked[b]

\* `channel` once b has taken the head from a, and b has sent `reply` to a.
Answered(a, b, reply) ==
    LET taken == [channel EXCEPT ![a][b] = Tail(@)] IN
    IF Connected(a, b) THEN [taken EXCEPT ![b][a] = @ \o reply] ELSE taken

(***************************************************************************)
(* The beginning: the bootstrap nodes are ready with empty stores, and     *)
(* linked to each other.  The rest have yet to start.                      *)
(***************************************************************************)
Init ==
    /\ up = [n \in Node |-> n \in Bootstrap]
    /\ incarnation = [n \in Node |-> IF n \in Bootstrap THEN 1 ELSE 0]
    /\ ready = [n \in Node |-> n \in Bootstrap]
    /\ clock = [n \in Node |-> 0]
    /\ number = [n \in Node |-> 0]
    /\ store = [n \in Node |-> EmptyStore]
    /\ seen = [n \in Node |-> [x \in Node |->
           IF {n, x} \subseteq Bootstrap /\ n # x THEN <<1, 0>> ELSE Zero]]
    /\ linked = [n \in Node |-> IF n \in Bootstrap THEN Bootstrap \ {n} ELSE {}]
    /\ required = [n \in Node |-> NothingSeen]
    /\ session = [n \in Node |-> NoSession]
    /\ channel = [a \in Node |-> Silence]
    /\ faults = 0
    /\ history = {}
    /\ best = [n \in Node |-> EmptyStore]
    /\ baseline = [n \in Node |-> EmptyStore]
    /\ short = {}

(***************************************************************************)
(* Membership.                                                             *)
(***************************************************************************)
Start(n) ==
    /\ ~up[n]
    /\ up' = [up EXCEPT ![n] = TRUE]
    /\ incarnation' = [incarnation EXCEPT ![n] = @ + 1]
    /\ UNCHANGED <<memory, channel, faults, ghosts>>

\* Everything in memory is gone.  What n sent is still on its way: the kernel
\* sends it although the process is dead.  The peers do not know yet.
Crash(n) ==
    /\ up[n]
    /\ Sum(incarnation, Node) < MaxStarts
    /\ up' = [up EXCEPT ![n] = FALSE]
    /\ ready' = [ready EXCEPT ![n] = FALSE]
    /\ clock' = [clock EXCEPT ![n] = 0]
    /\ number' = [number EXCEPT ![n] = 0]
    /\ store' = [store EXCEPT ![n] = EmptyStore]
    /\ seen' = [seen EXCEPT ![n] = NothingSeen]
    /\ linked' = [linked EXCEPT ![n] = {}]
    /\ required' = [required EXCEPT ![n] = NothingSeen]
    /\ session' = [session EXCEPT ![n] = NoSession]
    /\ channel' = [a \in Node |-> [channel[a] EXCEPT ![n] = <<>>]]
    /\ best' = [best EXCEPT ![n] = EmptyStore]
    /\ baseline' = [baseline EXCEPT ![n] = EmptyStore]
    /\ short' = short \ {n}
    /\ UNCHANGED <<incarnation, faults, history>>

\* A connection forms.  The first thing sent on it is an announcement of
\* incarnation and number, so an unready node knows what its donor must have:
\* everything that was sent before this link could carry it.
Link(a, b) ==
    /\ a < b
    /\ up[a] /\ up[b]
    \* A restarted peer is linked anew only after its old link was drained.
    /\ b \notin linked[a] /\ a \notin linked[b]
    /\ linked' = [linked EXCEPT ![a] = @ \cup {b}, ![b] = @ \cup {a}]
    /\ seen' = [seen EXCEPT ![a][b] = PairMax(@, <<incarnation[b], 0>>),
                            ![b][a] = PairMax(@, <<incarnation[a], 0>>)]
    /\ required' = [required EXCEPT
           ![a][b] = IF ready[a] THEN Zero ELSE <<incarnation[b], number[b]>>,
           ![b][a] = IF ready[b] THEN Zero ELSE <<incarnation[a], number[a]>>]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, session,
                   channel, faults, ghosts>>

\* Connections end; gone[n] are the peers that n loses.  A node that is not
\* ready begins anew: it forgets what it merged, and requires of its next donor
\* all that it had seen.  If it kept its part, a founder that knows nothing of
\* the part could become its donor (mutant KeepPartialSync).
LoseLinks(gone) ==
    LET anew == {n \in Node : gone[n] # {} /\ ~ready[n]}
        forget == IF Bug = "KeepPartialSync" THEN {} ELSE anew
        remains(n) == linked[n] \ gone[n]
    IN
    /\ linked' = [n \in Node |-> remains(n)]
    /\ channel' = [a \in Node |-> [b \in Node |->
           IF b \in gone[a] \/ a \in gone[b] THEN <<>> ELSE channel[a][b]]]
    /\ store' = [n \in Node |-> IF n \in forget THEN EmptyStore ELSE store[n]]
    /\ best' = [n \in Node |-> IF n \in forget THEN EmptyStore ELSE best[n]]
    /\ baseline' = [n \in Node |-> IF n \in anew THEN EmptyStore ELSE baseline[n]]
    /\ session' = [n \in Node |-> IF n \in anew THEN NoSession ELSE session[n]]
    /\ required' = [n \in Node |->
           IF n \in anew
           THEN [x \in Node |-> IF x \notin remains(n) THEN Zero
                                ELSE IF n \in forget THEN PairMax(required[n][x], seen[n][x])
                                ELSE required[n][x]]
           ELSE required[n]]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, seen, history, short>>

\* Node n notices that its link to x ended, because x crashed.  The end of a
\* stream comes after its bytes, so usually everything was delivered before.
UnlinkCrashed(n, x) ==
    /\ x \in linked[n] /\ n \notin linked[x]
    /\ CrashLoses \/ ~InFlight(x, n, "write")
    /\ LoseLinks([m \in Node |-> IF m = n THEN {x} ELSE {}])
    /\ UNCHANGED faults

\* A link between two running nodes breaks, with what is in flight on it.
UnlinkRunning(n, x) ==
    /\ faults < MaxBreaks
    /\ n < x /\ Connected(n, x)
    /\ LoseLinks([m \in Node |-> IF m = n THEN {x} ELSE IF m = x THEN {n} ELSE {}])
    /\ faults' = faults + 1

Unlink(n, x) == UnlinkCrashed(n, x) \/ UnlinkRunning(n, x)

(***************************************************************************)
(* Replication.                                                            *)
(***************************************************************************)
Write(n, k, value) ==
    LET version == <<clock[n] + 1, n, IF Bug = "VersionReuse" THEN 0 ELSE incarnation[n]>>
        entry == [version |-> version, value |-> value]
        message == WriteMessage(n, k, entry)
    IN
    /\ up[n]
    /\ ready[n] \/ Bug = "WriteBeforeReady"
    /\ Cardinality(history) < MaxWrites
    \* A delete of a key that is not there is not a write.
    /\ value = Tombstone => store[n][k].value \in Value
    /\ clock' = [clock EXCEPT ![n] = @ + 1]
    /\ number' = [number EXCEPT ![n] = @ + 1]
    /\ store' = [store EXCEPT ![n][k] = Merged(@, entry, FALSE)]
    /\ best' = [best EXCEPT ![n][k] = Larger(@, entry)]
    \* A linked peer is a subscriber, whether it is ready or not.
    /\ channel' = [channel EXCEPT ![n] = [x \in Node |->
           IF Connected(n, x) THEN Append(@[x], message) ELSE @[x]]]
    /\ history' = history \cup {message}
    /\ UNCHANGED <<up, incarnation, ready, seen, linked, required, session,
                   faults, baseline, short>>

\* The store, ghost and clock of n once it has met `entry` of key k.
Met(n, k, entry, overwrite) ==
    /\ store' = [store EXCEPT ![n][k] = Merged(@, entry, overwrite)]
    /\ best' = [best EXCEPT ![n][k] = Larger(@, entry)]
    /\ clock' = [clock EXCEPT ![n] =
           CASE Bug = "ClockNotMerged" -> @
             [] Bug = "ClockFollows" -> entry.version[1]
             [] OTHER -> Max(@, entry.version[1])]

\* Node b receives a write from a, and applies it if it is new of a.  It does
\* not pass it on: the writer has sent it to everybody.
Deliver(b, a) ==
    /\ HeadIs(a, b, "write")
    /\ LET m == Head(channel[a][b])
           entry == IF Bug = "Restamp" THEN [m.entry EXCEPT !.version[2] = b] ELSE m.entry
           echo == IF Bug = "Echo" THEN <<m>> ELSE <<>>
       IN
       /\ \/ channel' = Answered(a, b, echo)
          \/ Bug = "RepeatedDelivery" /\ UNCHANGED channel
       /\ IF PairLess(seen[b][m.origin], m.number)
          THEN /\ seen' = [seen EXCEPT ![b][m.origin] = m.number]
               /\ Met(b, m.key, entry, Bug = "StaleOverwrite")
          ELSE UNCHANGED <<seen, store, best, clock>>
    /\ UNCHANGED <<up, incarnation, ready, number, linked, required, session,
                   faults, history, baseline, short>>

\* The network, or a fault switched on in the program, drops the next write.
Lose(a, b) ==
    /\ faults < MaxLosses
    /\ HeadIs(a, b, "write")
    /\ channel' = [channel EXCEPT ![a][b] = Tail(@)]
    /\ faults' = faults + 1
    /\ UNCHANGED <<up, incarnation, memory, ghosts>>

(***************************************************************************)
(* Sync.  A session is one request at a time.  The donor keeps nothing     *)
(* between two chunks: the cursor says where the next one begins.          *)
(***************************************************************************)

\* The joiner remembers to whom it was linked when it asked.  Links that form
\* while the answer is on its way do not count (mutant SubscribedLate).
RequestSync(j, d) ==
    /\ up[j] /\ ~ready[j] /\ session[j] = NoSession
    /\ Connected(j, d)
    /\ ready[d] \/ Bug = "ServeBeforeSynced"
    \* The mutant shows that links to all who run are no substitute.
    /\ Bug = "DonorLinksIgnored" => \A x \in Node \ {j} : up[x] => Connected(j, x)
    \* An answer to an abandoned session is dropped before another is asked
    \* for; the program numbers its sessions instead.
    /\ ~InFlight(j, d, "request") /\ ~InFlight(d, j, "chunk")
    /\ session' = [session EXCEPT ![j] = [donor |-> d, cursor |-> 1, subscribed |-> linked[j]]]
    /\ channel' = [channel EXCEPT ![j][d] = Append(@, Request(1))]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, seen, linked,
                   required, faults, ghosts>>

SeenBy(d) == [seen[d] EXCEPT ![d] = <<incarnation[d], number[d]>>]

\* One key of the live store: the first at or after the cursor.  The first
\* chunk says what the donor has seen and to whom it is linked.
Chunk(d, cursor) ==
    LET present == {k \in Key : k >= cursor /\ store[d][k] # Missing}
        keys == IF present = {} THEN {} ELSE {Min(present)}
        rest == present \ keys
        first == cursor = 1
    IN
    [kind |-> "chunk", cursor |-> cursor,
     entries |-> [k \in keys |-> store[d][k]],
     next |-> IF rest = {} \/ Bug = "ReadyAfterFirstChunk" THEN 0 ELSE Min(rest),
     seen |-> IF first THEN SeenBy(d) ELSE NothingSeen,
     links |-> IF first THEN linked[d] ELSE {}]

ServeSync(d, j) ==
    /\ HeadIs(j, d, "request")
    /\ ready[d] \/ Bug = "ServeBeforeSynced"
    /\ LET cursor == Head(channel[j][d]).cursor IN
       /\ channel' = Answered(j, d, <<Chunk(d, cursor)>>)
       /\ baseline' = IF cursor = 1 /\ session[j].donor = d
                      THEN [baseline EXCEPT ![j] = store[d]] ELSE baseline
    /\ UNCHANGED <<up, incarnation, memory, faults, history, best, short>>

\* May the joiner copy a store that was described by this first chunk?  Three
\* conditions, each of which a mutant shows to be needed:
\*  - the donor has seen whatever was sent before the joiner subscribed;
\*  - both know a peer in the same incarnation, or the joiner is subscribed to
\*    a dead process, and misses what its successor writes;
\*  - the joiner was subscribed to every node from which the donor still
\*    receives.  This covers a writer that crashed: its last writes may be in
\*    flight to the donor, and the joiner can no longer link to it.
Acceptable(j, m) ==
    /\ \A x \in linked[j] :
           /\ ~PairLess(m.seen[x], required[j][x])
                  \/ Bug \in {"DonorNotCaughtUp", "SyncBeforeSubscribe"}
           /\ m.seen[x][1] = required[j][x][1]
                  \/ Bug \in {"DonorNotCaughtUp", "SyncBeforeSubscribe", "DeadSubscription"}
    /\ m.links \ {j} \subseteq
           (IF Bug = "SubscribedLate" THEN linked[j] ELSE session[j].subscribed)
           \/ Bug \in {"DonorLinksIgnored", "SyncBeforeSubscribe"}

Expected(j, d, m) ==
    session[j] # NoSession /\ session[j].donor = d /\ session[j].cursor = m.cursor

MergeChunk(j, d) ==
    /\ HeadIs(d, j, "chunk")
    /\ LET m == Head(channel[d][j]) IN
       IF Expected(j, d, m) /\ (m.cursor = 1 => Acceptable(j, m))
       THEN
         /\ channel' = Answered(d, j, IF m.next = 0 THEN <<>> ELSE <<Request(m.next)>>)
         /\ session' = [session EXCEPT ![j].cursor = m.next, ![j].subscribed = {}]
         \* From here the joiner answers for what the donor has seen; if the
         \* session fails, LoseLinks turns it into a requirement.
         /\ seen' = [seen EXCEPT ![j] = [x \in Node |-> PairMax(@[x], m.seen[x])]]
         /\ IF DOMAIN m.entries = {}
            THEN UNCHANGED <<store, best, clock>>
            ELSE LET k == Min(DOMAIN m.entries) IN
                 Met(j, k, m.entries[k], Bug = "SyncOverwrites")
         /\ UNCHANGED baseline
       ELSE
         /\ channel' = Answered(d, j, <<>>)
         /\ session' = IF Expected(j, d, m) /\ Bug # "NoRetry"
                       THEN [session EXCEPT ![j] = NoSession] ELSE session
         /\ baseline' = IF Expected(j, d, m)
                        THEN [baseline EXCEPT ![j] = EmptyStore] ELSE baseline
         /\ UNCHANGED <<store, best, clock, seen>>
    /\ UNCHANGED <<up, incarnation, ready, number, linked, required, faults,
                   history, short>>

Synced(n) == session[n] # NoSession /\ session[n].cursor = 0

AllLinked == \A a, b \in Node : a # b => Connected(a, b)

\* Nobody is ready and nobody can become so by sync: the node with the lowest
\* id begins with what it has.  That all are linked to all proves that nobody
\* still reads the last chunk of a donor that crashed (mutant FoundOnOwnLinks).
MayFound(n) ==
    /\ n = Min(Node)
    /\ \A x \in Node : up[x] /\ ~ready[x]
    /\ \/ AllLinked
       \/ Bug = "FoundOnOwnLinks" /\ \A x \in Node \ {n} : Connected(n, x)
    /\ Bug # "NoFounding"

BecomeReady(n) ==
    /\ up[n] /\ ~ready[n]
    /\ Synced(n) \/ MayFound(n)
    /\ ready' = [ready EXCEPT ![n] = TRUE]
    /\ required' = [required EXCEPT ![n] = NothingSeen]
    /\ session' = [session EXCEPT ![n] = NoSession]
    /\ short' = IF Synced(n) /\ \E k \in Key :
                      VersionLess(store[n][k].version, baseline[n][k].version)
                THEN short \cup {n} ELSE short
    /\ baseline' = [baseline EXCEPT ![n] = EmptyStore]
    /\ UNCHANGED <<up, incarnation, clock, number, store, seen, linked, channel,
                   faults, history, best>>

(***************************************************************************)
(* Behaviours.                                                             *)
(***************************************************************************)
AllReady == \A n \in Node : up[n] /\ ready[n]
Quiescent == AllReady /\ AllLinked /\ ~WritesInFlight

\* Nothing is left to do.  Any other state without a successor is a deadlock.
Idle == Quiescent /\ UNCHANGED vars

Membership ==
    \/ \E n \in Node : Start(n)
    \/ \E a, b \in Node : Link(a, b) \/ UnlinkCrashed(a, b)
Delivery == \E a, b \in Node : Deliver(a, b)
Sync ==
    \/ \E a, b \in Node : RequestSync(a, b) \/ ServeSync(a, b) \/ MergeChunk(a, b)
    \/ \E n \in Node : BecomeReady(n)

Next ==
    \/ \E n \in Node : Start(n) \/ Crash(n) \/ BecomeReady(n)
    \/ \E a, b \in Node : Link(a, b) \/ Unlink(a, b)
    \/ \E n \in Node, k \in Key, v \in Value \cup {Tombstone} : Write(n, k, v)
    \/ \E a, b \in Node : Deliver(a, b) \/ Lose(a, b)
    \/ \E a, b \in Node : RequestSync(a, b) \/ ServeSync(a, b) \/ MergeChunk(a, b)
    \/ Idle

Spec == Init /\ [][Next]_vars

\* Nobody has to crash, write or lose; what was begun goes on.
FairSpec ==
    /\ Spec
    /\ WF_vars(Membership)
    /\ WF_vars(Delivery)
    /\ WF_vars(Sync)

(***************************************************************************)
(* Safety.                                                                 *)
(***************************************************************************)
Pair == Nat \X Nat
IsEntry(e) == e.version \in Nat \X Nat \X Nat /\ e.value \in Value \cup {Tombstone, Absent}

TypeOK ==
    /\ up \in [Node -> BOOLEAN] /\ ready \in [Node -> BOOLEAN]
    /\ incarnation \in [Node -> 0..(MaxStarts + 1)]
    /\ clock \in [Node -> 0..MaxWrites] /\ number \in [Node -> 0..MaxWrites]
    /\ \A n \in Node : ready[n] => up[n]
    /\ \A n \in Node : linked[n] \subseteq Node \ {n}
    /\ \A n \in Node, k \in Key : IsEntry(store[n][k]) /\ IsEntry(best[n][k])
    /\ \A n, x \in Node : seen[n][x] \in Pair /\ required[n][x] \in Pair
    /\ \A n \in Node : session[n] # NoSession =>
           session[n].donor \in Node /\ session[n].cursor \in 0..LastKey
    /\ \A a, b \in Node : \A m \in Range(channel[a][b]) :
           m.kind \in {"write", "request", "chunk"}
    /\ \A n \in Node : ~up[n] => channel[n][n] = <<>> /\ store[n] = EmptyStore
    /\ faults \in 0..Max(MaxLosses, MaxBreaks)

\* Nobody holds an entry that nobody wrote, under that key and version.
NoInvention ==
    \A n \in Node, k \in Key :
        store[n][k] = Missing \/ \E w \in history : w.key = k /\ w.entry = store[n][k]

\* Two writes never share a version, so every comparison has one winner.
VersionsUnique ==
    \A v, w \in history : v.entry.version = w.entry.version => v = w

\* A store never shows less than what its node has applied since it began:
\* a chunk that was read before a write does not hide the write.
SyncNeverRegresses ==
    \A n \in Node, k \in Key : ~VersionLess(store[n][k].version, best[n][k].version)

\* After a node has applied a delete, no older value of the key comes back.
NoResurrection ==
    \A n \in Node, k \in Key :
        best[n][k].value = Tombstone => store[n][k].value \notin Value

\* Only a ready node writes, and only a ready node is a donor.
ServesOnlyWhenSynced ==
    /\ \A n \in Node : number[n] > 0 => ready[n]
    /\ \A d, j \in Node : Connected(d, j) /\ InFlight(d, j, "chunk") => ready[d]

\* A synced node has at least what its donor had when the session began.
SyncedHasDonors == short = {}

\* A link carries its sender's own writes only, each once and in their order.
NoEcho ==
    \A a, b \in Node :
        LET writes == SelectSeq(channel[a][b], LAMBDA m : m.kind = "write") IN
        /\ \A i \in 1..Len(writes) : writes[i].origin = a
        /\ \A i, j \in 1..Len(writes) :
               i < j => PairLess(writes[i].number, writes[j].number)

\* The promise of this lab: nothing undelivered and all up means equal stores.
\* It holds while no link loses anything; MaxLosses, MaxBreaks and CrashLoses
\* each break it, and nothing in this protocol would repair the stores again.
QuiescentConverged ==
    Quiescent => \A a, b \in Node : store[a] = store[b]

(***************************************************************************)
(* Action properties.                                                      *)
(***************************************************************************)

\* While a node is ready, no key goes back to a smaller version.
StoreMonotone ==
    [][\A n \in Node, k \in Key : ready[n] /\ ready'[n] =>
           ~VersionLess(store'[n][k].version, store[n][k].version)]_vars

\* While a node is up, its clock does not go back.
ClockMonotone ==
    [][\A n \in Node : up[n] /\ up'[n] => clock'[n] >= clock[n]]_vars

\* A write is visible to its writer at once: it beats all that was there.
OwnWriteVisible ==
    [][\A n \in Node : number'[n] > number[n] =>
           \E k \in Key : store'[n][k].version[1] = clock'[n]
                          /\ store'[n][k].version[2] = n]_vars

(***************************************************************************)
(* Liveness, under FairSpec.                                               *)
(***************************************************************************)

\* What is in flight arrives, or goes down with its link.
EventualDelivery == []<>(~WritesInFlight)

\* A node that stays up becomes ready.
SyncCompletes == \A n \in Node : up[n] ~> (ready[n] \/ ~up[n])

\* When writes and crashes end, the stores become equal and stay so.
Convergence == <>[](AllReady /\ \A a, b \in Node : store[a] = store[b])

(***************************************************************************)
(* Witnesses: each says that something cannot happen, and TLC must find it *)
(* happening; or the properties above would hold of nothing.               *)
(***************************************************************************)
Joined(n) == up[n] /\ ready[n] /\ n \notin Bootstrap /\ number[n] = 0

NeverSyncedDuringWrite ==
    ~\E n, x \in Node : Joined(n) /\ store[n] # EmptyStore /\ InFlight(x, n, "write")

NeverConcurrentWrites ==
    ~\E a, b \in Node : \E v \in Range(channel[a][b]), w \in Range(channel[b][a]) :
        a # b /\ v.kind = "write" /\ w.kind = "write" /\ v.key = w.key

NeverSyncedAgain ==
    ~\E n \in Node : Joined(n) /\ incarnation[n] > 1 /\ store[n] # EmptyStore

\* Only the lowest node has crashed, and it is ready while nobody else was.
NeverFounded ==
    ~LET n == Min(Node) IN
     /\ incarnation[n] > 1 /\ ready[n]
     /\ \A x \in Node \ {n} : up[x] /\ ~ready[x] /\ incarnation[x] = 1

NeverRefusedDonor ==
    ~\E j, d \in Node :
        /\ HeadIs(d, j, "chunk") /\ Head(channel[d][j]).cursor = 1
        /\ Expected(j, d, Head(channel[d][j]))
        /\ ~Acceptable(j, Head(channel[d][j]))

NeverChangedDonor ==
    ~\E n \in Node, w \in history :
        Joined(n) /\ incarnation[n] = 1 /\ ~up[Min(Bootstrap)] /\ store[n] # EmptyStore
        /\ \E x \in Node \ {n} : ready[x]

NeverConvergedOnDelete ==
    ~(Quiescent /\ \A n \in Node : \E k \in Key : store[n][k].value = Tombstone)
=============================================================================
