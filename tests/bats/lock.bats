#!/usr/bin/env bats
# Locks and elections while all goes well: whose turn it is, what the command gets,
# and how it ends.

load common
load locks

@test "C13: the exit code is the command's, or 128 and its signal, 126 or 127" {
    expect 0 ctl lock l -- true
    expect 42 ctl lock l -- sh -c 'exit 42'
    expect 143 ctl lock l -- sh -c 'kill -TERM $$'
    expect 137 ctl lock l -- sh -c 'kill -KILL $$'
    touch not-executable
    expect 126 ctl lock l -- ./not-executable
    expect 127 ctl lock l -- ./not-there
    [[ $stderr == *not-there* ]]
    # Each of them has given it back at once.
    expect 0 ctl lock l -n -- true
}

@test "the command gets token and lease, stdin and stdout, in a group of its own" {
    expect 0 ctl lock l -- sh -c 'echo "$DISTDB_TOKEN $DISTDB_LEASE $(cat)"; ps -o pgid= -p $$; echo $$' <<<in
    [[ ${lines[0]} =~ ^[0-9]+\ [0-9a-f]{16}\ in$ ]]
    [ "${lines[1]// /}" = "${lines[2]}" ]
}

@test "C15: the command has stdin, stdout, stderr and no other descriptor" {
    exec 7</dev/null
    expect 0 ctl lock l -- sh -c 'for fd in $(seq 3 99); do
        [ ! -e /proc/$$/fd/$fd ] || echo "$fd"; done'
    exec 7<&-
    [ -z "$output" ]
}

@test "-n and -w exit with 4, or what -E says, and leave nothing behind" {
    lock first l
    eventually holds_lock first
    expect 4 ctl lock l -n -- ./work never
    expect 9 ctl lock l -n -E 9 -- ./work never
    began=$(now_ms)
    expect 4 ctl lock l -w 300ms -- ./work never
    expect 0 ctl lock l -w 0.3 -E 0 -- ./work never
    has_passed "$began" 600
    wait_behind l 0
    touch go-first
    end_of "$helper"
    [ "$code" = 0 ]
    refute holds_lock never
}

@test "T8: first come, first served, and one at a time is woken" {
    lock first l
    eventually holds_lock first
    for i in 1 2 3; do
        lock "next$i" l
        eventually wait_behind l "$i"
    done
    for name in first next1 next2; do
        [ "$(tail -n 1 held | cut -d ' ' -f 1)" = $name ]
        count=$(wc -l <held)
        touch "go-$name"
        has_next() { [ "$(wc -l <held)" -gt "$count" ]; }
        eventually has_next
        [ "$(wc -l <held)" = $((count + 1)) ]
    done
    touch go-next3
    end_of "$helper"
    [ "$(cut -d ' ' -f 1 held | paste -sd ' ')" = 'first next1 next2 next3' ]
    # Tokens grow from holder to holder.
    cut -d ' ' -f 2 held | sort -nuC
    nobody_met
}

@test "one who waits and is interrupted leaves the queue" {
    lock first l
    eventually holds_lock first
    background env --default-signal=INT "$bin/distdbctl" lock l -- ./work second
    eventually wait_behind l 1
    kill -INT "$helper"
    end_of "$helper"
    [ "$code" = 130 ]
    wait_behind l 0
}

@test "what a signal tells distdbctl, the command hears" {
    background "$bin/distdbctl" lock l -- bash -c 'trap "echo heard; exit 5" TERM; ./work first & wait'
    eventually holds_lock first
    kill -TERM "$helper"
    end_of "$helper"
    [ "$code" = 5 ]
    eventually is_dead "$(command_of first)"
}

@test "T7: what a command leaves behind ends before the lock is free" {
    touch go-first
    for way in env setsid; do
        rm -f kin-first
        expect 0 ctl lock l -- ./work first $way
        is_dead "$(cat kin-first)"
    done
    nobody_met
}

@test "without a command it is held until stdin ends, and the token is printed" {
    mkfifo in
    background eval 'exec "$bin/distdbctl" lock l --value me <in >token'
    exec 8>in
    eventually test -s token
    expect 0 ctl leader l
    [ "$output" = me ]
    expect 4 ctl lock l -n -- true
    [ "$(ctl leader l -o json | jq .token)" = "$(cat token)" ]
    exec 8>&-
    end_of "$helper"
    [ "$code" = 0 ]
    expect 1 ctl leader l
    [ -z "$output" ]
}

@test "so many hold a lock with slots, and the next one waits" {
    for i in 1 2 3; do
        background "$bin/distdbctl" lock l --slots 2 -- sh -c "echo $i >>in; exec tail -f never"
    done
    eventually wait_behind l 1
    two_hold() { [ "$(wc -l <in)" = 2 ]; }
    eventually two_hold
    [ "$(ctl leader l -o json | jq .holders)" = 2 ]
    expect 4 ctl lock l --slots 2 -n -- true
}

@test "those who share a lock hold it together, and one who does not waits" {
    for i in 1 2; do
        background "$bin/distdbctl" lock l -s -- sh -c "echo $i >>in; exec tail -f never"
    done
    two_hold() { [ "$(wc -l <in)" = 2 ]; }
    eventually two_hold
    expect 4 ctl lock l -n -- true
    expect 0 ctl lock l -s -n -- true
}

@test "an election has a leader whose value all see" {
    background eval 'exec "$bin/distdbctl" elect e --observe >seen'
    expect 1 ctl leader e
    background "$bin/distdbctl" elect e one -- ./work one
    eventually holds_lock one
    background "$bin/distdbctl" elect e 'two tabs	' -- ./work two
    eventually wait_behind e 1
    expect 0 ctl leader e
    [ "$output" = one ]
    touch go-one
    eventually holds_lock two
    expect 0 ctl leader e -o json
    jq -e '.found and .value == "two tabs\t" and .holders == 1' <<<"$output"
    all_seen() { [ "$(cat seen)" = $'one\ntwo tabs\\t' ]; }
    eventually all_seen
    nobody_met
}

@test "names that can't be are refused, and so are modes without locks" {
    expect 65 ctl lock '' -- true
    expect 65 ctl lock "$(printf 'k%.0s' {1..1025})" -- true
    ctl mode set loose/ broadcast
    expect 65 ctl lock loose/l -- true
}
