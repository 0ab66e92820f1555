----------------------------- MODULE Detector -----------------------------
(***************************************************************************)
(* Lab 2 of distdb: the failure detector (phi accrual: Hayashibara et al.  *)
(* 2004), as one node uses it for one peer.                                *)
(*                                                                         *)
(* The peer sends a beat now and then.  The longer none came, compared to  *)
(* how long it took before, the higher is the suspicion; over a threshold  *)
(* the peer is suspected, and trusted again after some beats in time.      *)
(* Suspicion steers relays and the pace of retries, and never data: so     *)
(* Causal.tla does without it, and relays at any time.                     *)
(*                                                                         *)
(* Time is counted in ticks.  At some time the network becomes stable:     *)
(* from then on beats of a running peer are at most Bound ticks apart.     *)
(***************************************************************************)
EXTENDS Naturals

CONSTANTS
    Bound,      \* Ticks between beats, once the network is stable.
    Cap,        \* The longest silence that is ever waited for.
    Calm,       \* Beats in time until a suspected peer is trusted.
    MaxSteps,   \* Steps of the wall clock.
    Bug         \* "none", or the name of a mutant.

ASSUME 0 < Bound /\ Bound <= Cap /\ 0 < Calm

VARIABLES
    running,    \* Does the peer run?
    stable,     \* Is the network stable, for good?
    elapsed,    \* Ticks since the last beat, as the node measures them.
    limit,      \* A longer silence is suspicious.  It learns from what it saw.
    suspected,
    calm,       \* Beats in time since it was suspected.
    steps,      \* Steps of the wall clock so far.
    silent      \* Ghost: ticks since the last beat.

vars == <<running, stable, elapsed, limit, suspected, calm, steps, silent>>

Max(a, b) == IF a < b THEN b ELSE a
Min(a, b) == IF a < b THEN a ELSE b

Init ==
    /\ running = TRUE /\ stable = FALSE
    /\ elapsed = 0 /\ limit = 1
    /\ suspected = FALSE /\ calm = 0 /\ steps = 0
    /\ silent = 0

Tick ==
    /\ silent <= Cap
    /\ stable /\ running => silent < Bound
    /\ elapsed' = Min(elapsed + 1, Cap + 1)
    /\ silent' = silent + 1
    /\ UNCHANGED <<running, stable, limit, suspected, calm, steps>>

\* A beat arrives.  A silence that ended was no failure, so the next one may be
\* as long: the window of the last intervals has it now.
HandleBeat ==
    LET inTime == elapsed <= limit
        trusted == /\ (inTime /\ calm + 1 >= Calm) \/ Bug = "TrustsAtOnce"
                   /\ Bug # "NeverTrusts"
    IN
    /\ running /\ silent > 0
    /\ elapsed' = 0 /\ silent' = 0
    /\ limit' = IF Bug = "LimitFixed" THEN limit ELSE Min(Max(limit, elapsed), Cap)
    /\ suspected' = (suspected /\ ~trusted)
    /\ calm' = IF suspected /\ inTime /\ ~trusted /\ calm < Calm THEN calm + 1 ELSE 0
    /\ UNCHANGED <<running, stable, steps>>

Suspect ==
    /\ ~suspected /\ elapsed > limit /\ Bug # "NeverSuspects"
    /\ suspected' = TRUE /\ calm' = 0
    /\ UNCHANGED <<running, stable, elapsed, limit, steps, silent>>

Crash ==
    /\ running /\ running' = FALSE
    /\ UNCHANGED <<stable, elapsed, limit, suspected, calm, steps, silent>>

Stabilize ==
    /\ ~stable /\ stable' = TRUE
    /\ UNCHANGED <<running, elapsed, limit, suspected, calm, steps, silent>>

\* Somebody sets the clock on the wall, which tells nothing of the peer.
StepClock ==
    /\ steps < MaxSteps /\ steps' = steps + 1
    /\ elapsed' = IF Bug = "WallClock" THEN Cap + 1 ELSE elapsed
    /\ UNCHANGED <<running, stable, limit, suspected, calm, silent>>

Idle == UNCHANGED vars

Work == Tick \/ HandleBeat \/ Suspect

Next == Work \/ Crash \/ Stabilize \/ StepClock \/ Idle

\* Time goes on, and the network becomes stable at last.
Spec == Init /\ [][Next]_vars /\ WF_vars(Work) /\ WF_vars(Stabilize)

(***************************************************************************)
(* Properties.                                                             *)
(***************************************************************************)
TypeOK ==
    /\ {running, stable, suspected} \subseteq BOOLEAN
    /\ elapsed \in 0..Cap + 1 /\ silent \in 0..Cap + 1
    /\ limit \in 1..Cap /\ calm \in 0..Calm /\ steps \in 0..MaxSteps

\* Nobody is suspected who was not silent for longer than the limit.
SuspicionOnlyOnTimeout == [][~suspected /\ suspected' => silent > limit]_vars

\* Who was suspected is trusted only after as many beats in time as it takes.
Hysteresis == [][suspected /\ ~suspected' => calm + 1 >= Calm]_vars

\* Who has crashed is at last suspected for good.
StrongCompleteness == []<>running \/ <>[]suspected

\* Who runs is at last trusted for good.
EventuallyStrongAccuracy == <>~running \/ <>[]~suspected

\* A witness: a running peer is suspected, before the network is stable.
NeverWrong == ~(running /\ suspected)
=============================================================================
