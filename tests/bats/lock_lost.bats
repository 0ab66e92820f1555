#!/usr/bin/env bats
# Locks when something goes wrong. The command ends before another can have the
# lock, whatever it is.

load common
load locks

start_nodes() {
    start_node node1 --bootstrap --enable-faults
}

# The lock's second holder, as soon as it can be.
lock_next() {
    background "$bin/distdbctl" lock l --ttl 1s -- ./work second
    next=$helper
    eventually wait_behind l 1
}

@test "T6: a holder that is stopped for three TTLs never meets the next, and can't write" {
    lock first l --ttl 1s
    holder=$helper
    eventually holds_lock first
    lock_next
    began=$(now_ms)
    kill -STOP "$holder"
    eventually holds_lock second
    is_dead "$(command_of first)"
    eventually has_passed "$began" 3000
    kill -CONT "$holder"
    end_of "$holder"
    [ "$code" = 6 ]
    nobody_met
    # T9: nor does the late one take the lock from the new holder.
    [ "$(ctl leader l -o json | jq .token)" = "$(token_of second)" ]
    old=$(token_of first) new=$(token_of second)
    expect 3 ctl call put "{\"key\":\"k\",\"value\":\"late\",\"fence\":$old}"
    expect 0 ctl call put "{\"key\":\"k\",\"value\":\"new\",\"fence\":$new}"
}

@test "T6: so does one whose whole group is stopped, command and all" {
    lock first l --ttl 1s
    holder=$helper
    eventually holds_lock first
    lock_next
    kill -STOP "$holder" "$(command_of first)"
    eventually holds_lock second
    is_dead "$(command_of first)"
    kill -CONT "$holder"
    end_of "$holder"
    [ "$code" = 6 ]
    nobody_met
}

@test "T8: after kill -9 the command is dead, and the lock is free after the TTL, not before" {
    background "$bin/distdbctl" lock l --ttl 2s -- ./work first setsid
    holder=$helper
    eventually holds_lock first
    eventually test -s kin-first
    lock_next
    began=$(now_ms)
    kill -KILL "$holder"
    eventually is_dead "$(command_of first)"
    eventually is_dead "$(cat kin-first)"
    # It was dead long before its time was over. The last keep-alive was sent
    # no longer ago than a third of the TTL.
    [ $(($(now_ms) - began)) -lt 1000 ]
    eventually holds_lock second
    has_passed "$began" 1200
    nobody_met
}

@test "a command whose guard is killed is dead, and its kin" {
    background "$bin/distdbctl" lock l -- ./work first setsid
    eventually test -s kin-first
    read -r guard < <(ps -o ppid= -p "$(command_of first)")
    kill -KILL "$guard"
    end_of "$helper"
    [ "$code" = 70 ]
    is_dead "$(command_of first)"
    is_dead "$(cat kin-first)"
    touch go-second
    expect 0 ctl lock l -n -- ./work second
    nobody_met
}

@test "a node that is silent costs the lock: TERM, then KILL, then 6" {
    background eval 'exec "$bin/distdbctl" lock l --ttl 2s -- bash -c "
        trap \"echo asked >>told\" TERM; echo >up; while :; do read -rt 0.1 <>never; done" 2>err'
    eventually test -e up
    began=$(now_ms)
    kill -STOP "${pids[node1]}"
    end_of "$helper"
    kill -CONT "${pids[node1]}"
    [ "$code" = 6 ]
    [ -s told ]
    [ $(($(now_ms) - began)) -lt 2100 ]
    [ "$(wc -l <err)" = 1 ]
}

@test "T5: a lease that an operator ends costs the lock at once" {
    lock first l
    eventually holds_lock first
    lease=$(ctl leader l -o json | jq -r .lease)
    ctl call lease_revoke "{\"lease\":\"$lease\"}"
    end_of "$helper"
    [ "$code" = 6 ]
    is_dead "$(command_of first)"
}

@test "a node that restarts in time costs nothing" {
    lock first l
    eventually holds_lock first
    kill_node node1
    start_node node1
    renewed() {
        lease=$(ctl leader l -o json | jq -r .lease)
        ctl call lease_show "{\"lease\":\"$lease\"}" | jq -e '.result.remaining_ms > 9000'
    }
    eventually renewed
    touch go-first
    end_of "$helper"
    [ "$code" = 0 ]
    expect 1 ctl leader l
}
