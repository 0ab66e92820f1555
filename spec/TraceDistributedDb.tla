------------------------- MODULE TraceDistributedDb -------------------------
(***************************************************************************)
(* Trace validation of Lab 1.  TraceData.tla has what nodes of distdb did, *)
(* a record for each step, in an order in which nothing comes before what  *)
(* caused it.  TLC accepts a trace (no deadlock) if each of its steps is   *)
(* an action of DistributedDb.tla, or one of the departures below; where a *)
(* record tells something of the state, the state must be so.              *)
(*                                                                         *)
(* Of DistributedDb.tla as they are: Start, Crash, Write, Deliver, and     *)
(* BecomeReady of a node that has synced.                                  *)
(*                                                                         *)
(* Departures.  Each is either forced by what a node can know, or leaves   *)
(* out messages that only take away:                                       *)
(*  - Link, Unlink: each end sees a connection begin and end by itself.    *)
(*    Sends replaces Connected: who is linked sends, if into a void.       *)
(*  - A trace does not say on which connection a write came.  A queue      *)
(*    outlives a connection as long as one end is linked; the numbers tell *)
(*    what was lost.  So the check would let pass a write that came on an  *)
(*    earlier connection; it would still come once, and in order.          *)
(*  - Miss is Lose seen by the receiver: it may take many writes at once,  *)
(*    and also counts what was written before the link.                    *)
(*  - Hear: what DistributedDb reads of a peer directly (ready, number,    *)
(*    links) a program has from its last heartbeat, which must tell a      *)
(*    state that the sender was in.  It spreads the clock, which only      *)
(*    makes versions larger.                                               *)
(*  - Requests and chunks are kept apart from the writes, may get lost, be *)
(*    asked for again, and be refused.  A chunk has several keys, and its  *)
(*    donor's clock.  Sessions are numbered.                               *)
(*  - A node forgets what it merged when it turns to a donor and when a    *)
(*    donor fails, not whenever a link ends; what it had seen until then   *)
(*    is required of the donor, as in LoseLinks.                           *)
(*  - What a node has seen of a peer begins anew with the first message of *)
(*    another start of it; Link alone changes nothing.  A connection may   *)
(*    come late, when the process at its other end has died and its        *)
(*    successor was linked before: then `seen` goes back.                  *)
(*  - Of peers that it is linked to, a synced node has seen what came from *)
(*    them; of the others, what its donor had.  DistributedDb takes the    *)
(*    larger for all.  A node that claims less is a donor later.           *)
(*  - A donor that has never heard of a peer which has written nothing is  *)
(*    not behind.  A donor that stays behind is taken at last; `doubt`.    *)
(*  - Nodes that serve merge the states of others: repair.                 *)
(*  - A single member is ready at once.  Founding rests on what heartbeats *)
(*    told; FoundedAlone is what DistributedDb.MayFound sees directly.     *)
(*    Founding in doubt is not in DistributedDb at all, hence `doubt`.     *)
(***************************************************************************)
EXTENDS DistributedDb, TraceData

VARIABLES
    tr,      \* Which trace.
    l,       \* Which step of it comes next.
    at,      \* at[n][x]: the start of x that n is, or was last, linked to.
    told,    \* told[n][x]: what n heard last of x on the present link.
    past,    \* past[n]: what heartbeats of n may tell.
    asked,   \* Requests that were sent.
    given,   \* Chunks that were sent.
    doubt,   \* Has anybody been ready, or taken a donor, in doubt?
    founded  \* Nodes that have just founded.

traceVars == <<vars, tr, l, at, told, past, asked, given, doubt, founded>>

Largest(S) == CHOOSE x \in S : \A y \in S : y <= x
TraceNode == 1..Largest({Header[i].nodes : i \in 1..Len(Header)})
TraceLastKey == Largest({Header[i].keys : i \in 1..Len(Header)})

\* Replaces Connected: a linked node sends, whether the peer has noticed or not.
Sends(a, b) == b \in linked[a]

\* How often a donor that is behind is asked again before it is taken.
BehindMax == 10

Trace == Traces[tr]
line == Trace[l]
Is(name) == l <= Len(Trace) /\ line.ev = name
n0 == line.n

Silent == [first |-> 0, ready |-> FALSE, links |-> {}, heard |-> FALSE]

TraceInit ==
    /\ Init
    /\ tr \in 1..Len(Traces)
    /\ l = 1
    /\ at = [n \in Node |-> [x \in Node |-> 0]]
    /\ told = [n \in Node |-> [x \in Node |-> Silent]]
    /\ past = [n \in Node |-> {}]
    /\ asked = {}
    /\ given = {}
    /\ doubt = FALSE
    /\ founded = {}

\* A peer in the incarnation that n is linked to.
Incarnated(n, x) == <<x, at[n][x]>>

\* What n has seen of the process of x that it is linked to.
SeenNow(n, x) == IF seen[n][x][1] = at[n][x] THEN seen[n][x] ELSE <<at[n][x], 0>>

LinksOf(n) == {Incarnated(n, x) : x \in linked[n]} \cup {<<n, incarnation[n]>>}
Pairs(s) == {<<p[1], p[2]>> : p \in Range(s)}

\* What a heartbeat tells that is sent behind this step.  (The primes stand one by
\* one because n is an expression of the line: primed, it would be the next one's.)
Telling(n) ==
    [incarnation |-> incarnation'[n], number |-> number'[n], clock |-> clock'[n],
     ready |-> ready'[n],
     links |-> {<<x, at'[n][x]>> : x \in linked'[n]} \cup {<<n, incarnation'[n]>>}]

\* The end of each step but State: the next line, and what n may tell from here on.
Step(n) ==
    /\ l' = l + 1
    /\ UNCHANGED tr
    /\ past' = [past EXCEPT ![n] = IF up'[n] THEN @ \cup {Telling(n)} ELSE @]

KeepSync == UNCHANGED <<asked, given>>
KeepKnown == UNCHANGED <<at, told, doubt, founded>>

(***************************************************************************)
(* Membership.                                                             *)
(***************************************************************************)

\* A start that was durable and not observed is skipped.  A node that has not
\* yet joined a cluster has no place to count its starts.
TStart ==
    /\ Is("Start")
    /\ \/ Start(n0) /\ incarnation'[n0] = line.incarnation
       \/ /\ ~up[n0]
          /\ \/ line.incarnation > incarnation[n0] + 1
             \/ /\ line.incarnation = incarnation[n0]
                /\ \A w \in history : w.origin # n0
          /\ up' = [up EXCEPT ![n0] = TRUE]
          /\ incarnation' = [incarnation EXCEPT ![n0] = line.incarnation]
          /\ UNCHANGED <<memory, channel, faults, ghosts>>
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* The converter infers it from a second start, right behind the last line.
TCrash ==
    /\ Is("Crash")
    /\ Crash(n0)
    /\ told' = [told EXCEPT ![n0] = [x \in Node |-> Silent]]
    /\ given' = {m \in given : m.to # n0}
    /\ UNCHANGED <<asked, at, doubt>>
    /\ founded' = founded \ {n0}
    /\ Step(n0)

\* One end of Link.  What n was sent in an earlier incarnation of the peer, and
\* has not come until now, does not come any more.
TLink ==
    /\ Is("Link")
    /\ LET x == line.peer IN
       /\ up[n0] /\ n0 # x /\ x \notin linked[n0]
       /\ line.incarnation <= incarnation[x]
       /\ linked' = [linked EXCEPT ![n0] = @ \cup {x}]
       /\ at' = [at EXCEPT ![n0][x] = line.incarnation]
       /\ channel' = [channel EXCEPT ![x][n0] =
              SelectSeq(@, LAMBDA m : m.number[1] = line.incarnation)]
       /\ told' = [told EXCEPT ![n0][x] = Silent]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, seen, required, session,
                   faults, ghosts, doubt, founded>>
    /\ KeepSync /\ Step(n0)

\* One end of Unlink.
TUnlink ==
    /\ Is("Unlink")
    /\ LET x == line.peer IN
       /\ x \in linked[n0]
       /\ linked' = [linked EXCEPT ![n0] = @ \ {x}]
       /\ channel' = IF n0 \in linked[x] THEN channel
                     ELSE [channel EXCEPT ![x][n0] = <<>>, ![n0][x] = <<>>]
       /\ told' = [told EXCEPT ![n0][x] = Silent]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, seen, required,
                   session, faults, ghosts, at, doubt, founded>>
    /\ KeepSync /\ Step(n0)

(***************************************************************************)
(* Replication.                                                            *)
(***************************************************************************)
TWrite ==
    /\ Is("Write")
    /\ Write(n0, line.key, IF line.deleted THEN Tombstone ELSE "v")
    /\ number'[n0] = line.number
    /\ store'[n0][line.key].version = line.version
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* The numbers are without a gap: a Miss comes before.
TDeliver ==
    /\ Is("Deliver")
    /\ up[n0] /\ line.from \in linked[n0]
    /\ HeadIs(line.from, n0, "write")
    /\ LET m == Head(channel[line.from][n0])
           was == store[n0][line.key]
       IN
       /\ m.number = <<at[n0][line.from], line.number>>
       /\ line.number = SeenNow(n0, line.from)[2] + 1
       /\ m.key = line.key
       /\ m.entry.version = line.version
       /\ line.won = VersionLess(was.version, m.entry.version)
       /\ IF PairLess(seen[n0][line.from], m.number)
          THEN Deliver(n0, line.from)
          ELSE \* The last words of a process whose successor was heard before.
               /\ channel' = [channel EXCEPT ![line.from][n0] = Tail(@)]
               /\ seen' = [seen EXCEPT ![n0][line.from] = m.number]
               /\ Met(n0, m.key, m.entry, FALSE)
               /\ UNCHANGED <<up, incarnation, ready, number, linked, required, session,
                              faults, history, baseline, short>>
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* Writes that the peer has made will not come.
TMiss ==
    /\ Is("Miss")
    /\ up[n0] /\ line.from \in linked[n0]
    /\ LET x == line.from
           upto == <<at[n0][x], SeenNow(n0, x)[2] + line.writes>>
       IN
       /\ line.writes > 0
       /\ \E w \in history : w.origin = x /\ w.number = upto
       /\ seen' = [seen EXCEPT ![n0][x] = upto]
       /\ channel' = [channel EXCEPT ![x][n0] =
              SelectSeq(@, LAMBDA m : m.number[1] = upto[1] /\ m.number[2] > upto[2])]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, linked, required,
                   session, faults, ghosts>>
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* A heartbeat tells a state that its sender was in.
THear ==
    /\ Is("Hear")
    /\ up[n0] /\ line.from \in linked[n0]
    /\ LET x == line.from
           beat == [incarnation |-> at[n0][x], number |-> line.number,
                    clock |-> line.clock, ready |-> line.ready, links |-> Pairs(line.links)]
       IN
       /\ beat \in past[x]
       /\ line.number <= SeenNow(n0, x)[2]
       /\ seen' = [seen EXCEPT ![n0][x] = SeenNow(n0, x)]
       /\ told' = [told EXCEPT ![n0][x] =
              [first |-> IF @.heard THEN @.first ELSE line.number, heard |-> TRUE,
               ready |-> line.ready, links |-> Pairs(line.links)]]
    /\ clock' = [clock EXCEPT ![n0] = Max(@, line.clock)]
    /\ UNCHANGED <<up, incarnation, ready, number, store, linked, required,
                   session, channel, faults, ghosts, at, doubt, founded>>
    /\ KeepSync /\ Step(n0)

