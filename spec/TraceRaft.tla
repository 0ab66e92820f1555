----------------------------- MODULE TraceRaft -----------------------------
(***************************************************************************)
(* Is what nodes did in raft mode, as their traces tell it, a behaviour of *)
(* Raft.tla?  TraceData.tla has the steps, which tests/src/trace/raft.rs   *)
(* makes of the lines; a step that no action below allows is a deadlock.   *)
(*                                                                         *)
(* Most steps are actions of Raft.tla under the same name.  What the       *)
(* program does otherwise, and why it is none the worse for it:            *)
(*                                                                         *)
(* - The disk is later.  Raft.tla writes and answers in one step.  Here    *)
(*   `saved` is what a Sync has told; a vote, a ballot, an answer and a    *)
(*   message of a new term count only if `saved` of their sender has what  *)
(*   they promise.  What a crash took before its Sync is left out by the   *)
(*   converter, which reports it if anybody has heard of it.               *)
(* - A message is kept in `mail` under its number, from when it is sent    *)
(*   until it is received for the last time, and not in a set that grows.  *)
(* - One answer stands for all that came before it in a commit: the last   *)
(*   match of them, and the last round that was heard of.                  *)
(* - Several reads wait at a leader at once, each as the one of Raft.tla   *)
(*   does; and rounds begin without reads.                                 *)
(* - A follower whose snapshot reaches further than a message tells so: it *)
(*   is committed, hence in the leader's log.                              *)
(* - HearTerm: whoever hears of a later term is in it, followers too.      *)
(* - GiveUp: an office ends without a later term, because no majority is   *)
(*   heard of, or the node was removed.  It only does less.                *)
(* - ApplyTo: Apply, several times.                                        *)
(* - InstallSnapshot: whoever sent it need not lead; it is a prefix of     *)
(*   what is committed, wherever it is from.                               *)
(* - Whoever knocked and was never a member may be removed for good: that  *)
(*   changes no majority.                                                  *)
(* - Pre-votes, transfers, timeouts and forwarded requests are no steps:   *)
(*   they change nothing that Raft.tla has.                                *)
(***************************************************************************)
EXTENDS Raft, TraceData

VARIABLES
    tr,       \* Which of the traces.
    l,        \* Its next step.
    mail,     \* Messages on their way, by number.
    saved,    \* Node -> term, vote and last index of its last Sync.
    heard,    \* Node -> the last round that it heard of in its term.
    waiting,  \* Leader -> the reads that wait.
    states    \* Index -> a hash of the state there.

aux == <<mail, saved, heard, waiting, states>>

Founder == "n1"
TraceNode == UNION {Range(Header[i].nodes) : i \in 1..Len(Header)}
TraceVoters == {Founder}

Step == Traces[tr][l]
Is(name) == l <= Len(Traces[tr]) /\ Step.ev = name

\* A cluster is founded by a node whose log has one entry: that it votes.  The
\* entry needs nobody's vote, and is made again if it was not saved.
First == Change(1, FirstConfig)
At(n, there, else) == IF n = Founder THEN there ELSE else

TraceInit ==
    /\ tr \in 1..Len(Traces) /\ l = 1
    /\ InitWith([n \in Node |-> At(n, 1, 0)], [n \in Node |-> Nobody],
                [n \in Node |-> At(n, <<First>>, <<>>)])
    /\ role = [n \in Node |-> "follower"]
    /\ commit = [n \in Node |-> At(n, 1, 0)] /\ applied = commit
    /\ match = [n \in Node |-> NoMatch]
    /\ read = [n \in Node |-> NoRead] /\ replies = {}
    /\ leaders = {} /\ committed = <<[entry |-> First, by |-> 1]>>
    /\ mail = <<>>
    /\ saved = [n \in Node |-> [term |-> At(n, 1, 0), voted |-> Nobody, last |-> At(n, 1, 0)]]
    /\ heard = [n \in Node |-> 0]
    /\ waiting = [n \in Node |-> {}]
    /\ states = <<>>

(***************************************************************************)
(* What a step tells of logs and messages.                                 *)
(***************************************************************************)

\* Has s these entries behind `prev`, and that one there?
Carries(s, e) ==
    /\ e.prev + Len(e.entries) <= Len(s)
    /\ TermAt(s, e.prev) = e.prev_term
    /\ \A i \in 1..Len(e.entries) :
           /\ s[e.prev + i].term = e.entries[i].term
           /\ s[e.prev + i].request = e.entries[i].request

Post(number, m) == mail' = (number :> m) @@ mail

Taken(e) ==
    mail' = IF e.is_last THEN [k \in DOMAIN mail \ {e.message} |-> mail[k]] ELSE mail

\* Is what n said in that term on its disk, or is it past that?
HasSaved(n, t, vote) ==
    saved[n].term > t \/ (saved[n].term = t /\ vote \in {saved[n].voted, "any"})

\* n is in another term, or no leader: what it knew as one is gone.
Forget(n) ==
    /\ heard' = [heard EXCEPT ![n] = 0]
    /\ waiting' = [waiting EXCEPT ![n] = {}]
    /\ UNCHANGED <<mail, saved, states>>

(***************************************************************************)
(* Terms and elections.                                                    *)
(***************************************************************************)
HearTerm(n, t) ==
    /\ up[n] /\ t > term[n] /\ \E x \in Node : term[x] >= t
    /\ Follow(n, t)
    /\ voted' = [voted EXCEPT ![n] = Nobody]
    /\ UNCHANGED <<log, durable, base, up, commit, applied, messages, crashes, ghosts>>

GiveUp(n) ==
    /\ up[n] /\ role[n] # "follower"
    /\ Follow(n, term[n])
    /\ UNCHANGED <<voted, log, durable, base, up, commit, applied, messages, crashes, ghosts>>

TraceUpdateTerm ==
    LET n == Step.n IN
    /\ Is("UpdateTerm")
    /\ StepDown(n) \/ HearTerm(n, Step.term)
    /\ term'[n] = Step.term
    /\ Forget(n)

TraceStepDown ==
    LET n == Step.n IN
    /\ Is("StepDown")
    /\ CASE role[n] = "follower" -> UNCHANGED vars
         [] IsRemoved(n) -> StepDown(n) /\ term' = term
         [] OTHER -> GiveUp(n)
    /\ Forget(n)

TraceBecomeCandidate ==
    LET n == Step.n IN
    /\ Is("BecomeCandidate")
    /\ BecomeCandidate(n)
    /\ term'[n] = Step.term /\ Len(log[n]) = Step.last /\ LastTerm(log[n]) = Step.last_term
    /\ Forget(n)

TraceHandleRequestVote ==
    LET n == Step.n
        ballot == {b \in ballots : b.src = Step.from /\ b.term = Step.asked}
        vote == [src |-> n, dst |-> Step.from, term |-> Step.asked]
        asked == \E b \in ballot : HandleRequestVote(n, b)
        newer == Step.asked > term[n]
    IN
    /\ Is("HandleRequestVote")
    /\ ballot # {} /\ HasSaved(Step.from, Step.asked, Step.from)
    /\ CASE Step.granted /\ vote \in votes ->
              term[n] = Step.asked /\ voted[n] = Step.from /\ UNCHANGED vars
         [] Step.granted /\ vote \notin votes -> asked /\ voted'[n] = Step.from
         [] ~Step.granted /\ newer -> asked /\ voted'[n] = Nobody
         [] ~Step.granted /\ ~newer ->
              /\ \A b \in ballot :
                     \/ b.term < term[n] \/ voted[n] \notin {Nobody, b.src}
                     \/ ~UpToDate(b.lastTerm, b.last, n)
              /\ UNCHANGED vars
    /\ IF newer THEN Forget(n) ELSE UNCHANGED aux

\* The vote was on the voter's disk before it came.
TraceHandleVote ==
    /\ Is("HandleVote")
    /\ [src |-> Step.from, dst |-> Step.n, term |-> Step.term] \in votes
    /\ HasSaved(Step.from, Step.term, Step.n)
    /\ UNCHANGED <<vars, aux>>

TraceBecomeLeader ==
    /\ Is("BecomeLeader") /\ term[Step.n] = Step.term
    /\ BecomeLeader(Step.n)
    /\ UNCHANGED aux

(***************************************************************************)
(* Replication.                                                            *)
(***************************************************************************)
TracePropose ==
    LET n == Step.n IN
    /\ Is("Propose")
    /\ term[n] = Step.term /\ Len(log[n]) + 1 = Step.index
    /\ Propose(n, Step.request)
    /\ UNCHANGED aux

\* SendAppend, but for where the message is put.
TraceSendAppend ==
    LET n == Step.n IN
    /\ Is("SendAppend")
    /\ Leads(n) /\ term[n] = Step.term /\ commit[n] = Step.commit
    /\ Carries(log[n], Step)
    /\ read[n].round <= Step.round
    /\ read' = [read EXCEPT ![n].round = Step.round]
    /\ Post(Step.message, [AppendOf(n) EXCEPT !.round = Step.round])
    /\ UNCHANGED <<disk, up, commit, applied, role, match, messages, crashes, ghosts>>
    /\ UNCHANGED <<saved, heard, waiting, states>>

TraceHandleAppend ==
    LET n == Step.n
        m == mail[Step.message]
    IN
    /\ Is("HandleAppend") /\ Step.message \in DOMAIN mail
    /\ m.src = Step.from /\ m.term = Step.term /\ HasSaved(m.src, m.term, "any")
    /\ Step.ok = Fits(n, m, Step.prev)
    /\ TakeAppend(n, m, Step.prev, Step.last)
    /\ heard' = [heard EXCEPT ![n] = Max(m.round, IF m.term = term[n] THEN @ ELSE 0)]
    /\ waiting' = [waiting EXCEPT ![n] = {}]
    /\ Taken(Step)
    /\ UNCHANGED <<saved, states>>

TraceSendAppended ==
    LET n == Step.n
        own == {r \in replies : r.src = n}
        same == {r \in own : r.dst = Step.to /\ r.term = Step.term /\ r.ok = Step.ok}
        reach == {r.match : r \in same} \cup {Min(base[n], commit[n])}
        m == [src |-> n, dst |-> Step.to, term |-> Step.term, ok |-> Step.ok,
              match |-> Step.index, round |-> Step.round]
    IN
    /\ Is("SendAppended")
    /\ up[n] /\ term[n] = Step.term /\ HasSaved(n, Step.term, "any")
    /\ same # {} /\ Step.round <= heard[n]
    /\ Step.ok => Step.index <= Largest(reach) /\ Step.index <= saved[n].last
    /\ replies' = replies \ own
    /\ IF Step.message = 0 THEN UNCHANGED mail ELSE Post(Step.message, m)
    /\ UNCHANGED <<disk, memory, ballots, votes, appends, crashes, ghosts>>
    /\ UNCHANGED <<saved, heard, waiting, states>>

TraceHandleAppended ==
    LET n == Step.n
        m == mail[Step.message]
        ack(r) == IF m.round >= r.round THEN [r EXCEPT !.acks = @ \cup {m.src}] ELSE r
    IN
    /\ Is("HandleAppended") /\ Step.message \in DOMAIN mail
    /\ m.src = Step.from /\ m.ok = Step.ok /\ m.match = Step.index /\ m.round = Step.round
    /\ TakeAppended(n, m)
    /\ waiting' = [waiting EXCEPT ![n] = {ack(r) : r \in @}]
    /\ Taken(Step)
    /\ UNCHANGED <<saved, heard, states>>

TraceAdvanceCommit ==
    /\ Is("AdvanceCommit")
    /\ AdvanceCommit(Step.n) /\ commit'[Step.n] = Step.index
    /\ UNCHANGED aux

ApplyTo(n, i) ==
    /\ up[n] /\ applied[n] < i /\ i <= commit[n]
    /\ applied' = [applied EXCEPT ![n] = i]
    /\ UNCHANGED <<disk, up, commit, role, match, read, messages, crashes, ghosts>>

\* All who have applied as much have the same state.
TraceApply ==
    /\ Is("Apply")
    /\ ApplyTo(Step.n, Step.index)
    /\ IF Step.index \in DOMAIN states
       THEN states[Step.index] = Step.hash /\ UNCHANGED states
       ELSE states' = (Step.index :> Step.hash) @@ states
    /\ UNCHANGED <<mail, saved, heard, waiting>>

\* A node that has started applies what its disk says was committed.
TraceReplay ==
    /\ Is("Replay")
    /\ ApplyTo(Step.n, Step.index)
    /\ UNCHANGED aux

(***************************************************************************)
(* Reads: BeginRead and ServeRead, of one of those that wait.              *)
(***************************************************************************)
TraceBeginRead ==
    LET n == Step.n
        r == [open |-> TRUE, round |-> Step.round, index |-> commit[n], acks |-> {},
              floor |-> Len(committed)]
    IN
    /\ Is("BeginRead")
    /\ Leads(n) /\ commit[n] = Step.index /\ Step.round > read[n].round
    /\ TermAt(log[n], commit[n]) = term[n]
    /\ waiting' = [waiting EXCEPT ![n] = @ \cup {r}]
    /\ read' = [read EXCEPT ![n].round = Step.round]
    /\ UNCHANGED <<disk, up, commit, applied, role, match, messages, crashes, ghosts>>
    /\ UNCHANGED <<mail, saved, heard, states>>

TraceServeRead ==
    LET n == Step.n IN
    /\ Is("ServeRead")
    /\ Leads(n)
    /\ \E r \in waiting[n] :
           /\ r.round = Step.round /\ r.index = Step.index
           /\ IsQuorum(r.acks \cup {n}, VotersAt(n))
           /\ applied[n] >= r.index
           /\ waiting' = [waiting EXCEPT ![n] = @ \ {r}]
           /\ served' = {[floor |-> r.floor, index |-> applied[n], term |-> term[n],
                          round |-> r.round]}
    /\ UNCHANGED <<disk, memory, messages, crashes, leaders, committed>>
    /\ UNCHANGED <<mail, saved, heard, states>>

