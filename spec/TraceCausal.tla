---------------------------- MODULE TraceCausal ----------------------------
(***************************************************************************)
(* Is what the program did in causal mode what Causal.tla allows?          *)
(*                                                                         *)
(* TraceData has the lines that nodes have observed, merged into one order *)
(* that keeps that of each node and has no effect before its cause (see    *)
(* tests/src/trace/causal.rs).  A line is a step here: an action of        *)
(* Causal.tla with the line's parameters, and what the line says of the    *)
(* state after it.  TLC finds no next step (a deadlock, exit code 11)      *)
(* where a line is none; `tr` and `l` of the last state name the line.     *)
(*                                                                         *)
(* Where the program does another thing than an action of Causal.tla:      *)
(*                                                                         *)
(*  1. Members come from Raft, and may be removed.  What a node takes for  *)
(*     the members is its roster; Collect and Answer go by that, and by    *)
(*     who acknowledged as far as the program knows, which forgets more.   *)
(*  2. An acknowledgement and a donor's pinned state are of the time when  *)
(*     they were sent.  They must be on the sender's disk when they are    *)
(*     received.                                                           *)
(*  3. A transfer outlives its donor, if what is asked has come already.   *)
(*     It ends by itself (EndSync), with its node, or is given up.         *)
(*  4. The log is the program's.  It is bounded by bytes, not by a number  *)
(*     (Trim), forgets at EndSync of whom it has skipped writes (Restart), *)
(*     and has after a crash also what was released since the snapshot.    *)
(*     What it holds matters for what may be sent, and only for that.      *)
(*  5. After a crash the first write names all its past, not what is new   *)
(*     since the last one: `told` begins at zero.                          *)
(*  6. A node joins without that another's disk was lost, and serves       *)
(*     without a donor where all that served are lost (Found).             *)
(*  7. Clients carry what they have seen, and there are many: contexts     *)
(*     come from the line, and Causal's one session rests.  A read is      *)
(*     of what is in memory, and answered behind the commit.               *)
(*  8. Counters and sets take the place of fewer versions: of their node's *)
(*     share, of the element.  A tagged request is executed once where its *)
(*     write was applied.                                                  *)
(*  9. A commit that was durable, and of which the crash let nobody hear,  *)
(*     is known from the restart (Redeliver; its writes say not by what    *)
(*     they chose what they take the place of).                            *)
(*                                                                         *)
(* Left out: duplicates (no step), hybrid time and what goes by it, the    *)
(* buffer of waiting writes when it is full, who suspects whom.            *)
(***************************************************************************)
EXTENDS Causal, TraceData

VARIABLES
    tr,       \* Which trace.
    l,        \* The line that comes next.
    roster,   \* Node -> the members as far as it knows.
    pins,     \* The states that were pinned, each with the donor and the node it is for.
    tags      \* Node -> the tags of the writes that it has applied as such.

traceVars == <<roster, pins, tags>>

Trace == Traces[tr]
Line == Trace[l]

SetOf(seq) == {seq[j] : j \in DOMAIN seq}

\* A clock as lines have it: <<node, counter>> of each node that is not at zero.
ClockOf(pairs) ==
    [m \in Node |->
        LET of == {j \in DOMAIN pairs : pairs[j][1] = m}
        IN IF of = {} THEN 0 ELSE pairs[CHOOSE j \in of : TRUE][2]]

TraceFounder == {"n1"}
TraceSpare == UNION {SetOf(Header[j].nodes) : j \in DOMAIN Header} \ TraceFounder
TraceKey == UNION {SetOf(Header[j].keys) : j \in DOMAIN Header}

TraceInit ==
    /\ tr \in DOMAIN Traces /\ l = 1
    /\ Init
    /\ roster = [n \in Node |-> {n}]
    /\ pins = <<>>
    /\ tags = [n \in Node |-> {}]

Is(name) ==
    /\ l <= Len(Trace) /\ Line.ev = name
    /\ l' = l + 1 /\ tr' = tr

IsWritten(i) == i \in 1..Len(written)

(***************************************************************************)
(* Clients.                                                                *)
(***************************************************************************)

\* The writes among these that a context has.
InContext(writes, context) ==
    LET clock == ClockOf(context.clock)
        dots == SetOf(context.dots)
    IN {i \in writes : Seen(i, clock) \/ <<written[i].node, written[i].counter>> \in dots}

\* Has a node with this clock seen all of a context?
IsCovered(context, clock) ==
    /\ Covers(clock, ClockOf(context.clock))
    /\ \A d \in SetOf(context.dots) : d[2] <= clock[d[1]]

\* The versions that a write takes the place of, by what it goes by, and all
\* writes of its key that it goes by.
Chosen(n, here) ==
    CASE Line.by = "context" -> InContext(here, Line.context)
      [] Line.by = "share" -> {i \in here : written[i].node = n}
      [] OTHER -> SetOf(Line.replaces)

IsWrite ==
    /\ Is("Write")
    /\ LET n == Line.n
           k == Line.k
           here == Of(mem[n].versions, k)
           replaces == SetOf(Line.replaces)
           over == IF Line.by \in {"context", "share"} THEN Chosen(n, Of(mem[n].applied, k))
                   ELSE replaces
       IN
       /\ IsCovered(Line.context, mem[n].clock)
       /\ Line.tag = 0 \/ Line.tag \notin tags[n]
       /\ IF Line.by = "all" THEN Put(n, k, Line.deletes, Line.copies)
          ELSE /\ replaces \subseteq here /\ replaces = Chosen(n, here)
               /\ Write(n, k, Line.deletes, Line.copies, replaces, over, {})
               /\ UNCHANGED session
       /\ LET w == written'[Len(written')] IN
          /\ w.counter = Line.counter /\ w.lamport = Line.lamport
          /\ w.replaces = replaces /\ w.past = ClockOf(Line.past)
       /\ tags' = [tags EXCEPT ![n] = @ \cup ({Line.tag} \ {0})]
    /\ UNCHANGED <<roster, pins>>

\* What a client reads, who has seen what the context says.
IsRead ==
    /\ Is("SessionRead")
    /\ mem[Line.n].ready /\ IsCovered(Line.context, mem[Line.n].clock)
    /\ Of(mem[Line.n].versions, Line.k) = SetOf(Line.versions)
    /\ UNCHANGED <<vars, traceVars>>

\* A client is told who has its write.  It may have asked another node before,
\* under the same tag, or this one: Answer is of the first time, at the writer.
IsAnswer ==
    /\ Is("Answer")
    /\ LET n == Line.n
           i == Line.i
           holders == SetOf(Line.holders)
       IN
       /\ IsWritten(i) /\ i \in disk[n].applied
       /\ holders \subseteq Holders(n, i) \cap roster[n]
       /\ Cardinality(holders) >= Line.needed
       /\ \A m \in holders : i \in disk[m].applied
       /\ IF written[i].node = n /\ i \notin answered THEN Answer(n, i)
          ELSE /\ answered' = answered \cup {i}
               /\ UNCHANGED <<nodes, links, spent, written, session, ghosts>>
    /\ UNCHANGED traceVars

(***************************************************************************)
(* Delivery.                                                               *)
(***************************************************************************)
IsWhatCame(n, i) ==
    /\ IsWritten(i) /\ i \notin mem[n].applied
    /\ written[i].key = Line.k /\ written[i].deletes = Line.deletes

IsNowApplied(n, i) ==
    /\ i \in mem'[n].applied
    /\ tags' = [tags EXCEPT ![n] = @ \cup ({Line.tag} \ {0})]

IsDeliver ==
    /\ Is("Deliver")
    /\ IsWhatCame(Line.n, Line.i)
    /\ Deliver(Line.n, Line.from, Line.i)
    /\ IsNowApplied(Line.n, Line.i)
    /\ UNCHANGED <<roster, pins>>

IsHold ==
    /\ Is("Hold")
    /\ IsWritten(Line.i)
    /\ Deliver(Line.n, Line.from, Line.i)
    /\ Line.i \in waiting'[Line.n]
    /\ UNCHANGED traceVars

IsDeliverWaiting ==
    /\ Is("DeliverWaiting")
    /\ IsWhatCame(Line.n, Line.i)
    /\ DeliverWaiting(Line.n, Line.i)
    /\ IsNowApplied(Line.n, Line.i)
    /\ UNCHANGED <<roster, pins>>

\* What a restart tells of: it came from somebody, or has waited.
IsRedeliver ==
    /\ Is("Redeliver")
    /\ IsWhatCame(Line.n, Line.i)
    /\ DeliverWaiting(Line.n, Line.i) \/ \E m \in member : Deliver(Line.n, m, Line.i)
    /\ IsNowApplied(Line.n, Line.i)
    /\ UNCHANGED <<roster, pins>>

IsHandleAck ==
    /\ Is("HandleAck")
    /\ Covers(disk[Line.peer].clock, ClockOf(Line.clock))
    /\ HandleAckOf(Line.n, Line.peer, ClockOf(Line.clock))
    /\ UNCHANGED traceVars

(***************************************************************************)
(* The log.                                                                *)
(***************************************************************************)
IsCollect ==
    /\ Is("Collect")
    /\ LET done == SetOf(Line.done) IN
       /\ done # {} /\ done \subseteq mem[Line.n].log
       /\ \A i \in done : roster[Line.n] \subseteq Holders(Line.n, i)
       /\ Release(Line.n, done)
    /\ UNCHANGED traceVars

IsTrim ==
    /\ Is("Trim")
    /\ SetOf(Line.done) # {} /\ SetOf(Line.done) \subseteq mem[Line.n].log
    /\ Release(Line.n, SetOf(Line.done))
    /\ UNCHANGED traceVars

IsRestart ==
    /\ Is("Restart")
    /\ Release(Line.n, {i \in mem[Line.n].log : written[i].node \in SetOf(Line.writers)})
    /\ UNCHANGED traceVars

(***************************************************************************)
(* State transfer.                                                         *)
(***************************************************************************)
IsPin ==
    /\ Is("Pin")
    /\ Line.n \in Alive /\ mem[Line.n].ready
    /\ pins' = Append(pins, [state |-> mem[Line.n], donor |-> Line.n, to |-> Line.to])
    /\ UNCHANGED <<vars, roster, tags>>

IsBeginSync ==
    /\ Is("BeginSync")
    /\ Line.pin \in DOMAIN pins
    /\ pins[Line.pin].donor = Line.donor /\ pins[Line.pin].to = Line.n
    /\ LET pin == pins[Line.pin].state IN
       /\ pin.clock = ClockOf(Line.clock) /\ pin.lamport = Line.lamport
       /\ Covers(disk[Line.donor].clock, pin.clock)
       /\ BeginSyncOf(Line.n, Line.donor, pin)
    /\ UNCHANGED traceVars

\* A chunk in which several keys have changed is as many lines.
IsMergeChunk ==
    /\ Is("MergeChunk")
    /\ MergeChunk(Line.n, Line.k)
    /\ Of(sync'[Line.n].stage, Line.k) = SetOf(Line.versions)
    /\ UNCHANGED traceVars

\* In all other keys the two states do not differ.
IsMergeRest ==
    /\ Is("MergeRest")
    /\ LET y == sync[Line.n] IN
       /\ y.on
       /\ \A k \in y.missing :
              LET own == Of(y.stage, k)
              IN Join(own, y.base, Of(y.versions, k), y.clock, Seen) = own
    /\ sync' = [sync EXCEPT ![Line.n].missing = {}]
    /\ UNCHANGED <<member, gone, mem, disk, waiting, acked, links, spent, clients, ghosts>>
    /\ UNCHANGED traceVars

IsEndSync ==
    /\ Is("EndSync")
    /\ EndSync(Line.n)
    /\ UNCHANGED traceVars

IsAbandon ==
    /\ Is("Abandon")
    /\ sync' = [sync EXCEPT ![Line.n] = NoSync]
    /\ UNCHANGED <<member, gone, mem, disk, waiting, acked, links, spent, clients, ghosts>>
    /\ UNCHANGED traceVars

(***************************************************************************)
(* The disk, members, and failures.                                        *)
(***************************************************************************)
IsSynced ==
    /\ Is("Sync")
    /\ IF disk[Line.n] = mem[Line.n] THEN UNCHANGED vars ELSE Sync(Line.n)
    /\ UNCHANGED traceVars

IsMembers ==
    /\ Is("Members")
    /\ roster' = [roster EXCEPT ![Line.n] = SetOf(Line.members) \cup {Line.n}]
    /\ UNCHANGED <<vars, pins, tags>>

\* Does state s show what the line says?
Agrees(s) ==
    /\ s.clock = ClockOf(Line.clock) /\ s.lamport = Line.lamport /\ s.ready = Line.ready

\* A second start of a node: what was in memory only is gone.
IsCrash ==
    /\ Is("Crash")
    /\ LET n == Line.n
           s == [disk[n] EXCEPT !.told = Zero, !.log = SetOf(Line.log)]
       IN
       /\ Agrees(s) /\ s.versions = SetOf(Line.versions) /\ s.log \subseteq s.applied
       /\ CrashTo(n, s, [sync EXCEPT ![n] = NoSync])
       /\ roster' = [roster EXCEPT ![n] = {n}]
    /\ UNCHANGED <<pins, tags>>

IsWipe ==
    /\ Is("Wipe")
    /\ WipeTo(Line.n, Line.to, [sync EXCEPT ![Line.n] = NoSync])
    /\ UNCHANGED traceVars

\* As in Wipe, but that nobody is gone.
IsJoin ==
    /\ Is("Join")
    /\ Line.n \in Spare \ member
    /\ member' = member \cup {Line.n}
    /\ sent' = sent \cup UNION {{<<m, Line.n, i>> : i \in disk[m].log} : m \in Alive}
    /\ UNCHANGED <<gone, mem, disk, waiting, acked, sync, flying, spent, clients, ghosts>>
    /\ UNCHANGED traceVars

IsFound ==
    /\ Is("Found")
    /\ Line.n \in Alive /\ ~mem[Line.n].ready
    /\ Keep(Line.n, [mem[Line.n] EXCEPT !.ready = TRUE])
    /\ UNCHANGED <<member, gone, waiting, acked, sync, flying, spent, clients, ghosts>>
    /\ UNCHANGED traceVars

\* The end of a commit, and what the node shows then.  It is all on its disk.
IsShown ==
    /\ Is("State")
    /\ LET n == Line.n
           s == mem[n]
       IN
       /\ n \in Alive
       /\ Agrees(s) /\ s.log = SetOf(Line.log) /\ waiting[n] = SetOf(Line.waiting)
       /\ Cardinality({k \in Key : Of(s.versions, k) # {}}) = Line.keys
       /\ \A j \in DOMAIN Line.held : Of(s.versions, Line.held[j][1]) = SetOf(Line.held[j][2])
       /\ disk[n].clock = s.clock /\ disk[n].versions = s.versions
       /\ disk[n].lamport = s.lamport /\ disk[n].ready = s.ready
    /\ UNCHANGED <<vars, traceVars>>

Done ==
    /\ l > Len(Trace)
    /\ UNCHANGED <<vars, tr, l, traceVars>>

TraceNext ==
    \/ IsWrite \/ IsRead \/ IsAnswer
    \/ IsDeliver \/ IsHold \/ IsDeliverWaiting \/ IsRedeliver \/ IsHandleAck
    \/ IsCollect \/ IsTrim \/ IsRestart
    \/ IsPin \/ IsBeginSync \/ IsMergeChunk \/ IsMergeRest \/ IsEndSync \/ IsAbandon
    \/ IsSynced \/ IsMembers \/ IsCrash \/ IsWipe \/ IsJoin \/ IsFound \/ IsShown
    \/ Done

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, tr, l, traceVars>>

(***************************************************************************)
(* The invariants of Causal.tla, of the node that the last line is of: no  *)
(* other's state has changed since they were checked of that.  What goes   *)
(* over pairs of writes waits for the end of a commit.                     *)
(***************************************************************************)
Last == IF l = 1 THEN [ev |-> "Init", n |-> "n1"] ELSE Trace[l - 1]
AtRest == Last.ev \in {"State", "Crash"}

TraceDotUnique ==
    AtRest => Cardinality({<<written[i].node, written[i].counter>> : i \in Heard})
              = Cardinality(Heard)

TraceClockWellFormed ==
    \A s \in {mem[Last.n], disk[Last.n]} :
        {<<written[i].node, written[i].counter>> : i \in s.applied} =
            UNION {{<<m, c>> : c \in 1..s.clock[m]} : m \in Node}

TraceNoInvention ==
    \A i \in mem[Last.n].versions : i \in mem[Last.n].applied /\ ~written[i].deletes

TraceCausalDelivery ==
    AtRest => \A i \in mem[Last.n].applied : written[i].before \subseteq mem[Last.n].applied

TraceLamport ==
    Last.ev = "Write" =>
        LET w == written[Len(written)] IN \A j \in w.before : written[j].lamport < w.lamport

TraceSiblingsConcurrent ==
    \A i, j \in mem[Last.n].versions : i \notin written[j].over

TraceNoLostUpdate ==
    AtRest => \A i \in answered : Seen(i, mem[Last.n].clock) => Shows(mem[Last.n], i)

TraceNoResurrection ==
    AtRest => \A i \in mem[Last.n].versions : ~Overwritten(mem[Last.n], i)

TraceConverged ==
    \A m \in Node : mem[m].clock = mem[Last.n].clock => mem[m].versions = mem[Last.n].versions

(***************************************************************************)
(* Of traces with a wrong line: TLC follows each as far as it is right,    *)
(* and must come to no end.                                                *)
(***************************************************************************)
TraceSound ==
    /\ TraceDotUnique /\ TraceClockWellFormed /\ TraceNoInvention /\ AtMostOnceApplied
    /\ TraceCausalDelivery /\ TraceLamport /\ TraceSiblingsConcurrent /\ TraceNoLostUpdate
    /\ AckImpliesStored /\ TraceNoResurrection /\ TraceConverged

TraceEndsEarly == TraceSound => l <= Len(Trace)
=============================================================================
