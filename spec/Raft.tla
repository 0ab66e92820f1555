------------------------------- MODULE Raft -------------------------------
(***************************************************************************)
(* Lab 3 of distdb: Raft (Ongaro and Ousterhout 2014; Ongaro's thesis).    *)
(*                                                                         *)
(* A leader puts commands into its log, the others copy the log, and an    *)
(* entry that a majority has on disk is committed and applied, in the same *)
(* order everywhere.  A leader sends entries EARLY, beside its own sync    *)
(* (thesis 10.2.1): they may be at followers before they are durable at    *)
(* itself, so a leader counts itself only for what it has synced.          *)
(*                                                                         *)
(*    leader              follower             follower                    *)
(*      | Propose            |                    |                        *)
(*      | -- SendAppend ---> | -----------------> |   beside ...           *)
(*      | (Sync)             | HandleAppend       |   ... its own disk     *)
(*      | <--- appended ---- | (durable first)    |                        *)
(*      | HandleAppended     |                    |                        *)
(*      | AdvanceCommit      |                    |                        *)
(*      | Apply, answer      |                    |                        *)
(*                                                                         *)
(* Messages are sets that are never consumed: loss is never receiving, a   *)
(* repetition is receiving twice, and order is free.                       *)
(*                                                                         *)
(* One action is one event of the program and has its name.  Crash, Sync   *)
(* (the disk has finished) and Idle belong to the environment.             *)
(*                                                                         *)
(* Invariants and liveness stand at the end; TLA_README.md says which      *)
(* configuration checks what, and which failures are expected.             *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Node,         \* All nodes that ever take part.
    Voters,       \* The voters of the first configuration.
    Request,      \* Identities of client requests.
    MaxTerm,      \* Nobody campaigns beyond this term.
    MaxLog,       \* Nobody proposes beyond this index.
    MaxSends,     \* What leaders send, all together.
    MaxCrashes,   \* Crashes, all nodes together.
    MaxApplied,   \* Nobody applies beyond this index.
    MaxBase,      \* Nobody takes a snapshot beyond this index.
    MaxChanges,   \* Changes of the configuration in a log.
    MaxReads,     \* Reads, all nodes together.
    Batches,      \* TRUE: a message may end before the end of the log.
    Refusals,     \* TRUE: a follower answers an append that does not fit.
    Patient,      \* TRUE: the timing assumption that liveness needs.
    Bug           \* "none", or the name of a mutant.

Nobody == "nobody"  \* The vote of a node that has not voted in its term.
NoOp == "noop"      \* The request of an entry that comes from no client.

ASSUME Voters \subseteq Node /\ Voters # {}
ASSUME Nobody \notin Node /\ NoOp \notin Request

VARIABLES
    up,         \* Is the process running?
    term,       \* The current term.            Survives a crash.
    voted,      \* For whom, in this term.      Survives a crash.
    log,        \* Entries from index 1.        Survives up to `durable`.
    durable,    \* The last index on disk.  Only a leader's log is ever ahead.
    base,       \* The last index in the snapshot.  Survives a crash.
    commit,     \* The commit index.  Saved now and then, so it may go back.
    applied,    \* The last index applied.  Begins at `base` after a crash.
    role,       \* "follower", "candidate" or "leader".
    match,      \* Leader -> follower -> what is known to be durable there.
    read,       \* Leader -> the last round, and the read that waits for it.
    ballots,    \* RequestVote messages.
    votes,      \* Votes that were granted.
    appends,    \* What leaders sent; see SendAppend.
    replies,    \* Answers of followers to it.
    crashes,    \* Crashes so far.
    leaders,    \* Ghost: <<term, node>> of every leader there ever was.
    committed,  \* Ghost: the entries ever committed, and in which term.
    served      \* Ghost: the reads that were answered.

disk == <<term, voted, log, durable, base>>
memory == <<up, commit, applied, role, match, read>>
messages == <<ballots, votes, appends, replies>>
ghosts == <<leaders, committed, served>>
vars == <<disk, memory, messages, crashes, ghosts>>

Max(a, b) == IF a < b THEN b ELSE a
Min(a, b) == IF a < b THEN a ELSE b
Largest(S) == CHOOSE x \in S : \A y \in S : y <= x
Range(s) == {s[i] : i \in 1..Len(s)}
Prefix(s, i) == SubSeq(s, 1, i)
IsPrefix(s, t) == Len(s) <= Len(t) /\ s = Prefix(t, Len(s))

(***************************************************************************)
(* The log.  `log[n]` keeps also what is compacted, up to base[n]: that    *)
(* part is the snapshot.  Of it a step may use only what a snapshot holds: *)
(* the applied state, the requests executed, the configuration, and the    *)
(* last index and term.                                                    *)
(***************************************************************************)
NoConfig == [voters |-> {}, learners |-> {}, removed |-> {}]
FirstConfig == [voters |-> Voters, learners |-> {}, removed |-> {}]

Command(t, r) == [term |-> t, request |-> r, config |-> NoConfig]
Change(t, c) == [term |-> t, request |-> NoOp, config |-> c]

TermAt(s, i) == IF i = 0 THEN 0 ELSE s[i].term
LastTerm(s) == TermAt(s, Len(s))

\* A configuration takes effect where it is appended, committed or not.
ChangesIn(s) == {i \in 1..Len(s) : s[i].config # NoConfig}
LastChange(s) == IF ChangesIn(s) = {} THEN 0 ELSE Largest(ChangesIn(s))
ConfigOf(s) == IF LastChange(s) = 0 THEN FirstConfig ELSE s[LastChange(s)].config
VotersAt(n) == ConfigOf(log[n]).voters
Members(c) == c.voters \cup c.learners

IsQuorum(S, voters) == 2 * Cardinality(S \cap voters) > Cardinality(voters)

\* The requests executed by applying entries i..last, when those of `table`
\* were executed before.  A request that is there again has no effect.
RECURSIVE Executed(_, _, _, _)
Executed(s, i, last, table) ==
    IF i > last THEN <<>>
    ELSE LET r == s[i].request
             again == r \in table /\ Bug # "NoDedupe"
         IN IF r = NoOp \/ again THEN Executed(s, i + 1, last, table)
            ELSE <<r>> \o Executed(s, i + 1, last, table \cup {r})

\* The state machine of a node: what its snapshot holds, and what was applied
\* since.  The table of executed requests is part of the snapshot.
Store(n) ==
    LET snapshot == Executed(log[n], 1, base[n], {})
        table == IF Bug = "DedupeNotInSnapshot" THEN {} ELSE Range(snapshot)
    IN snapshot \o Executed(log[n], base[n] + 1, applied[n], table)

(***************************************************************************)
(* The beginning, and the states that stand for long beginnings.           *)
(***************************************************************************)
NoMatch == [x \in Node |-> 0]
NoRead == [open |-> FALSE, round |-> 0, index |-> 0, acks |-> {}, floor |-> 0]

\* The voters in a fixed order: who plays which part in the states below.
Part == CHOOSE s \in [1..Cardinality(Voters) -> Voters] : Cardinality(Range(s)) = Len(s)

InitWith(terms, ballot, logs) ==
    /\ up = [n \in Node |-> TRUE]
    /\ term = terms
    /\ voted = ballot
    /\ log = logs
    /\ durable = [n \in Node |-> Len(logs[n])]
    /\ base = [n \in Node |-> 0]
    /\ ballots = {} /\ votes = {} /\ appends = {}
    /\ crashes = 0
    /\ served = {}

Init ==
    /\ InitWith([n \in Node |-> 0], [n \in Node |-> Nobody], [n \in Node |-> <<>>])
    /\ role = [n \in Node |-> "follower"]
    /\ commit = [n \in Node |-> 0] /\ applied = commit
    /\ match = [n \in Node |-> NoMatch]
    /\ read = [n \in Node |-> NoRead] /\ replies = {}
    /\ leaders = {} /\ committed = <<>>

\* Term 1 has a leader, whose first entry is committed, and all voters know.
InitLed ==
    LET leader == Part[1]
        first == <<Command(1, NoOp)>>
    IN
    /\ InitWith([n \in Node |-> IF n \in Voters THEN 1 ELSE 0],
                [n \in Node |-> IF n \in Voters THEN leader ELSE Nobody],
                [n \in Node |-> IF n \in Voters THEN first ELSE <<>>])
    /\ role = [n \in Node |-> IF n = leader THEN "leader" ELSE "follower"]
    /\ commit = [n \in Node |-> IF n \in Voters THEN 1 ELSE 0] /\ applied = commit
    /\ match = [n \in Node |-> IF n = leader
           THEN [x \in Node |-> IF x \in Voters \ {n} THEN 1 ELSE 0] ELSE NoMatch]
    /\ read = [n \in Node |-> NoRead] /\ replies = {}
    /\ leaders = {<<1, leader>>}
    /\ committed = <<[entry |-> first[1], by |-> 1]>>

\* Figure 8 of the paper, before its state (c), with three nodes: a led term 1
\* and b term 2, and each put an entry into its own log only.  Now a leads
\* term 3, by the vote of the third, and has sent nothing yet.
InitFigure8 ==
    LET a == Part[1]
        b == Part[2]
    IN
    /\ InitWith([n \in Node |-> IF n = b THEN 2 ELSE 3],
                [n \in Node |-> IF n = b THEN b ELSE a],
                [n \in Node |-> IF n = a THEN <<Command(1, NoOp), Command(3, NoOp)>>
                                ELSE IF n = b THEN <<Command(2, NoOp)>> ELSE <<>>])
    /\ role = [n \in Node |-> IF n = a THEN "leader" ELSE "follower"]
    /\ commit = [n \in Node |-> 0] /\ applied = commit
    /\ match = [n \in Node |-> NoMatch]
    /\ read = [n \in Node |-> NoRead] /\ replies = {}
    /\ leaders = {<<1, a>>, <<2, b>>, <<3, a>>} /\ committed = <<>>

\* Ongaro's erratum of 2015 on single-server changes: a, the leader of term 1,
\* has begun to remove b from four voters, and nobody has heard of it.  Then c
\* was elected in term 2, by all others, and has sent nothing yet.
InitErratum ==
    LET a == Part[1]
        b == Part[2]
        c == Part[3]
        first == <<Command(1, NoOp)>>
        less == [voters |-> Voters \ {b}, learners |-> {}, removed |-> {b}]
    IN
    /\ InitWith([n \in Node |-> 2],
                [n \in Node |-> IF n = a THEN Nobody ELSE c],
                [n \in Node |-> IF n = a THEN Append(first, Change(1, less))
                                ELSE IF n = c THEN Append(first, Command(2, NoOp))
                                ELSE first])
    /\ role = [n \in Node |-> IF n = c THEN "leader" ELSE "follower"]
    /\ commit = [n \in Node |-> 1] /\ applied = commit
    /\ match = [n \in Node |-> NoMatch]
    /\ read = [n \in Node |-> NoRead] /\ replies = {}
    /\ leaders = {<<1, a>>, <<2, c>>}
    /\ committed = <<[entry |-> first[1], by |-> 1]>>

\* Leader a of term 1 has committed a request, and served a read in round 1 by
\* an answer of d.  Nobody else knows of the commit, and a does not know that c
\* was elected in term 2.
InitSplit ==
    LET a == Part[1]
        c == Part[2]
        d == Part[3]
        old == <<Command(1, NoOp), Command(1, CHOOSE r \in Request : TRUE)>>
    IN
    /\ InitWith([n \in Node |-> IF n = a THEN 1 ELSE 2],
                [n \in Node |-> IF n = a THEN a ELSE c],
                [n \in Node |-> IF n = c THEN Append(old, Command(2, NoOp)) ELSE old])
    /\ role = [n \in Node |-> IF n \in {a, c} THEN "leader" ELSE "follower"]
    /\ commit = [n \in Node |-> IF n = a THEN 2 ELSE 1] /\ applied = commit
    /\ match = [n \in Node |-> IF n = a THEN [x \in Node |-> IF x = a THEN 0 ELSE 2]
                               ELSE NoMatch]
    /\ read = [n \in Node |-> IF n = a THEN [NoRead EXCEPT !.round = 1] ELSE NoRead]
    /\ replies = {[src |-> d, dst |-> a, term |-> 1, ok |-> TRUE, match |-> 2, round |-> 1]}
    /\ leaders = {<<1, a>>, <<2, c>>}
    /\ committed = <<[entry |-> old[1], by |-> 1], [entry |-> old[2], by |-> 1]>>

(***************************************************************************)
(* Terms and roles.                                                        *)
(***************************************************************************)
Leads(n) == up[n] /\ role[n] = "leader"

\* n becomes, or stays, a follower in term t.
Follow(n, t) ==
    /\ term' = [term EXCEPT ![n] = t]
    /\ role' = [role EXCEPT ![n] = "follower"]
    /\ match' = [match EXCEPT ![n] = NoMatch]
    /\ read' = [read EXCEPT ![n] = NoRead]

\* Memory is gone, and of the log what was not synced.  The commit index is
\* written lazily: any earlier one may be what the node begins with.
Crash(n) ==
    /\ up[n] /\ crashes < MaxCrashes
    /\ crashes' = crashes + 1
    /\ up' = [up EXCEPT ![n] = FALSE]
    /\ term' = [term EXCEPT ![n] = IF Bug = "TermNotPersisted" THEN 0 ELSE @]
    /\ voted' = [voted EXCEPT ![n] =
           IF Bug \in {"VoteNotPersisted", "TermNotPersisted"} THEN Nobody ELSE @]
    /\ LET kept == IF Bug = "LogLostOnCrash" THEN base[n] ELSE durable[n] IN
       /\ log' = [log EXCEPT ![n] = Prefix(@, kept)]
       /\ durable' = [durable EXCEPT ![n] = kept]
       /\ \E saved \in base[n]..Min(commit[n], kept) : commit' = [commit EXCEPT ![n] = saved]
    /\ applied' = [applied EXCEPT ![n] = base[n]]
    /\ role' = [role EXCEPT ![n] = "follower"]
    /\ match' = [match EXCEPT ![n] = NoMatch]
    /\ read' = [read EXCEPT ![n] = NoRead]
    /\ UNCHANGED <<base, messages, ghosts>>

Restart(n) ==
    /\ ~up[n]
    /\ up' = [up EXCEPT ![n] = TRUE]
    /\ UNCHANGED <<disk, commit, applied, role, match, read, messages, crashes, ghosts>>

\* The disk has finished what was appended.
Sync(n) ==
    /\ up[n] /\ durable[n] < Len(log[n])
    /\ durable' = [durable EXCEPT ![n] = Len(log[n])]
    /\ UNCHANGED <<term, voted, log, base, memory, messages, crashes, ghosts>>

IsRemoved(n) ==
    Leads(n) /\ n \notin VotersAt(n) /\ commit[n] >= LastChange(log[n])

\* A leader or candidate learns from a refusal that somebody is in a newer
\* term; and a leader that its own removal is committed (thesis 4.2.2).
StepDown(n) ==
    /\ up[n] /\ role[n] # "follower"
    /\ \E t \in {term[x] : x \in {y \in Node : up[y]}} :
           /\ t > term[n] \/ (t = term[n] /\ IsRemoved(n))
           /\ Follow(n, t)
           /\ voted' = [voted EXCEPT ![n] = IF t > term[n] THEN Nobody ELSE @]
    /\ UNCHANGED <<log, durable, base, up, commit, applied, messages, crashes, ghosts>>

(***************************************************************************)
(* Elections (5.2, 5.4.1).                                                 *)
(***************************************************************************)

\* "More up-to-date": the later term of the last entry, then the longer log.
UpToDate(lastTerm, last, n) ==
    \/ lastTerm > LastTerm(log[n])
    \/ lastTerm = LastTerm(log[n]) /\ last >= Len(log[n])

\* Might n be elected in term t by those who are up?
MayWin(n, t) ==
    LET for == {x \in VotersAt(n) : up[x]
                    /\ UpToDate(LastTerm(log[n]), Len(log[n]), x)
                    /\ (term[x] < t \/ (term[x] = t /\ voted[x] \in {Nobody, n}))}
    IN IsQuorum(for \cup {n}, VotersAt(n))

\* Timeouts are long beside messages, and random, so an election begins only
\* when there is nobody to wait for, and at last by one who can win.
Needed(n) ==
    /\ ~\E x \in Node : Leads(x)
    /\ ~\E x \in Node : up[x] /\ role[x] = "candidate" /\ MayWin(x, term[x])
    /\ MayWin(n, term[n] + 1)

\* The vote for itself is on disk before anybody is asked for another.
BecomeCandidate(n) ==
    /\ up[n] /\ role[n] # "leader" /\ term[n] < MaxTerm
    /\ n \in VotersAt(n)
    /\ Patient => Needed(n)
    /\ term' = [term EXCEPT ![n] = @ + 1]
    /\ voted' = [voted EXCEPT ![n] = n]
    /\ role' = [role EXCEPT ![n] = "candidate"]
    /\ ballots' = ballots \cup
           {[src |-> n, to |-> VotersAt(n) \ {n}, term |-> term[n] + 1,
             last |-> Len(log[n]), lastTerm |-> LastTerm(log[n])]}
    /\ UNCHANGED <<log, durable, base, up, commit, applied, match, read,
                   votes, appends, replies, crashes, ghosts>>

\* Term and vote are on disk before the answer leaves: that is one step.
HandleRequestVote(n, b) ==
    LET newer == b.term > term[n]
        free == newer \/ voted[n] \in {Nobody, b.src} \/ Bug = "VoteTwice"
        granted == free /\ (UpToDate(b.lastTerm, b.last, n) \/ Bug = "NoUpToDateCheck")
    IN
    /\ up[n] /\ n \in b.to /\ b.term >= term[n]
    /\ newer \/ (granted /\ [src |-> n, dst |-> b.src, term |-> b.term] \notin votes)
    /\ IF newer THEN Follow(n, b.term) ELSE UNCHANGED <<term, role, match, read>>
    /\ voted' = [voted EXCEPT ![n] =
           IF granted THEN b.src ELSE IF newer THEN Nobody ELSE @]
    /\ votes' = IF granted THEN votes \cup {[src |-> n, dst |-> b.src, term |-> b.term]}
                ELSE votes
    /\ UNCHANGED <<log, durable, base, up, commit, applied, ballots, appends,
                   replies, crashes, ghosts>>

\* A majority has voted.  Counting the votes one by one (HandleVote in the
\* program) commutes with all else, so here it is no step of its own.
\* A term begins with an entry of its own, which is committed by the ordinary
\* rule and carries all before it along (5.4.2, 8).
BecomeLeader(n) ==
    /\ up[n] /\ role[n] = "candidate"
    /\ LET for == {v.src : v \in {v \in votes : v.dst = n /\ v.term = term[n]}} IN
       IsQuorum(for \cup {n}, VotersAt(n))
    /\ role' = [role EXCEPT ![n] = "leader"]
    /\ match' = [match EXCEPT ![n] = NoMatch]
    /\ read' = [read EXCEPT ![n] = NoRead]
    /\ log' = [log EXCEPT ![n] = Append(@, Command(term[n], NoOp))]
    /\ leaders' = leaders \cup {<<term[n], n>>}
    /\ UNCHANGED <<term, voted, durable, base, up, commit, applied, messages,
                   crashes, committed, served>>

(***************************************************************************)
(* Replication (5.3).                                                      *)
(***************************************************************************)

\* A client asks a leader once; if it gets no answer, it asks the next one.
Propose(n, r) ==
    /\ Leads(n) /\ Len(log[n]) < MaxLog
    /\ ~\E i \in 1..Len(log[n]) : log[n][i].request = r /\ log[n][i].term = term[n]
    /\ Patient => r \notin {log[n][i].request : i \in 1..Len(log[n])}
    /\ LET kept == IF Bug = "ProposeOverwrites" THEN Prefix(log[n], commit[n]) ELSE log[n] IN
       log' = [log EXCEPT ![n] = Append(kept, Command(term[n], r))]
    /\ UNCHANGED <<term, voted, durable, base, memory, messages, crashes, ghosts>>

\* One record stands for every message a leader might send in this state: from
\* any previous index at or after its base, with any number of entries, to any
\* member; or its snapshot.  So next_index, which chooses among them, is free.
\* Nothing here waits for the leader's disk.
AppendOf(n) ==
    [src |-> n, term |-> term[n], base |-> base[n], log |-> log[n],
     commit |-> commit[n], round |-> read[n].round]

SendAppend(n) ==
    /\ Leads(n)
    /\ AppendOf(n) \notin appends /\ Cardinality(appends) < MaxSends
    /\ appends' = appends \cup {AppendOf(n)}
    /\ UNCHANGED <<disk, memory, ballots, votes, replies, crashes, ghosts>>

\* To whom it goes: the members, and those it has to tell that they are none.
Receives(n, m) ==
    /\ up[n] /\ n # m.src /\ m.term >= term[n]
    /\ LET c == ConfigOf(m.log) IN n \in Members(c) \cup c.removed

Reply(n, m, ok, index) ==
    [src |-> n, dst |-> m.src, term |-> m.term, ok |-> ok, match |-> index, round |-> m.round]

\* Whoever hears from the leader of its term, or of a newer one, follows.
Obey(n, m) ==
    /\ voted' = [voted EXCEPT ![n] = IF m.term > term[n] THEN Nobody ELSE @]
    /\ Follow(n, m.term)

\* Is the entry at `prev` in the log of n, as m has it?
Fits(n, m, prev) ==
    \/ prev <= base[n]
    \/ prev <= Len(log[n]) /\ TermAt(log[n], prev) = TermAt(m.log, prev)
    \/ Bug = "NoPrevCheck" /\ prev <= Len(log[n])

\* Follower n receives the entries after `prev` up to `last`.  They are on disk
\* before the answer leaves.  Of its own log it drops nothing that agrees: the
\* message may be old (mutant EagerTruncate).
TakeAppend(n, m, prev, last) ==
    LET mine == log[n]
        conflict == \E i \in (prev + 1)..last : i <= Len(mine) /\ mine[i].term # m.log[i].term
        written == IF conflict \/ last > Len(mine) \/ Bug = "EagerTruncate"
                   THEN Prefix(mine, prev) \o SubSeq(m.log, prev + 1, last)
                   ELSE mine
        known == Min(m.commit, IF Bug = "CommitNotMin" THEN Len(written) ELSE last)
    IN
    /\ Receives(n, m)
    /\ IF Fits(n, m, prev)
       THEN
         /\ log' = [log EXCEPT ![n] = written]
         /\ durable' = [durable EXCEPT ![n] = IF Bug = "AckBeforeSync" THEN @ ELSE Len(written)]
         /\ commit' = [commit EXCEPT ![n] = IF Bug = "CommitRegress" THEN known ELSE Max(@, known)]
         /\ replies' = replies \cup
                {Reply(n, m, TRUE, IF Bug = "OverAck" THEN Len(written) ELSE last)}
       ELSE
         \* The hint says where to look next: it is not a promise.
         /\ replies' = IF Refusals
                THEN replies \cup {Reply(n, m, FALSE, Min(prev - 1, Len(mine)))} ELSE replies
         /\ Refusals \/ m.term > term[n] \/ role[n] = "candidate"
         /\ UNCHANGED <<log, durable, commit>>
    /\ Obey(n, m)
    /\ UNCHANGED <<base, up, applied, ballots, votes, appends, crashes, ghosts>>

\* Only to save TLC work: a repetition that changes nothing is no step.
HandleAppend(n, m, prev, last) ==
    /\ TakeAppend(n, m, prev, last)
    /\ <<disk, commit, role, replies>>' # <<disk, commit, role, replies>>

\* Answers come late and twice: what is known of a follower only grows.  One to
\* a round at or after the open read's says that n led when the read began.
TakeAppended(n, m) ==
    LET index == IF m.ok \/ Bug = "NackMatchReuse" THEN m.match ELSE 0 IN
    /\ Leads(n) /\ m.dst = n /\ m.term = term[n]
    /\ match' = [match EXCEPT ![n][m.src] =
           IF Bug = "MatchRegress" /\ m.ok THEN index ELSE Max(@, index)]
    /\ read' = [read EXCEPT ![n].acks =
           IF read[n].open /\ m.round >= read[n].round THEN @ \cup {m.src} ELSE @]
    /\ UNCHANGED <<disk, up, commit, applied, role, messages, crashes, ghosts>>