(***************************************************************************)
(* Snapshots, members, disks.                                              *)
(***************************************************************************)
TraceTakeSnapshot ==
    /\ Is("TakeSnapshot")
    /\ TakeSnapshot(Step.n) /\ base'[Step.n] = Step.index
    /\ UNCHANGED aux

TraceInstallSnapshot ==
    LET n == Step.n
        last == Step.last
        agrees == last <= Len(log[n]) /\ TermAt(log[n], last) = Step.last_term
        kept == IF agrees THEN SubSeq(log[n], last + 1, Len(log[n])) ELSE <<>>
        newer == Step.last_term > term[n]
    IN
    /\ Is("InstallSnapshot")
    /\ up[n] /\ commit[n] < last /\ last <= Len(committed)
    /\ committed[last].entry.term = Step.last_term
    /\ log' = [log EXCEPT ![n] = [i \in 1..last |-> committed[i].entry] \o kept]
    /\ durable' = [durable EXCEPT ![n] = IF agrees THEN Max(@, last) ELSE last]
    /\ base' = [base EXCEPT ![n] = last]
    /\ commit' = [commit EXCEPT ![n] = last]
    /\ applied' = [applied EXCEPT ![n] = last]
    /\ IF newer THEN Obey(n, [term |-> Step.last_term])
       ELSE UNCHANGED <<term, voted, role, match, read>>
    /\ UNCHANGED <<up, messages, crashes, ghosts>>
    /\ IF newer THEN Forget(n) ELSE UNCHANGED aux