(***************************************************************************)
(* Sync.                                                                   *)
(***************************************************************************)
Subscribed(j) == {x \in linked[j] : told[j][x].heard}

\* What the donor must have seen of x: all that was sent before x was heard, and
\* all that came from it and was dropped.
Needed(j, x, before) ==
    <<at[j][x],
      IF before[x][1] = at[j][x] THEN Max(told[j][x].first, before[x][2])
      ELSE told[j][x].first>>

TRequestSync ==
    /\ Is("RequestSync")
    /\ LET d == line.donor
           old == session[n0]
           isNew == old = NoSession
           before == IF isNew THEN seen[n0] ELSE old.before
           forgets == isNew /\ ~ready[n0]
       IN
       /\ up[n0] /\ d \in linked[n0] /\ d # n0
       /\ isNew => line.chunk = 0 /\ told[n0][d].ready
       /\ ~isNew => old.donor = d /\ line.chunk + 1 = old.cursor
       /\ IF line.chunk = 0
          THEN /\ IF isNew THEN TRUE ELSE line.session > old.number
               /\ session' = [session EXCEPT ![n0] =
                      [donor |-> d, cursor |-> 1, subscribed |-> Subscribed(n0),
                       number |-> line.session, before |-> before, after |-> 0,
                       incarnations |-> {Incarnated(n0, x) : x \in Subscribed(n0)},
                       behind |-> IF isNew THEN 0 ELSE old.behind, theirs |-> NothingSeen]]
               /\ required' = [required EXCEPT ![n0] = [x \in Node |->
                      IF x \in Subscribed(n0) THEN Needed(n0, x, before) ELSE Zero]]
          ELSE /\ line.session = old.number
               /\ UNCHANGED <<session, required>>
       \* What peers have sent until here comes from the donor.
       /\ store' = IF forgets THEN [store EXCEPT ![n0] = EmptyStore] ELSE store
       /\ best' = IF forgets THEN [best EXCEPT ![n0] = EmptyStore] ELSE best
       /\ asked' = asked \cup {[from |-> n0, to |-> d, incarnation |-> incarnation[n0],
                     session |-> line.session, chunk |-> line.chunk,
                     after |-> IF line.chunk = 0 THEN 0 ELSE old.after]}
       /\ given' = {m \in given : m.to # n0 \/ m.session = line.session}
    /\ UNCHANGED <<up, incarnation, ready, clock, number, seen, linked, channel,
                   faults, history, baseline, short>>
    /\ KeepKnown /\ Step(n0)