HandleAppended(n, m) ==
    /\ TakeAppended(n, m)
    /\ <<match, read>>' # <<match, read>>

\* The largest index that a majority has on disk, if its entry is of this term
\* (5.4.2).  A leader that is no voter does not count itself.
AdvanceCommit(n) ==
    LET mine == IF Bug = "LeaderCountsUnsynced" THEN Len(log[n]) ELSE durable[n]
        have(i) == {x \in Node : IF x = n THEN mine >= i ELSE match[n][x] >= i}
        agreed == {i \in (commit[n] + 1)..Len(log[n]) :
                       /\ IsQuorum(have(i), VotersAt(n))
                       /\ log[n][i].term = term[n] \/ Bug = "CommitPrevTerm"}
        known == Len(committed)
    IN
    /\ Leads(n) /\ agreed # {}
    /\ commit' = [commit EXCEPT ![n] = Largest(agreed)]
    /\ committed' = committed \o
           [i \in 1..(Max(known, Largest(agreed)) - known) |->
               [entry |-> log[n][known + i], by |-> term[n]]]
    /\ UNCHANGED <<disk, up, applied, role, match, read, messages, crashes, leaders, served>>

Apply(n) ==
    /\ up[n] /\ applied[n] < MaxApplied
    /\ applied[n] < IF Bug = "ApplyUncommitted" THEN Len(log[n]) ELSE commit[n]
    /\ applied' = [applied EXCEPT ![n] = @ + 1]
    /\ UNCHANGED <<disk, up, commit, role, match, read, messages, crashes, ghosts>>