TraceProposeConfiguration ==
    LET n == Step.n
        before == ConfigOf(log[n])
        stranger == Step.removed \in Node \ (Members(before) \cup before.removed)
        may == IF stranger THEN {Remove(before, Step.removed)} ELSE Successors(before)
    IN
    /\ Is("ProposeConfiguration") /\ Len(log[n]) + 1 = Step.index
    /\ \E c \in may :
           /\ c.voters = Range(Step.voters) /\ Members(c) = Range(Step.members)
           /\ IF stranger THEN ChangeTo(n, c) ELSE ProposeConfiguration(n, c)
    /\ UNCHANGED aux

TraceSync ==
    LET n == Step.n IN
    /\ Is("Sync")
    /\ term[n] = Step.term /\ voted[n] = Step.voted
    /\ Len(log[n]) = Step.last /\ LastTerm(log[n]) = Step.last_term
    /\ IF durable[n] < Len(log[n]) THEN Sync(n) ELSE UNCHANGED vars
    /\ saved' = [saved EXCEPT ![n] =
           [term |-> Step.term, voted |-> Step.voted, last |-> Step.last]]
    /\ UNCHANGED <<mail, heard, waiting, states>>

TraceCrash ==
    /\ Is("Crash")
    /\ Crash(Step.n) /\ commit'[Step.n] = Step.commit
    /\ Forget(Step.n)