\* The first `count` keys behind `after`.
RECURSIVE FirstOf(_, _)
FirstOf(S, count) ==
    IF count = 0 \/ S = {} THEN {} ELSE {Min(S)} \cup FirstOf(S \ {Min(S)}, count - 1)

TServeSync ==
    /\ Is("ServeSync")
    /\ up[n0] /\ ready[n0] /\ line.to \in linked[n0]
    /\ \E q \in asked :
       /\ q.from = line.to /\ q.to = n0
       /\ q.incarnation = at[n0][line.to]
       /\ q.session = line.session /\ q.chunk = line.chunk
       /\ LET present == {k \in Key : k > q.after /\ store[n0][k] # Missing}
              keys == FirstOf(present, line.entries)
              first == q.chunk = 0
          IN
          /\ Cardinality(keys) = line.entries
          /\ line.done = (keys = present)
          /\ given' = given \cup
                 {[from |-> n0, to |-> line.to, session |-> q.session, chunk |-> q.chunk,
                   clock |-> clock[n0], entries |-> [k \in keys |-> store[n0][k]],
                   done |-> line.done, base |-> IF first THEN store[n0] ELSE EmptyStore,
                   seen |-> IF first THEN SeenBy(n0) ELSE NothingSeen,
                   links |-> IF first THEN {Incarnated(n0, x) : x \in linked[n0] \ {line.to}}
                             ELSE {}]}
    /\ UNCHANGED <<vars, asked>>
    /\ KeepKnown /\ Step(n0)

TRefuseSync ==
    /\ Is("RefuseSync")
    /\ up[n0] /\ ~ready[n0]
    /\ \E q \in asked : q.from = line.to /\ q.to = n0 /\ q.session = line.session
    /\ UNCHANGED vars
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* DistributedDb.Acceptable, with what the joiner knew when it asked.
Covered(j, m) ==
    /\ \A x \in session[j].subscribed :
           \/ m.seen[x][1] = required[j][x][1] /\ m.seen[x][2] >= required[j][x][2]
           \/ m.seen[x] = Zero /\ required[j][x][2] = 0
    /\ m.links \subseteq session[j].incarnations

\* A chunk that n waits for.
Awaited(n, m) ==
    /\ session[n] # NoSession
    /\ m.to = n /\ m.from = session[n].donor
    /\ m.session = session[n].number /\ m.chunk + 1 = session[n].cursor

TDonorBehind ==
    /\ Is("DonorBehind")
    /\ up[n0]
    /\ \E m \in given :
       /\ m.from = line.donor /\ Awaited(n0, m) /\ m.chunk = 0
       /\ ~Covered(n0, m)
       /\ session[n0].behind < BehindMax
    /\ session' = [session EXCEPT ![n0].behind = @ + 1]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, seen, linked, required,
                   channel, faults, ghosts>>
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* Of peers that are not linked, n has seen what its donor had.
SeenAfter(n, theirs) ==
    [x \in Node |->
       IF x \in linked[n] /\ seen[n][x] # Zero THEN seen[n][x]
       ELSE IF PairLess(seen[n][x], theirs[x])
               \/ (~ready[n] /\ theirs[x] # Zero /\ seen[n][x][1] = theirs[x][1])
       THEN theirs[x] ELSE seen[n][x]]

TMergeChunk ==
    /\ Is("MergeChunk")
    /\ up[n0]
    /\ \E m \in given :
       /\ m.from = line.donor /\ Awaited(n0, m)
       /\ m.session = line.session /\ m.done = line.done
       /\ Cardinality(DOMAIN m.entries) = line.entries
       /\ m.chunk = 0 => Covered(n0, m) \/ session[n0].behind >= BehindMax
       /\ doubt' = (doubt \/ (m.chunk = 0 /\ ~Covered(n0, m)))
       /\ LET news == {k \in DOMAIN m.entries :
                           VersionLess(store[n0][k].version, m.entries[k].version)}
              theirs == IF m.chunk = 0 THEN m.seen ELSE session[n0].theirs
              after == IF DOMAIN m.entries = {} THEN session[n0].after
                       ELSE Largest(DOMAIN m.entries)
          IN
          /\ Cardinality(news) = line.won
          /\ store' = [store EXCEPT ![n0] = [k \in Key |->
                 IF k \in DOMAIN m.entries THEN Merged(@[k], m.entries[k], FALSE) ELSE @[k]]]
          /\ best' = [best EXCEPT ![n0] = [k \in Key |->
                 IF k \in DOMAIN m.entries THEN Larger(@[k], m.entries[k]) ELSE @[k]]]
          /\ clock' = [clock EXCEPT ![n0] = Max(@, m.clock)]
          /\ \A k \in DOMAIN m.entries : m.entries[k].version[1] <= m.clock
          /\ baseline' = IF m.chunk = 0 THEN [baseline EXCEPT ![n0] = m.base] ELSE baseline
          /\ session' = [session EXCEPT ![n0] =
                 IF m.done /\ ready[n0] THEN NoSession
                 ELSE [@ EXCEPT !.cursor = IF m.done THEN 0 ELSE m.chunk + 2,
                                !.after = after, !.theirs = theirs]]
          /\ seen' = IF m.done THEN [seen EXCEPT ![n0] = SeenAfter(n0, theirs)] ELSE seen
    /\ UNCHANGED <<up, incarnation, ready, number, linked, required, channel, faults,
                   history, short, at, told, founded>>
    /\ KeepSync /\ Step(n0)