(***************************************************************************)
(* Reads by ReadIndex (thesis 6.4).  One read at a time waits at a leader: *)
(* a round that confirms it confirms those that came before it.            *)
(***************************************************************************)

\* A leader knows what is committed only once an entry of its own term is.  The
\* number of a round is not used again in a term, or an old answer would count.
BeginRead(n) ==
    /\ Leads(n) /\ ~read[n].open
    /\ Cardinality(served) < MaxReads /\ read[n].round < MaxReads
    /\ TermAt(log[n], commit[n]) = term[n] \/ Bug = "ReadBeforeOwnTermCommit"
    /\ read' = [read EXCEPT ![n] =
           [open |-> TRUE, round |-> IF Bug = "RoundReuse" THEN 1 ELSE @.round + 1,
            index |-> commit[n], acks |-> {}, floor |-> Len(committed)]]
    /\ UNCHANGED <<disk, up, commit, applied, role, match, messages, crashes, ghosts>>

ServeRead(n) ==
    /\ Leads(n) /\ read[n].open
    /\ IsQuorum(read[n].acks \cup {n}, VotersAt(n)) \/ Bug = "ReadWithoutQuorum"
    /\ applied[n] >= read[n].index \/ Bug = "ReadUnapplied"
    /\ served' = served \cup {[floor |-> read[n].floor, index |-> applied[n],
                               term |-> term[n], round |-> read[n].round]}
    /\ read' = [read EXCEPT ![n] = [NoRead EXCEPT !.round = read[n].round]]
    /\ UNCHANGED <<disk, up, commit, applied, role, match, messages, crashes,
                   leaders, committed>>