\* What a process finds is what the one before has left.
Found(n) ==
    /\ term[n] = Step.term /\ voted[n] = Step.voted
    /\ Len(log[n]) = Step.prev + Len(Step.entries) /\ Carries(log[n], Step)
    /\ base[n] = Step.base /\ commit[n] = Step.commit
    /\ log[n] # <<>> =>
           LET c == ConfigOf(log[n]) IN
           c.voters = Range(Step.voters) /\ Members(c) = Range(Step.members)

TraceBegin == Is("Begin") /\ Found(Step.n) /\ UNCHANGED <<vars, aux>>

TraceRestart ==
    LET n == Step.n IN
    /\ Is("Restart")
    /\ Found(n) /\ Restart(n)
    /\ saved' = [saved EXCEPT ![n] =
           [term |-> Step.term, voted |-> Step.voted, last |-> Len(log[n])]]
    /\ UNCHANGED <<mail, heard, waiting, states>>

\* Of this process nothing was told.
TraceReboot == Is("Reboot") /\ Restart(Step.n) /\ UNCHANGED aux

\* What the node was at the end of what it did.  Raft.tla knows no pre-votes,
\* and has a snapshot on the disk as soon as it is taken.
TraceRaftState ==
    LET n == Step.n IN
    /\ Is("RaftState")
    /\ up[n] /\ term[n] = Step.term /\ voted[n] = Step.voted
    /\ IF Step.role = "pre_candidate" THEN role[n] # "leader" ELSE role[n] = Step.role
    /\ Len(log[n]) = Step.last /\ LastTerm(log[n]) = Step.last_term
    /\ IF Step.holds = "nil" THEN TRUE ELSE Step.holds = log[n][Step.last].request
    /\ commit[n] = Step.commit /\ applied[n] = Step.applied
    /\ base[n] >= Step.base /\ durable[n] >= Step.durable
    /\ UNCHANGED <<vars, aux>>