\* A donor has failed.
TAbandonSync ==
    /\ Is("AbandonSync")
    /\ up[n0]
    /\ session[n0] # NoSession
    /\ session[n0].donor = line.donor /\ session[n0].number = line.session
    /\ session' = [session EXCEPT ![n0] = NoSession]
    /\ required' = [required EXCEPT ![n0] = NothingSeen]
    /\ baseline' = [baseline EXCEPT ![n0] = EmptyStore]
    /\ store' = IF ready[n0] THEN store ELSE [store EXCEPT ![n0] = EmptyStore]
    /\ best' = IF ready[n0] THEN best ELSE [best EXCEPT ![n0] = EmptyStore]
    /\ UNCHANGED <<up, incarnation, ready, clock, number, seen, linked, channel, faults,
                   history, short>>
    /\ KeepSync /\ KeepKnown /\ Step(n0)

Repaired(n) == ready[n] /\ session[n] = NoSession
TRepair ==
    /\ Is("Repair")
    /\ Repaired(n0)
    /\ UNCHANGED vars
    /\ KeepSync /\ KeepKnown /\ Step(n0)

\* What a node knows when it founds.  The others are the members beside it.
MayServe(n, how, others) ==
    CASE how = "alone" -> others = {}
      [] how = "founded" ->
           /\ others # {} /\ others \subseteq linked[n]
           /\ \A x \in others : n < x
           /\ \A x \in linked[n] : /\ told[n][x].heard /\ ~told[n][x].ready
                                   /\ told[n][x].links = LinksOf(n)
      [] how = "founded_in_doubt" ->
           \A x \in linked[n] : n < x /\ ~told[n][x].ready
      [] OTHER -> FALSE