(***************************************************************************)
(* Snapshots (7).                                                          *)
(***************************************************************************)
TakeSnapshot(n) ==
    LET last == IF Bug = "SnapshotUncommitted" THEN Len(log[n]) ELSE applied[n] IN
    /\ up[n] /\ base[n] < last /\ last <= MaxBase
    /\ base' = [base EXCEPT ![n] = last]
    /\ durable' = [durable EXCEPT ![n] = Max(@, last)]
    /\ UNCHANGED <<term, voted, log, memory, messages, crashes, ghosts>>

\* A follower takes the snapshot of leader's message m.  It keeps what follows
\* in its own log if that agrees, and ignores what is older than what it has.
InstallSnapshot(n, m) ==
    LET agrees == /\ m.base <= Len(log[n])
                  /\ TermAt(log[n], m.base) = TermAt(m.log, m.base)
                  /\ Bug # "StaleSnapshot"
        written == Prefix(m.log, m.base) \o
                   IF agrees THEN SubSeq(log[n], m.base + 1, Len(log[n])) ELSE <<>>
    IN
    /\ Receives(n, m) /\ m.base > 0
    /\ m.base > commit[n] \/ Bug = "StaleSnapshot"
    /\ Obey(n, m)
    /\ log' = [log EXCEPT ![n] = written]
    /\ durable' = [durable EXCEPT ![n] = Len(written)]
    /\ base' = [base EXCEPT ![n] = m.base]
    /\ commit' = [commit EXCEPT ![n] = m.base]
    /\ applied' = [applied EXCEPT ![n] = m.base]
    /\ replies' = replies \cup {Reply(n, m, TRUE, m.base)}
    /\ UNCHANGED <<up, ballots, votes, appends, crashes, ghosts>>

