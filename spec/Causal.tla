------------------------------ MODULE Causal ------------------------------
(***************************************************************************)
(* Lab 2 of distdb: causal replication.                                    *)
(*                                                                         *)
(* Every node takes writes at all times.  A write goes to all others, is   *)
(* sent again until it is acknowledged, and is applied once, after all     *)
(* that its writer had seen (reliable causal broadcast).  It says which    *)
(* versions of its key it takes the place of; others stay beside it.       *)
(*                                                                         *)
(*    writer               member               member                     *)
(*      | Write               |                    |                       *)
(*      | Sync (its disk)     |                    |                       *)
(*      | ------ write -----> | Deliver            | (lost)                *)
(*      |                     | Sync               |                       *)
(*      | <---- its clock --- |                    |                       *)
(*      | HandleAck, Answer   |                    |                       *)
(*      | -------------- write, again -----------> | Deliver               *)
(*      |                     | -- write, relayed  | (a duplicate)         *)
(*                                                                         *)
(* A node's clock tells which writes it has seen, of each node all up to a *)
(* counter.  So a deletion leaves nothing behind: a version that is absent *)
(* although the clock has its dot was replaced or deleted.  By that rule   *)
(* two states join, and who was away for too long takes over the state of  *)
(* a donor: chunk by chunk beside its own, and visible in one step.        *)
(*                                                                         *)
(* Messages are a set that is never consumed (lost is never received, a    *)
(* repetition is received twice, order is free); with Slots, for liveness, *)
(* they are consumed and some are lost.                                    *)
(*                                                                         *)
(* One action is one event of the program.  Sync (the disk has finished),  *)
(* Crash, Wipe, Lose and Idle belong to the environment.                   *)
(*                                                                         *)
(* Invariants and liveness stand at the end; TLA_README.md says which      *)
(* configuration checks what, and which failures are expected.             *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS
    Founder,      \* The first members.
    Spare,        \* Ids for nodes that come back with an empty disk.
    Key,          \* The keys.
    MaxWrites,    \* Writes, all nodes together.
    Deletes,      \* TRUE: clients delete, too.
    Levels,       \* The numbers of durable copies that clients ask for.
    MaxCrashes,   \* Crashes, all nodes together.
    MaxWaiting,   \* Writes that wait at a node for their past.
    MaxLog,       \* Writes that a node keeps for others.
    MaxSyncs,     \* State transfers, all nodes together.
    MaxReads,     \* Reads of the one client with a session; 0: there is none.
    Collects,     \* TRUE: what all have leaves the log.
    Slots,        \* TRUE: messages are consumed by who receives them.
    MaxLosses,    \* Messages lost; only with Slots.
    Bug           \* "none", or the name of a mutant.

Node == Founder \cup Spare

ASSUME Founder # {} /\ Founder \cap Spare = {}
ASSUME MaxWrites \in Nat /\ Levels \subseteq Nat \ {0}

VARIABLES
    member,     \* Nodes that are or were of the cluster.
    gone,       \* Members whose disk was lost: they come back as another node.
    mem,        \* What each node has in memory; see Empty.
    disk,       \* What of it is durable.
    waiting,    \* Node -> writes whose past is not here yet.  In memory only.
    acked,      \* Node -> peer -> the clock that the peer acknowledged last.
    sync,       \* Node -> the state transfer it is in; see NoSync.
    sent,       \* <<from, to, write>> of all that was ever sent.
    flying,     \* Those that are on their way; only with Slots.
    spent,      \* Crashes, transfers and losses so far.
    written,    \* All writes; a write is named by its place here.
    answered,   \* Writes that clients were told to be on enough disks.
    session,    \* The client with a session; see NoSession.
    repeated,   \* Ghost: <<node, write>> applied there a second time.
    broken      \* Ghost: the session guarantees that a read has broken.

nodes == <<member, gone, mem, disk, waiting, acked, sync>>
links == <<sent, flying>>
clients == <<written, answered, session>>
ghosts == <<repeated, broken>>
vars == <<nodes, links, spent, clients, ghosts>>

Max(a, b) == IF a < b THEN b ELSE a
Least(S) == CHOOSE x \in S : \A y \in S : x <= y

Alive == member \ gone

(***************************************************************************)
(* Clocks.                                                                 *)
(***************************************************************************)
Zero == [m \in Node |-> 0]
Merge(v, w) == [m \in Node |-> Max(v[m], w[m])]
Covers(v, w) == \A m \in Node : v[m] >= w[m]

\* Is the dot of write i in a clock?
Seen(i, clock) == written[i].counter <= clock[written[i].node]

\* The writes of a key.  A version is named by the write that it is of.
Of(writes, k) == {i \in writes : written[i].key = k}

\* The join of two states.  A version that only one of them has was replaced or
\* deleted in the other, if the other has seen it; else it is new there.
Join(a, va, b, vb, IsSeen(_, _)) ==
    IF Bug = "AbsentMeansNew" THEN a \cup b
    ELSE IF Bug = "JoinKeepsOwn" THEN a \cup {x \in b : ~IsSeen(x, va)}
    ELSE {x \in a : x \in b \/ ~IsSeen(x, vb)} \cup {x \in b : ~IsSeen(x, va)}

\* The laws that make it a join, on all states of two nodes with few writes.
SmallClock == {<<c, d>> : c \in 0..2, d \in 0..1}
SmallDots(v) == {<<1, c>> : c \in 1..v[1]} \cup {<<2, c>> : c \in 1..v[2]}
SmallStates ==
    UNION {{[versions |-> s, clock |-> v] : s \in SUBSET SmallDots(v)} : v \in SmallClock}
SmallSeen(dot, v) == dot[2] <= v[dot[1]]
SmallJoin(a, b) ==
    [versions |-> Join(a.versions, a.clock, b.versions, b.clock, SmallSeen),
     clock |-> <<Max(a.clock[1], b.clock[1]), Max(a.clock[2], b.clock[2])>>]

MergeLaws ==
    \A a, b \in SmallStates :
        /\ SmallJoin(a, b) = SmallJoin(b, a)
        /\ SmallJoin(a, a) = a
        /\ \A c \in SmallStates : SmallJoin(SmallJoin(a, b), c) = SmallJoin(a, SmallJoin(b, c))
ASSUME MergeLaws

(***************************************************************************)
(* The state of a node.                                                    *)
(***************************************************************************)
Empty ==
    [clock |-> Zero,      \* Of each node it has applied all writes up to here.
     versions |-> {},     \* The versions of all keys.
     log |-> {},          \* Writes it keeps until all members have them.
     told |-> Zero,       \* Its clock when it wrote last.
     lamport |-> 0,
     ready |-> FALSE,     \* Does it serve clients, and donate?
     applied |-> {},      \* Ghost: what was applied, here or at its donors.
     latest |-> 0]        \* Only for a mutant: what was applied last.

NoSync ==
    [on |-> FALSE,
     donor |-> "nobody",
     clock |-> Zero,      \* The donor's, when its state was pinned.
     versions |-> {}, lamport |-> 0, applied |-> {},
     base |-> Zero,       \* This node's own clock at that time.
     stage |-> {},        \* Its own versions of that time, and what was merged.
     missing |-> {},      \* Keys that are not merged yet.
     meanwhile |-> {}]    \* Writes that it has applied since.

NoSession ==
    [token |-> Zero,
     pending |-> 0,       \* A write that is not answered yet.
     reads |-> 0,
     saw |-> {},          \* Ghost: what had been applied where it read.
     mine |-> {},         \* Ghost: its own writes.
     values |-> {},       \* Ghost: the versions that a read has returned.
     late |-> {}]         \* Ghost: the nodes that its token makes it wait for.

Init ==
    /\ member = Founder /\ gone = {}
    /\ mem = [n \in Node |-> [Empty EXCEPT !.ready = n \in Founder]]
    /\ disk = mem
    /\ waiting = [n \in Node |-> {}]
    /\ acked = [n \in Node |-> [m \in Node |-> Zero]]
    /\ sync = [n \in Node |-> NoSync]
    /\ sent = {} /\ flying = {}
    /\ spent = [crashes |-> 0, syncs |-> 0, losses |-> 0]
    /\ written = <<>> /\ answered = {} /\ session = NoSession
    /\ repeated = {} /\ broken = {}

(***************************************************************************)
(* The disk.  What nodes and clients hear of a node is on its disk.        *)
(***************************************************************************)

\* What n sends, unasked, of a log that is on its disk.
Sendings(n, log) ==
    IF Slots THEN {} ELSE {<<n, p, i>> : p \in Alive \ {n}, i \in log}

\* n has state s in memory now.  Where nobody crashes it makes no difference
\* when it is on disk, so there it is at once.
Keep(n, s) ==
    /\ mem' = [mem EXCEPT ![n] = s]
    /\ disk' = IF MaxCrashes = 0 THEN [disk EXCEPT ![n] = s] ELSE disk
    /\ LET early == MaxCrashes = 0 \/ Bug = "SendBeforeSync" IN
       sent' = IF early THEN sent \cup Sendings(n, s.log) ELSE sent

Sync(n) ==
    /\ n \in Alive /\ disk[n] # mem[n]
    /\ disk' = [disk EXCEPT ![n] = mem[n]]
    /\ sent' = sent \cup Sendings(n, mem[n].log)
    /\ UNCHANGED <<member, gone, mem, waiting, acked, sync, flying, spent, clients, ghosts>>

(***************************************************************************)
(* Writes.                                                                 *)
(***************************************************************************)

\* Past its bound a log loses the oldest write, acknowledged or not.
Trimmed(log) == IF Cardinality(log) > MaxLog THEN log \ {Least(log)} ELSE log

\* The versions after write i, which is w.
Replaced(versions, i, w) ==
    LET dropped == IF Bug = "ReplacedByArrival"
                   THEN {j \in versions : written[j].key = w.key} ELSE w.replaces
    IN (versions \ dropped) \cup (IF w.deletes THEN {} ELSE {i})

\* State s after write i, which is w.
Applied(s, i, w) ==
    [s EXCEPT !.clock[w.node] = Max(@, w.counter),
              !.versions = Replaced(@, i, w),
              !.log = Trimmed(@ \cup {i}),
              !.lamport = Max(@, w.lamport),
              !.applied = @ \cup {i},
              !.latest = IF Bug = "WinnerByArrival" THEN i ELSE 0]

\* During a transfer n also notes what it applies.
Note(n, i, w) ==
    sync' = IF ~sync[n].on THEN sync
            ELSE IF Bug = "MeanwhileAtOnce"
            THEN [sync EXCEPT ![n].stage = Replaced(@, i, w)]
            ELSE [sync EXCEPT ![n].meanwhile = @ \cup {i}]

\* Of its past a write names what is new since its writer's last: who has
\* applied that one has all else.
Past(n) ==
    [m \in Node |-> IF m = n \/ mem[n].clock[m] = mem[n].told[m] THEN 0 ELSE mem[n].clock[m]]

\* Node n writes.  `replaces`: the versions whose place it takes; `over`: all
\* writes of the key that the client goes by; `follows`: what its session saw.
Write(n, k, deletes, copies, replaces, over, follows) ==
    LET s == mem[n]
        i == Len(written) + 1
        w == [node |-> n, counter |-> s.clock[n] + 1, past |-> Past(n),
              lamport |-> s.lamport + 1, key |-> k, deletes |-> deletes,
              replaces |-> replaces, copies |-> copies,
              \* What follows is ghost.
              over |-> over, before |-> s.applied, follows |-> follows,
              unread |-> IF follows = {} THEN {}
                         ELSE replaces \ (session.values \cup session.mine)]
    IN
    /\ n \in Alive /\ s.ready /\ i <= MaxWrites
    /\ deletes => Deletes /\ replaces # {}
    /\ written' = Append(written, w)
    /\ Keep(n, [Applied(s, i, w) EXCEPT !.told = [s.clock EXCEPT ![n] = w.counter]])
    /\ Note(n, i, w)
    /\ UNCHANGED <<member, gone, waiting, acked, flying, spent, answered, ghosts>>

\* A client without a context takes the place of all that this node holds.
Put(n, k, deletes, copies) ==
    /\ Write(n, k, deletes, copies, Of(mem[n].versions, k), Of(mem[n].applied, k), {})
    /\ UNCHANGED session

(***************************************************************************)
(* Delivery.                                                               *)
(***************************************************************************)

\* Is all there that has to be there before write i?
Fits(n, i) ==
    LET w == written[i] IN
    /\ w.counter = mem[n].clock[w.node] + 1
    /\ Covers(mem[n].clock, w.past) \/ Bug = "PastIgnored"

Apply(n, i) ==
    /\ Keep(n, Applied(mem[n], i, written[i]))
    /\ Note(n, i, written[i])
    /\ waiting' = [waiting EXCEPT ![n] = @ \ {i}]
    /\ repeated' = IF i \in mem[n].applied THEN repeated \cup {<<n, i>>} ELSE repeated

\* n receives write i from a peer.  What it has is a duplicate; what comes too
\* early waits if there is room, and else is dropped and will be sent again.
Deliver(n, from, i) ==
    LET duplicate == Seen(i, mem[n].clock) /\ Bug # "RetryWithoutDedupe"
        takes == ~duplicate /\ (Fits(n, i) \/ Seen(i, mem[n].clock))
        keeps == ~duplicate /\ ~takes /\ i \notin waiting[n]
                 /\ Cardinality(waiting[n]) < MaxWaiting
    IN
    /\ n \in Alive /\ <<from, n, i>> \in IF Slots THEN flying ELSE sent
    \* Only to save TLC work: what changes nothing is no step.
    /\ Slots \/ takes \/ keeps
    /\ flying' = flying \ {<<from, n, i>>}
    /\ IF takes THEN Apply(n, i)
       ELSE /\ waiting' = IF keeps THEN [waiting EXCEPT ![n] = @ \cup {i}] ELSE waiting
            /\ UNCHANGED <<mem, disk, sync, sent, repeated>>
    /\ UNCHANGED <<member, gone, acked, spent, clients, broken>>

\* The past of a write that waits has come.
DeliverWaiting(n, i) ==
    /\ n \in Alive /\ i \in waiting[n] /\ Fits(n, i)
    /\ Apply(n, i)
    /\ UNCHANGED <<member, gone, acked, flying, spent, clients, broken>>

\* With Slots: n sends p a write, its own or, where the writer cannot, another's
\* (a relay).  The timeout is longer than a round trip: what is on its way, or
\* has arrived, is not sent again.
MayRelay(i) == written[i].node \in gone \/ i \notin disk[written[i].node].log

Send(n, p, i) ==
    /\ Slots /\ n \in Alive /\ p \in Alive \ {n}
    /\ i \in disk[n].log
    /\ written[i].node = n \/ (MayRelay(i) /\ Bug # "NoRelay")
    /\ i \notin mem[p].applied \cup waiting[p]
    /\ <<n, p, i>> \notin flying
    /\ <<n, p, i>> \in sent => Bug # "NoRetry"
    /\ flying' = flying \cup {<<n, p, i>>}
    /\ sent' = sent \cup {<<n, p, i>>}
    /\ UNCHANGED <<nodes, spent, clients, ghosts>>

Lose(message) ==
    /\ spent.losses < MaxLosses
    /\ flying' = flying \ {message}
    /\ spent' = [spent EXCEPT !.losses = @ + 1]
    /\ UNCHANGED <<nodes, sent, clients, ghosts>>

(***************************************************************************)
(* Acknowledgements.  A clock says it for all origins at once.  Clocks on  *)
(* disks only grow, so a message that is late or comes twice says no more  *)
(* than the present one: it is read from the peer's disk.                  *)
(***************************************************************************)
HandleAckOf(n, p, stored) ==
    /\ n \in Alive /\ p \in member \ {n}
    /\ acked' = [acked EXCEPT ![n][p] = Merge(@, stored)]
    /\ UNCHANGED <<member, gone, mem, disk, waiting, sync, links, spent, clients, ghosts>>

HandleAck(n, p) ==
    LET stored == IF Bug = "AckBeforeSync" THEN mem[p].clock ELSE disk[p].clock IN
    /\ Collects \/ Levels # {1}
    /\ acked[n][p] # Merge(acked[n][p], stored)
    /\ HandleAckOf(n, p, stored)

\* What of write i does n know to be on disks: a set of members.
Holders(n, i) ==
    {n} \cup {p \in member : \/ Seen(i, acked[n][p])
                             \/ Bug = "WaitingCounts" /\ i \in waiting[p]}

\* The client is told that its write is on as many disks as it asked for, and
\* gets the node's clock as context.
Answer(n, i) ==
    LET w == written[i]
        s == disk[n]
        token == Merge(session.token, s.clock)
    IN
    /\ n \in Alive /\ w.node = n /\ i \notin answered
    /\ i \in (IF Bug = "AckBeforeSync" THEN mem[n] ELSE s).applied
    /\ Cardinality(Holders(n, i)) >= w.copies
    /\ answered' = answered \cup {i}
    /\ session' = IF session.pending # i THEN session
           ELSE [session EXCEPT !.pending = 0, !.token = token,
                                !.saw = @ \cup s.applied, !.mine = @ \cup {i},
                                !.late = {m \in Alive : ~Covers(mem[m].clock, token)}]
    /\ UNCHANGED <<nodes, links, spent, written, ghosts>>

\* n keeps these writes no longer for others.
Release(n, done) ==
    /\ n \in Alive
    /\ Keep(n, [mem[n] EXCEPT !.log = @ \ done])
    /\ UNCHANGED <<member, gone, waiting, acked, sync, flying, spent, clients, ghosts>>

\* What all members have acknowledged is kept no longer.
Collect(n) ==
    LET enough == IF Bug = "CollectEarly" THEN 2 ELSE Cardinality(member)
        done == {i \in mem[n].log : Cardinality(Holders(n, i)) >= enough}
    IN
    /\ Collects /\ done # {}
    /\ Release(n, done)

(***************************************************************************)
(* State transfer (anti-entropy).                                          *)
(***************************************************************************)

\* Peer d has what n lacks, and nobody can send it as a write any more.
Behind(n, d) ==
    \E i \in disk[d].applied \ mem[n].applied : \A x \in Alive : i \notin disk[x].log

\* n begins with a copy of its own state, and d's, as it was pinned.
BeginSyncOf(n, d, pin) ==
    /\ n \in Alive /\ d # n /\ pin.ready
    /\ ~sync[n].on /\ spent.syncs < MaxSyncs
    /\ spent' = [spent EXCEPT !.syncs = @ + 1]
    /\ sync' = [sync EXCEPT ![n] =
           [on |-> TRUE, donor |-> d, clock |-> pin.clock, versions |-> pin.versions,
            lamport |-> pin.lamport, applied |-> pin.applied,
            base |-> mem[n].clock, stage |-> mem[n].versions,
            missing |-> Key, meanwhile |-> {}]]
    /\ IF Bug = "ClockBeforeVersions"
       THEN Keep(n, [mem[n] EXCEPT !.clock = Merge(@, pin.clock)])
       ELSE UNCHANGED <<mem, disk, sent>>
    /\ UNCHANGED <<member, gone, waiting, acked, flying, clients, ghosts>>

\* The donor's state is pinned in the same step.
BeginSync(n, d) ==
    LET pin == IF Bug = "DonorNotDurable" THEN mem[d] ELSE disk[d] IN
    /\ d \in Alive
    /\ ~mem[n].ready \/ ~Covers(mem[n].clock, pin.clock)
    /\ Slots => (~mem[n].ready \/ Behind(n, d)) /\ Bug # "NoBehind"
    /\ BeginSyncOf(n, d, pin)

\* The versions of a key come and are joined to those that n began with.  A key
\* that is equal on both sides need not be sent: its join changes nothing.
MergeChunk(n, k) ==
    LET y == sync[n]
        own == Of(y.stage, k)
        theirs == Of(y.versions, k)
        since == IF Bug = "JoinByLiveClock" THEN mem[n].clock ELSE y.base
        equal == Bug = "CompareLive" /\ Of(mem[n].versions, k) = theirs
        joined == IF equal THEN own ELSE Join(own, since, theirs, y.clock, Seen)
        live == Of(mem[n].versions, k)
    IN
    /\ n \in Alive /\ y.on /\ k \in y.missing
    /\ sync' = [sync EXCEPT ![n].missing = @ \ {k},
                            ![n].stage = (@ \ own) \cup joined]
    /\ IF Bug = "SyncNotAtomic"
       THEN Keep(n, [mem[n] EXCEPT !.versions =
                (@ \ live) \cup Join(live, mem[n].clock, theirs, y.clock, Seen)])
       ELSE UNCHANGED <<mem, disk, sent>>
    /\ UNCHANGED <<member, gone, waiting, acked, flying, spent, clients, ghosts>>

RECURSIVE Replayed(_, _)
Replayed(versions, writes) ==
    IF writes = {} THEN versions
    ELSE LET i == Least(writes)
         IN Replayed(Replaced(versions, i, written[i]), writes \ {i})

\* After the last chunk, n applies to the stage what it has applied meanwhile
\* and the donor had not seen; then the stage takes the place of its state, and
\* the clocks are merged, in one step.
EndSync(n) ==
    LET y == sync[n]
        own == {i \in y.meanwhile : ~Seen(i, y.clock) /\ Bug # "MeanwhileIgnored"}
        clock == Merge(mem[n].clock, y.clock)
    IN
    /\ n \in Alive /\ y.on
    /\ y.missing = {} \/ (Bug = "PartialSync" /\ y.missing # Key)
    /\ Keep(n, [mem[n] EXCEPT !.clock = clock,
                              !.versions = Replayed(y.stage, own),
                              !.lamport = IF Bug = "LamportNotSynced" THEN @ ELSE Max(@, y.lamport),
                              !.ready = TRUE,
                              !.applied = @ \cup y.applied])
    /\ waiting' = [waiting EXCEPT ![n] = {i \in @ : ~Seen(i, clock)}]
    /\ sync' = [sync EXCEPT ![n] = NoSync]
    /\ UNCHANGED <<member, gone, acked, flying, spent, clients, ghosts>>

(***************************************************************************)
(* A client with a session.  Its token is the clock of all it has seen; it *)
(* is served where the node's clock covers that, and waits elsewhere.      *)
(***************************************************************************)
Served(s) == Covers(s.clock, session.token) \/ Bug = "SessionIgnored"

\* Does state s show write i: as a version, or by what took its place?
Overwritten(s, i) == \E j \in s.applied : i \in written[j].over
Shows(s, i) == i \in s.versions \/ written[i].deletes \/ Overwritten(s, i)

\* The answer shows what is on disk: what a crash may take was not seen.
SessionRead(n, k) ==
    LET s == IF Bug = "ReadBeforeSync" THEN mem[n] ELSE disk[n]
        token == Merge(session.token, s.clock)
    IN
    /\ n \in Alive /\ s.ready /\ session.reads < MaxReads /\ session.pending = 0
    /\ Served(s)
    /\ session' = [session EXCEPT !.token = token, !.reads = @ + 1,
                                  !.saw = @ \cup s.applied,
                                  !.values = @ \cup Of(s.versions, k),
                                  !.late = {m \in Alive : ~Covers(mem[m].clock, token)}]
    /\ broken' = broken
           \cup (IF \A i \in session.mine : Shows(s, i) THEN {} ELSE {"ReadYourWrites"})
           \cup (IF \A i \in session.saw : Shows(s, i) THEN {} ELSE {"MonotonicReads"})
    /\ UNCHANGED <<nodes, links, spent, written, answered, repeated>>

\* A put with a context takes the place of the versions inside it, only.
SessionPut(n, k, deletes, copies) ==
    LET here == Of(mem[n].versions, k)
        replaces == CASE Bug = "ContextDropped" -> here
                      [] Bug = "ContextUnused" -> {}
                      [] OTHER -> {i \in here : Seen(i, session.token)}
    IN
    /\ MaxReads > 0 /\ session.pending = 0
    /\ Served(mem[n])
    /\ session' = [session EXCEPT !.pending = Len(written) + 1]
    /\ Write(n, k, deletes, copies, replaces, Of(session.saw, k), session.saw)

(***************************************************************************)
(* Failures.                                                               *)
(***************************************************************************)

\* The transfers to n, and those from it, have ended.
Abandoned(n) ==
    [m \in Node |-> IF m = n \/ sync[m].donor = n THEN NoSync ELSE sync[m]]

\* A client whose node fails does not learn what came of its write.
Forgotten(n) ==
    IF session.pending # 0 /\ written[session.pending].node = n
    THEN [session EXCEPT !.pending = 0] ELSE session

\* n crashes and starts again as s, and the transfers are these.
CrashTo(n, s, transfers) ==
    /\ n \in Alive /\ spent.crashes < MaxCrashes
    /\ spent' = [spent EXCEPT !.crashes = @ + 1]
    /\ mem' = [mem EXCEPT ![n] = s]
    /\ waiting' = [waiting EXCEPT ![n] = {}]
    /\ acked' = [acked EXCEPT ![n] = [m \in Node |-> Zero]]
    /\ sync' = transfers
    /\ session' = Forgotten(n)
    /\ UNCHANGED <<member, gone, disk, links, written, answered, ghosts>>

\* n crashes and starts again with what is on its disk.  That it is down for a
\* while is the same as that it receives nothing.
Crash(n) ==
    CrashTo(n, CASE Bug = "DotReused" -> [disk[n] EXCEPT !.clock[n] = 0]
                 [] Bug = "PastSinceRestart" -> [disk[n] EXCEPT !.told = disk[n].clock]
                 [] OTHER -> disk[n],
            Abandoned(n))

\* n is gone, s comes in its place, and the transfers are these.
WipeTo(n, s, transfers) ==
    /\ n \in Alive /\ s \in Spare \ member
    /\ IF Bug = "IncarnationReused"
       THEN /\ mem' = [mem EXCEPT ![n] = [Empty EXCEPT !.ready = TRUE]]
            /\ disk' = [disk EXCEPT ![n] = mem'[n]]
            /\ UNCHANGED <<member, gone, sent>>
       ELSE /\ gone' = gone \cup {n}
            /\ member' = member \cup {s}
            /\ sent' = sent \cup UNION {
                   {<<m, s, i>> : i \in IF Slots THEN {} ELSE disk[m].log} : m \in Alive \ {n}}
            /\ UNCHANGED <<mem, disk>>
    /\ waiting' = [waiting EXCEPT ![n] = {}]
    /\ acked' = [acked EXCEPT ![n] = [m \in Node |-> Zero]]
    /\ sync' = transfers
    /\ session' = Forgotten(n)
    /\ UNCHANGED <<flying, spent, written, answered, ghosts>>

\* n loses its disk, for ever, and comes back as s, which nobody knows and which
\* knows nothing.  The others send it what is in their logs.
Wipe(n, s) ==
    /\ \E m \in Alive \ {n} : disk[m].ready
    /\ WipeTo(n, s, Abandoned(n))

(***************************************************************************)
(* Behaviours.                                                             *)
(***************************************************************************)

\* The bounds of a model end every behaviour, so a deadlock says nothing here;
\* that progress is made until then is what liveness is for.
Idle == UNCHANGED vars

Work ==
    \/ \E n \in Alive : Sync(n) \/ Collect(n) \/ EndSync(n)
    \/ \E n, p \in Alive : \E i \in disk[n].log : Send(n, p, i)
    \/ \E m \in (IF Slots THEN flying ELSE sent) : Deliver(m[2], m[1], m[3])
    \/ \E n \in Alive : \E i \in waiting[n] : DeliverWaiting(n, i)
    \/ \E n \in Alive, p \in member : HandleAck(n, p)
    \/ \E n \in Alive : \E i \in 1..Len(written) : Answer(n, i)
    \/ \E n, d \in Alive : BeginSync(n, d)
    \/ \E n \in Alive, k \in Key : MergeChunk(n, k)

Clients ==
    \/ \E n \in Alive, k \in Key, c \in Levels, deletes \in BOOLEAN :
           Put(n, k, deletes, c) \/ SessionPut(n, k, deletes, c)
    \/ \E n \in Alive, k \in Key : SessionRead(n, k)

Failures ==
    \/ \E n \in Alive : Crash(n)
    \/ \E n \in Alive, s \in Spare : Wipe(n, s)
    \/ \E m \in flying : Lose(m)

Next == Work \/ Clients \/ Failures \/ Idle

Spec == Init /\ [][Next]_vars

\* Clients need not write, and nothing has to fail; all else goes on.  Every
\* behaviour of a bounded model comes to an end, so this one condition is
\* enough.
FairSpec == Spec /\ WF_vars(Work)

\* Nodes are alike, and so are keys.
Symmetry == Permutations(Founder) \cup Permutations(Spare) \cup Permutations(Key)

(***************************************************************************)
(* Safety.                                                                 *)
(***************************************************************************)
Writes == 1..Len(written)
Clock == [Node -> 0..MaxWrites]

IsState(s) ==
    /\ s.clock \in Clock /\ s.told \in Clock /\ Covers(s.clock, s.told)
    /\ s.versions \subseteq Writes /\ s.log \subseteq Writes /\ s.applied \subseteq Writes
    /\ s.lamport \in 0..MaxWrites /\ s.ready \in BOOLEAN
    /\ Cardinality(s.log) <= MaxLog

IsSync(y) ==
    /\ y.on \in BOOLEAN /\ y.clock \in Clock /\ y.base \in Clock
    /\ y.stage \cup y.versions \cup y.meanwhile \subseteq Writes /\ y.missing \subseteq Key
    /\ ~y.on => y = NoSync

TypeOK ==
    /\ Founder \subseteq member /\ member \subseteq Node /\ gone \subseteq member
    /\ \A n \in Node :
           /\ IsState(mem[n]) /\ IsState(disk[n]) /\ IsSync(sync[n])
           /\ waiting[n] \subseteq Writes /\ Cardinality(waiting[n]) <= MaxWaiting
           /\ \A p \in Node : acked[n][p] \in Clock
           /\ n \notin Alive => waiting[n] = {} /\ ~sync[n].on
    /\ sent \cup flying \subseteq Node \X Node \X Writes
    /\ answered \subseteq Writes /\ session.token \in Clock
    /\ session.pending \in Writes \cup {0}

\* What anybody has heard of was given a dot of its own.
Heard == UNION {disk[n].applied : n \in Node} \cup {m[3] : m \in sent} \cup session.saw

DotUnique ==
    \A i, j \in Heard :
        written[i].node = written[j].node /\ written[i].counter = written[j].counter => i = j

\* A clock promises what was applied: of each node's writes the first, no gap.
ClockWellFormed ==
    \A n \in Node : \A s \in {mem[n], disk[n]} :
        {<<written[i].node, written[i].counter>> : i \in s.applied} =
            UNION {{<<m, c>> : c \in 1..s.clock[m]} : m \in Node}

\* Every version is of a write that was applied, and that added one.
NoInvention ==
    \A n \in Node : \A i \in mem[n].versions : i \in mem[n].applied /\ ~written[i].deletes

AtMostOnceApplied == repeated = {}

\* Nothing is there, or seen, without all that happened before it.
CausalDelivery ==
    \A n \in Node : \A i \in mem[n].applied \cup mem[n].versions :
        written[i].before \subseteq mem[n].applied

LamportRespectsHappensBefore ==
    \A i \in Writes : \A j \in written[i].before : written[j].lamport < written[i].lamport

\* No version stands beside one whose writer went by it.
SiblingsConcurrent ==
    \A n \in Node : \A i, j \in mem[n].versions : i \notin written[j].over

\* What clients were told to be stored is, wherever the clock says so, there,
\* unless a write that went by it has taken its place.
NoLostUpdate ==
    \A n \in Node : \A s \in {mem[n], disk[n]} : \A i \in answered :
        Seen(i, s.clock) => Shows(s, i)

\* An answer says on how many disks a write is.  A disk that was lost later
\* counts; so a client that fears that asks for more.
AckImpliesStored ==
    \A i \in answered :
        Cardinality({n \in Node : i \in disk[n].applied}) >= written[i].copies

\* A version that was replaced or deleted is never again where that was seen.
NoResurrection ==
    \A n \in Node : \A i \in mem[n].versions : ~Overwritten(mem[n], i)

\* The winner, by Lamport clock, then by the dot.
Before(i, j, order) ==
    LET w == written[i]
        x == written[j]
    IN \/ w.lamport < x.lamport
       \/ w.lamport = x.lamport /\ order[w.node] < order[x.node]

Winner(s, k, order) ==
    LET all == Of(s.versions, k) IN
    IF all = {} THEN 0
    ELSE IF Bug = "WinnerByArrival" /\ s.latest \in all THEN s.latest
    ELSE CHOOSE i \in all : \A j \in all \ {i} : Before(j, i, order)

\* However the ids of nodes are ordered.
Orders ==
    {f \in [Node -> 1..Cardinality(Node)] : \A m, n \in Node : m # n => f[m] # f[n]}

\* Who has seen the same shows the same, in whatever order it came.
ConflictResolutionDeterministic ==
    \A m, n \in Node : mem[m].clock = mem[n].clock =>
        /\ mem[m].versions = mem[n].versions
        /\ \A k \in Key, order \in Orders :
               Winner(mem[m], k, order) = Winner(mem[n], k, order)

\* Where no log was too short, it has what some member lacks.
KeepsUnacknowledged ==
    \A n \in Alive : \A i \in disk[n].applied \ disk[n].log :
        \A p \in member : i \in disk[p].applied

\* The client with a session, once it has its answers.
ReadYourWrites == "ReadYourWrites" \notin broken
MonotonicReads == "MonotonicReads" \notin broken
WritesFollowReads == \A i \in Writes : written[i].follows \subseteq written[i].before

(***************************************************************************)
(* Action properties.                                                      *)
(***************************************************************************)

\* What is durable is never unseen again; in memory, only by a crash.
ClockMonotone ==
    [][\A n \in Node :
           /\ Covers(disk'[n].clock, disk[n].clock)
           /\ spent'.crashes = spent.crashes => Covers(mem'[n].clock, mem[n].clock)]_vars

\* A node that has lost its disk never writes again, and its id never returns;
\* so under one id the count of durable writes does not go back.
IncarnationMonotone ==
    [][/\ gone \subseteq gone' /\ member \subseteq member'
       /\ \A n \in gone : mem'[n] = mem[n]
       /\ \A n \in Node : disk'[n].clock[n] >= disk[n].clock[n]]_vars

(***************************************************************************)
(* Liveness, under FairSpec.                                               *)
(***************************************************************************)

\* Did write i survive anywhere?
Survives(i) == \E n \in Alive : i \in disk[n].applied

EventualDelivery ==
    <>[](\A i \in Writes : Survives(i) => \A n \in Alive : i \in disk[n].applied)

Convergence ==
    <>[](\A m, n \in Alive : disk[m].clock = disk[n].clock /\ disk[m].versions = disk[n].versions
                             /\ disk[m].ready)

AllAcked ==
    <>[](\A i \in Writes : written[i].node \in Alive /\ Survives(i) => i \in answered)

(***************************************************************************)
(* Witnesses: each says that something cannot happen, and TLC must find it *)
(* happening; or the properties above would hold of nothing.               *)
(***************************************************************************)

\* Two versions of a key, at all nodes.
NeverSiblings ==
    ~\E k \in Key : \A n \in Alive : Cardinality(Of(mem[n].versions, k)) > 1

\* A transfer that brings something, while a write comes that the donor lacks.
NeverSynced ==
    [][~\E n \in Alive :
           /\ EndSync(n) /\ \E i \in sync[n].meanwhile : ~Seen(i, sync[n].clock)
           /\ mem'[n].versions \ mem[n].versions # {}]_vars

\* A transfer that takes a version away, which the donor knows to be deleted.
NeverSyncedDelete ==
    [][~\E n \in Alive : EndSync(n) /\ mem[n].versions \ mem'[n].versions # {}]_vars

NeverDeliveredLater == [][~\E n \in Alive, i \in Writes : DeliverWaiting(n, i)]_vars

\* A write of a node that is gone comes to one that joined later.
NeverRelayed ==
    ~\E n \in Alive \ Founder, i \in Writes : written[i].node \in gone /\ i \in mem[n].applied
                                               /\ spent.syncs = 0

\* A session waited for a node, and then was served there.
NeverWaited == [][~\E n \in session.late, k \in Key : SessionRead(n, k)]_vars

\* What a put's context does not promise: see TLA_README.md.
NoUnreadReplaced == \A i \in Writes : written[i].unread = {}
=============================================================================