TBecomeReady ==
    /\ Is("BecomeReady")
    /\ \/ line.how = "synced" /\ Synced(n0) /\ BecomeReady(n0) /\ UNCHANGED founded
       \/ /\ line.how # "synced"
          /\ up[n0] /\ ~ready[n0] /\ session[n0] = NoSession
          /\ MayServe(n0, line.how, Range(line.others))
          /\ ready' = [ready EXCEPT ![n0] = TRUE]
          /\ founded' = IF line.how = "founded_in_doubt" THEN founded ELSE founded \cup {n0}
          /\ UNCHANGED <<up, incarnation, clock, number, store, seen, linked, required,
                         session, channel, faults, ghosts>>
    /\ line.keys = Cardinality({k \in Key : store[n0][k].value \in Value})
    /\ doubt' = (doubt \/ line.how = "founded_in_doubt")
    /\ UNCHANGED <<at, told>>
    /\ KeepSync /\ Step(n0)

(***************************************************************************)
(* What a step has left.                                                   *)
(***************************************************************************)

\* Of peers that are gone for good, a node forgets what it has seen: it is the
\* stricter as a joiner, and a donor later.
TState ==
    /\ Is("State")
    /\ up[n0]
    /\ line.clock = clock[n0]
    /\ line.number = number[n0]
    /\ line.ready = ready[n0]
    /\ line.keys = Cardinality({k \in Key : store[n0][k].value \in Value})
    /\ line.tombstones = Cardinality({k \in Key : store[n0][k].value = Tombstone})
    /\ Range(line.linked) = linked[n0]
    /\ line.donor = (IF session[n0] = NoSession THEN Nobody ELSE session[n0].donor)
    /\ LET told2 == {<<s[1], s[2], s[3]>> : s \in Range(line.seen)}
           known == {s[1] : s \in told2}
       IN
       /\ \A s \in told2 : s[1] # n0 => seen[n0][s[1]] = <<s[2], s[3]>>
       /\ seen' = [seen EXCEPT ![n0] = [x \in Node |-> IF x \in known THEN @[x] ELSE Zero]]
    /\ founded' = {}
    /\ UNCHANGED <<up, incarnation, ready, clock, number, store, linked, required, session,
                   channel, faults, ghosts, at, told, doubt>>
    /\ KeepSync /\ Step(n0)

\* All of the trace was a behaviour of the specification.
TDone == l > Len(Trace) /\ UNCHANGED traceVars

TraceNext ==
    \/ TStart \/ TCrash \/ TLink \/ TUnlink
    \/ TWrite \/ TDeliver \/ TMiss \/ THear
    \/ TRequestSync \/ TServeSync \/ TRefuseSync \/ TDonorBehind \/ TMergeChunk
    \/ TAbandonSync \/ TRepair \/ TBecomeReady \/ TState \/ TDone

\* While nobody has served in doubt, nobody serves when another founds: what
\* DistributedDb.MayFound demands.
FoundedAlone == \A n \in founded : doubt \/ \A x \in Node \ {n} : ~ready[x]

\* For traces with a wrong line, many in one run (TraceDistributedDbCorrupted.cfg):
\* each must end early, or break an invariant.
TraceSound ==
    /\ NoInvention /\ VersionsUnique /\ SyncNeverRegresses /\ NoResurrection
    /\ ServesOnlyWhenSynced /\ SyncedHasDonors /\ NoEcho /\ FoundedAlone
TraceEndsEarly == TraceSound => l <= Len(Trace)
=============================================================================