(***************************************************************************)
(* Membership, one server at a time (thesis 4).  A node joins as a learner *)
(* and is promoted; one that was removed never comes back under its id.    *)
(***************************************************************************)
AddLearner(c, x) == [c EXCEPT !.learners = @ \cup {x}]
Promote(c, x) == [c EXCEPT !.voters = @ \cup {x}, !.learners = @ \ {x}]
Remove(c, x) == [voters |-> c.voters \ {x}, learners |-> c.learners \ {x},
                 removed |-> c.removed \cup {x}]

Successors(c) ==
    {AddLearner(c, x) : x \in Node \ (Members(c) \cup IF Bug = "ReAdd" THEN {} ELSE c.removed)}
    \cup {Promote(c, x) : x \in c.learners}
    \cup {Remove(c, x) : x \in {y \in Members(c) : c.voters # {y}}}

\* One change at a time, and none before this term has committed an entry
\* (the erratum: else two leaders may each build on a different change).
ChangeTo(n, c) ==
    /\ Leads(n) /\ n \in VotersAt(n)
    /\ Cardinality(ChangesIn(log[n])) < MaxChanges /\ Len(log[n]) < MaxLog
    /\ LastChange(log[n]) <= commit[n] \/ Bug = "TwoConfigChanges"
    /\ TermAt(log[n], commit[n]) = term[n] \/ Bug = "ConfigBeforeOwnTermCommit"
    /\ log' = [log EXCEPT ![n] = Append(@, Change(term[n], c))]
    /\ UNCHANGED <<term, voted, durable, base, memory, messages, crashes, ghosts>>

ProposeConfiguration(n, c) == c \in Successors(ConfigOf(log[n])) /\ ChangeTo(n, c)

(***************************************************************************)
(* Behaviours.                                                             *)
(***************************************************************************)

\* The bounds of a model end every behaviour, so a deadlock says nothing here;
\* that progress is made until then is what liveness is for.
Idle == UNCHANGED vars

Work ==
    \/ \E n \in Node :
           \/ Restart(n) \/ Sync(n) \/ StepDown(n) \/ BecomeCandidate(n)
           \/ BecomeLeader(n) \/ SendAppend(n) \/ AdvanceCommit(n) \/ Apply(n)
           \/ BeginRead(n) \/ ServeRead(n) \/ TakeSnapshot(n)
    \/ \E n \in Node, r \in Request : Propose(n, r)
    \/ \E n \in Node : \E c \in Successors(ConfigOf(log[n])) : ProposeConfiguration(n, c)
    \/ \E n \in Node, b \in ballots : HandleRequestVote(n, b)
    \/ \E n \in Node, m \in appends : InstallSnapshot(n, m)
    \/ \E n \in Node, m \in appends :
           \E prev \in m.base..Len(m.log) :
               \E last \in (IF Batches THEN prev ELSE Len(m.log))..Len(m.log) :
                   HandleAppend(n, m, prev, last)
    \/ \E n \in Node, m \in replies : HandleAppended(n, m)

Next ==
    \/ Work
    \/ \E n \in Node : Crash(n)
    \/ Idle

Spec == Init /\ [][Next]_vars
LedSpec == InitLed /\ [][Next]_vars
Figure8Spec == InitFigure8 /\ [][Next]_vars
ErratumSpec == InitErratum /\ [][Next]_vars
SplitSpec == InitSplit /\ [][Next]_vars

\* Nobody has to crash; everything else goes on.  Every behaviour of a bounded
\* model comes to an end, so this one condition is enough.
FairSpec == Spec /\ WF_vars(Work)

\* Nodes are alike, but for whether they vote at first; and so are requests.
\* Where a state above is the beginning, those with a part in it are not.
Symmetry == Permutations(Voters) \cup Permutations(Node \ Voters) \cup Permutations(Request)
LedSymmetry ==
    Permutations(Voters \ {Part[1]}) \cup Permutations(Node \ Voters) \cup Permutations(Request)

(***************************************************************************)
(* Safety.                                                                 *)
(***************************************************************************)
IsConfig(c) ==
    /\ c.voters \subseteq Node /\ c.learners \subseteq Node /\ c.removed \subseteq Node
    /\ c.voters \cap c.learners = {}
IsEntry(e) ==
    e.term \in 1..MaxTerm /\ e.request \in Request \cup {NoOp} /\ IsConfig(e.config)

TypeOK ==
    /\ up \in [Node -> BOOLEAN] /\ term \in [Node -> 0..MaxTerm]
    /\ voted \in [Node -> Node \cup {Nobody}]
    /\ role \in [Node -> {"follower", "candidate", "leader"}]
    /\ \A n \in Node :
           /\ \A e \in Range(log[n]) : IsEntry(e)
           /\ durable[n] \in base[n]..Len(log[n])
           /\ {base[n], commit[n], applied[n]} \subseteq Nat
           /\ \A x \in Node : match[n][x] \in Nat
           /\ ~Leads(n) => match[n] = NoMatch /\ read[n] = NoRead
           /\ ~up[n] => durable[n] = Len(log[n]) /\ role[n] = "follower"
    /\ \A b \in ballots : b.src \in Node /\ b.src \notin b.to /\ b.term \in 1..MaxTerm
    /\ \A v \in votes : v.src # v.dst /\ v.term \in 1..MaxTerm
    /\ \A m \in appends : m.base <= Len(m.log) /\ m.commit <= Len(m.log)
    /\ \A m \in replies : m.src # m.dst /\ m.ok \in BOOLEAN /\ m.match \in Nat
    /\ crashes \in 0..MaxCrashes

\* At most one leader in a term, over all time.
ElectionSafety == \A p, q \in leaders : p[1] = q[1] => p = q

\* Nobody votes for two in a term.  To ask for votes is to vote for oneself.
OneVotePerTerm ==
    LET cast == {<<v.src, v.term, v.dst>> : v \in votes}
                \cup {<<b.src, b.term, b.src>> : b \in ballots}
    IN \A p, q \in cast : p[1] = q[1] /\ p[2] = q[2] => p = q

\* Entries of the same index and term are equal, and so is all before them.
LogMatching ==
    \A a, b \in Node : \A i \in 1..Min(Len(log[a]), Len(log[b])) :
        log[a][i].term = log[b][i].term => Prefix(log[a], i) = Prefix(log[b], i)

\* Does n have the i-th committed entry?
Has(n, i) == i <= Len(log[n]) /\ log[n][i] = committed[i].entry

\* What was committed in a term is in the logs of the leaders of later ones.
LeaderCompleteness ==
    \A n \in Node : Leads(n) =>
        \A i \in 1..Len(committed) : committed[i].by <= term[n] => Has(n, i)

\* What a node may apply is what everybody else may apply at that index.
StateMachineSafety ==
    \A n \in Node : commit[n] <= Len(committed) /\ \A i \in 1..commit[n] : Has(n, i)

\* The configuration that was committed last.
Agreed == ConfigOf([i \in 1..Len(committed) |-> committed[i].entry])

\* No majority is without a committed (hence: without an acknowledged) entry on
\* its disks.
AckedDurable ==
    \A i \in 1..Len(committed) :
        LET safe == {n \in Node : durable[n] >= i /\ Has(n, i)}
        IN ~IsQuorum(Agreed.voters \ safe, Agreed.voters)

\* What a leader knows to be at a follower is on that follower's disk, as long
\* as the follower is in the leader's term.
MatchIndexSound ==
    \A n, x \in Node :
        Leads(n) /\ term[x] = term[n] /\ match[n][x] > 0 =>
            /\ match[n][x] <= Min(durable[x], Len(log[n]))
            /\ Prefix(log[x], match[n][x]) = Prefix(log[n], match[n][x])

CommitWithinLog == \A n \in Node : commit[n] <= Len(log[n])

AppliedWithinCommit == \A n \in Node : base[n] <= applied[n] /\ applied[n] <= commit[n]

SnapshotIsCommittedPrefix ==
    \A n \in Node : base[n] <= Len(committed) /\ \A i \in 1..base[n] : Has(n, i)

\* Every majority of the one meets every majority of the other.
Overlap(v, w) ==
    v = w \/ \A Q \in SUBSET v, R \in SUBSET w :
                 IsQuorum(Q, v) /\ IsQuorum(R, w) => Q \cap R # {}

\* No leader, unless it is of the past, can decide without those who decided
\* on the configuration that was committed last.
ConfigQuorumsOverlap ==
    \A n \in Node :
        Leads(n) /\ (committed = <<>> \/ committed[Len(committed)].by <= term[n]) =>
            Overlap(VotersAt(n), Agreed.voters)

OneUncommittedConfigChange ==
    \A n \in Node : Cardinality({i \in ChangesIn(log[n]) : i > Len(committed)}) <= 1

\* A client that asks several leaders has its request executed once.
AtMostOnceApply ==
    \A n \in Node : LET s == Store(n) IN Cardinality(Range(s)) = Len(s)

\* A read shows all that was committed, anywhere, when it began.
NoStaleRead == \A r \in served : r.index >= r.floor

\* No message promises what its sender's disk does not hold, until the sender
\* has gone on to a newer term.
PersistBeforeReply ==
    /\ \A b \in ballots : term[b.src] > b.term \/ (term[b.src] = b.term /\ voted[b.src] = b.src)
    /\ \A v \in votes : term[v.src] > v.term \/ (term[v.src] = v.term /\ voted[v.src] = v.dst)
    /\ \A m \in replies : m.ok =>
           term[m.src] > m.term \/ (term[m.src] = m.term /\ durable[m.src] >= m.match)

(***************************************************************************)
(* Action properties.                                                      *)
(***************************************************************************)

\* Not even a crash takes a term back.
TermMonotone == [][\A n \in Node : term'[n] >= term[n]]_vars

CommitMonotone == [][\A n \in Node : up[n] /\ up'[n] => commit'[n] >= commit[n]]_vars

\* The same leader in the same term, before and after a step.
Stays(n) == Leads(n) /\ Leads(n)' /\ term'[n] = term[n]

MatchMonotone ==
    [][\A n, x \in Node : Stays(n) => match'[n][x] >= match[n][x]]_vars

LeaderAppendOnly == [][\A n \in Node : Stays(n) => IsPrefix(log[n], log'[n])]_vars

CommittedAppendOnly == [][IsPrefix(committed, committed')]_vars

NeverCommitPrevTermDirectly ==
    [][\A n \in Node : Stays(n) /\ commit'[n] > commit[n] =>
           log[n][commit'[n]].term = term[n]]_vars

\* Only a candidate is elected, in the term in which it asked.
RoleTransitions ==
    [][\A n \in Node : role[n] # "leader" /\ role'[n] = "leader" =>
           role[n] = "candidate" /\ term'[n] = term[n]]_vars

\* Who was removed is not among the members again.
RemovedStayOut ==
    [][\A n \in Node : Stays(n) =>
           Members(ConfigOf(log'[n])) \cap ConfigOf(log[n]).removed = {}]_vars

(***************************************************************************)
(* Liveness, under FairSpec.                                               *)
(***************************************************************************)

\* At last somebody leads for good, and knows that it may serve.
LeaderEventually ==
    <>[](\E n \in Node : Leads(n) /\ commit[n] > 0 /\ log[n][commit[n]].term = term[n])

\* A client that keeps asking gets its request committed, for good.
EntryEventuallyCommitted ==
    <>[](Request \subseteq {committed[i].entry.request : i \in 1..Len(committed)})

(***************************************************************************)
(* Witnesses: each says that something cannot happen, and TLC must find it *)
(* happening; or the properties above would hold of nothing.               *)
(***************************************************************************)

\* Two leaders at once, of different terms.
NeverTwoLeaders == ~\E a, b \in Node : a # b /\ Leads(a) /\ Leads(b)

\* Logs that differ at an index, so that somebody will have to drop an entry.
NeverConflict ==
    ~\E a, b \in Node : log[a] # <<>> /\ log[b] # <<>> /\ log[a][1] # log[b][1]

\* An entry of an earlier term, committed along with one of a later term.
NeverCommittedLater == ~\E i \in 1..Len(committed) : committed[i].entry.term < committed[i].by

\* An entry committed by the followers' disks alone.
NeverAheadOfOwnDisk == ~\E n \in Node : Leads(n) /\ commit[n] > durable[n]

\* A request that is twice in a log, both applied.
NeverRetried ==
    ~\E n \in Node : \E i, j \in 1..applied[n] :
        i < j /\ log[n][i].request = log[n][j].request /\ log[n][i].request # NoOp

\* A read served by the leader of a second term.
NeverServedLater == ~\E r \in served : r.term > 1 /\ r.floor > 1

\* A snapshot that replaces what a follower lacks.
NeverInstalled == [][~\E n \in Node, m \in appends : InstallSnapshot(n, m)]_vars

\* A learner was promoted, and that is committed.
NeverPromoted == Agreed.voters \subseteq Voters

\* A leader has committed its own removal, and not yet stepped down.
NeverRemovedItself == ~\E n \in Node : IsRemoved(n)
=============================================================================