Done == l > Len(Traces[tr]) /\ UNCHANGED <<vars, aux, tr, l>>

TraceNext ==
    \/ /\ \/ TraceUpdateTerm \/ TraceStepDown \/ TraceBecomeCandidate
          \/ TraceHandleRequestVote \/ TraceHandleVote \/ TraceBecomeLeader
          \/ TracePropose \/ TraceSendAppend \/ TraceHandleAppend
          \/ TraceSendAppended \/ TraceHandleAppended \/ TraceAdvanceCommit
          \/ TraceApply \/ TraceReplay \/ TraceBeginRead \/ TraceServeRead
          \/ TraceTakeSnapshot \/ TraceInstallSnapshot \/ TraceProposeConfiguration
          \/ TraceSync \/ TraceCrash \/ TraceBegin \/ TraceRestart \/ TraceReboot
          \/ TraceRaftState
       /\ l' = l + 1 /\ tr' = tr
    \/ Done

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, aux, tr, l>>

\* A trace leaves no choice, so its place in it tells a state.
View == <<tr, l>>

(***************************************************************************)
(* The invariants of Raft.tla, each looked at when it may come to break,   *)
(* and for the node that has moved.                                        *)
(***************************************************************************)
Before == Traces[tr][l - 1]
Was(names) == l > 1 /\ Before.ev \in names
Moved == IF l > 1 THEN {Before.n} ELSE {}

Writes == {"HandleAppend", "Propose", "BecomeLeader", "ProposeConfiguration",
           "InstallSnapshot", "Crash"}

TraceElectionSafety == Was({"BecomeLeader"}) => ElectionSafety

TraceOneVotePerTerm == Was({"BecomeCandidate", "HandleRequestVote"}) => OneVotePerTerm

\* The last place where two logs have the same term: before it, all is the same.
TraceLogMatching ==
    Was(Writes) =>
        \A a \in Moved, b \in Node :
            LET same == {i \in 1..Min(Len(log[a]), Len(log[b])) :
                             log[a][i].term = log[b][i].term}
            IN same # {} => Prefix(log[a], Largest(same)) = Prefix(log[b], Largest(same))

TraceLeaderCompleteness == Was({"BecomeLeader", "AdvanceCommit"}) => LeaderCompleteness

TraceStateMachineSafety ==
    Was(Writes \cup {"AdvanceCommit"}) =>
        \A n \in Moved : commit[n] <= Len(committed) /\ \A i \in 1..commit[n] : Has(n, i)

TraceAckedDurable == Was({"AdvanceCommit", "HandleAppend", "Crash"}) => AckedDurable

TraceConfigQuorumsOverlap ==
    Was({"BecomeLeader", "ProposeConfiguration"}) => ConfigQuorumsOverlap

TraceOneUncommittedConfigChange ==
    Was({"ProposeConfiguration", "HandleAppend"}) => OneUncommittedConfigChange

\* For traces with a wrong line, many in one run (TraceRaftCorrupted.cfg): each
\* must end early, or break an invariant.
TraceSound ==
    /\ TraceElectionSafety /\ TraceOneVotePerTerm /\ TraceLogMatching
    /\ TraceLeaderCompleteness /\ TraceStateMachineSafety
    /\ CommitWithinLog /\ AppliedWithinCommit /\ TraceAckedDurable
    /\ TraceConfigQuorumsOverlap /\ TraceOneUncommittedConfigChange /\ NoStaleRead
TraceEndsEarly == TraceSound => l <= Len(Traces[tr])
=============================================================================
