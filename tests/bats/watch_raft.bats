#!/usr/bin/env bats
# Watches in raft mode: history, cursors, commands that fail, nodes that go away.

load common

mode=raft

# The revision that comes next.
next_revision() {
    echo $(($(ctl status -o json | jq .revision) + 1))
}

# Starts a watch in the background that writes to ./seen.
watching() {
    background write_seen "$@"
}

write_seen() {
    exec "$bin/distdbctl" watch "$@" >seen 2>err
}

# A command that notes what it gets, in ./got.
noting() {
    cat >note <<'EOF'
#!/bin/bash
echo "$DISTDB_EVENT $DISTDB_KEY $(cat)" >>got
EOF
    chmod +x note
}

has_lines() {
    [ -e "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]
}

@test "what was is told from any revision on that is kept" {
    start_single
    from=$(next_revision)
    ctl put a 1
    ctl put b 2
    ctl put a 3
    ctl delete a
    expect 0 ctl watch a --from "$from" --count 3
    [ "$output" = $'put\ta\t1\nput\ta\t3\ndelete\ta' ]
    expect 0 ctl watch --from "$from" --count 3 --only delete,put --previous
    [ "$output" = $'put\ta\t1\nput\tb\t2\nput\ta\t3\t1' ]
    expect 0 ctl watch a --from "$from" --count 1 --only delete --previous -o json
    jq -e '.type == "delete" and .previous == "3" and (has("value") | not)' <<<"$output"
}

@test "a key that ends with its lease has expired" {
    start_single
    from=$(next_revision)
    lease=$(ctl call lease_grant '{"ttl_ms":2000}' | jq -r .result.lease)
    ctl call put "{\"key\":\"k\",\"value\":\"v\",\"lease\":\"$lease\"}"
    expect 0 timeout 20 "$bin/distdbctl" watch k --from "$from" --count 2
    [ "$output" = $'put\tk\tv\nexpire\tk' ]
}

@test "W9: --initial is what is there as of one revision, and what follows" {
    start_single
    fill node1 2500
    # While it lists, keys change and new ones come.
    background eval 'seq -f "%05.0f" 1 3000 | sed "s/.*/put key& new&/" | ctl batch >/dev/null'
    writer=$helper
    watching key --prefix --initial
    wait "$writer"
    ctl put key-last x
    eventually grep -q key-last seen
    kill "$helper"
    # Whoever applies all of it in order has what is there.
    awk -F '\t' '$1 == "put" { value[$2] = $3 } END { for (k in value) print k "\t" value[k] }' \
        seen | sort >applied
    ctl list key | LC_ALL=C sort >there
    LC_ALL=C sort applied | diff - there
    # The list is of one revision: each of its keys stands there once.
    [ "$(head -n 2500 seen | cut -f 2 | sort -u | wc -l)" = 2500 ]
    # Nothing is told twice.
    [ "$(cut -f 2,3 seen | sort | uniq -d | wc -l)" = 0 ]
}

@test "W3: a cursor misses nothing, however often its watch is killed" {
    start_single
    noting
    background eval 'for i in {1..300}; do echo "put k $i"; done | ctl batch >/dev/null'
    writer=$helper
    ctl put k 0
    for _ in {1..6}; do
        before=$(wc -l 2>/dev/null <got || echo 0)
        watching k --from 1 --cursor cursor -- ./note
        eventually has_lines got $((before + 5))
        kill -KILL "$helper"
        wait "$helper" || true
    done
    wait "$writer"
    watching k --cursor cursor -- ./note
    eventually grep -qx 'put k 300' got
    # In their order, each at least once, and again only what a kill has cut off.
    awk '{ print $3 }' got | uniq | awk 'NR > 1 && $1 != last + 1 && $1 != last { back++ }
        { last = $1 } END { exit back > 6 }'
    awk '{ print $3 }' got | sort -nu | diff - <(seq 0 300)
}

@test "a cursor has one watch, belongs to one cluster, and tells when it is too late" {
    start_single
    ctl put k 1
    background "$bin/distdbctl" watch k --cursor cursor
    eventually test -s cursor
    expect 4 ctl watch k --cursor cursor
    kill -KILL "$helper"
    wait "$helper" || true
    ctl put k 2
    ctl put k 3
    ctl call compact "{\"revision\":$(($(next_revision) - 1))}"
    expect 10 ctl watch k --cursor cursor
    [[ $stderr == *'remove cursor and begin with --initial'* ]]
    start_node node2 --bootstrap
    expect 65 ctl --node node2 watch k --cursor cursor
    rm cursor
    expect 0 ctl --node node1 watch k --cursor cursor --initial --count 1
    [ "$output" = $'put\tk\t3' ]
}

@test "a command that fails: stop, skip, retry" {
    start_single
    cat >fails-once <<'EOF'
#!/bin/bash
value=$(cat)
echo "$value" >>got
[ "$value" != 2 ] || [ "$(grep -cx 2 got)" -gt 1 ] || exit 9
EOF
    chmod +x fails-once
    from=$(next_revision)
    for i in 1 2 3; do ctl put k $i; done
    expect 9 ctl watch k --from "$from" --cursor c -- ./fails-once
    [ "$(paste -sd ' ' got)" = '1 2' ]
    # What has failed was not handled.
    rm got
    expect 9 ctl watch k --cursor c -- ./fails-once
    expect 0 ctl watch k --cursor c --count 2 -- ./fails-once
    [ "$(paste -sd ' ' got)" = '2 2 3' ]
    rm got
    expect 0 ctl watch k --from "$from" --count 3 --on-error skip -- ./fails-once
    [ "$(paste -sd ' ' got)" = '1 2 3' ]
    [[ $stderr == *'ended with 9; skipped'* ]]
    rm got
    expect 0 ctl watch k --from "$from" --count 3 --on-error retry -- ./fails-once
    [ "$(paste -sd ' ' got)" = '1 2 2 3' ]
}

@test "what waits is handed out together, or the latest of each key" {
    start_single
    noting
    from=$(next_revision)
    for i in 1 2 3; do
        ctl put a $i
        ctl put b $i
    done
    # The daemon has all of it ready at once, though it may take two reads.
    expect 0 ctl watch --from "$from" --deliver batch --count 6 -- \
        sh -c 'echo "$DISTDB_COUNT" >>counts; cat >>events'
    [ "$(jq -r '.key + .value' events | paste -sd ' ')" = 'a1 b1 a2 b2 a3 b3' ]
    [ "$(paste -sd + counts | bc)" = 6 ]
    watching --from "$from" --deliver latest -- ./note
    eventually grep -q 'b 3' got
    [ "$(tail -n 2 got)" = $'put a 3\nput b 3' ]
    [ "$(wc -l <got)" -le 6 ]
}

@test "a signal reaches the command, and what it has handled is noted" {
    start_single
    from=$(next_revision)
    ctl put k 1
    ctl put k 2
    mkfifo never
    background "$bin/distdbctl" watch k --from "$from" --cursor c -- \
        bash -c 'trap "exit 0" TERM; cat >got; while :; do read -rt 0.05 <>never; done'
    eventually test -s got
    kill -TERM "$helper"
    code=0
    wait "$helper" || code=$?
    [ "$code" = 143 ]
    [ "$(cat got)" = 1 ]
    [ "$(jq .revision c)" = "$from" ]
}

@test "W3: a watch goes on at the next node, without a gap and nothing twice" {
    start_cluster 3
    background eval 'exec "$bin/distdbctl" --node node1,node2,node3 watch k >seen 2>err'
    begun() {
        ctl --node node2 put k 0
        has_lines seen 1
    }
    eventually begun
    for i in 1 2 3; do
        for j in 1 2 3 4 5; do ctl --node node2 put k $i$j; done
        [ $i = 2 ] || continue
        kill_node node1
    done
    eventually grep -q $'k\t35$' seen
    grep -v $'k\t0$' seen | cut -f 3 >values
    for i in 1 2 3; do for j in 1 2 3 4 5; do echo $i$j; done; done | diff - values
}

@test "W8: who is cut off falls silent, and that is said" {
    start_cluster 3 --enable-faults
    cut=$(other_than "$(leader node1)")
    background eval 'exec "$bin/distdbctl" --node "$cut" watch k >seen 2>err'
    ctl --node "$cut" fault isolate >/dev/null
    expect 69 timeout 30 "$bin/distdbctl" --node "$cut" watch k --require-quorum
    eventually grep -q 'no sign of life' err
    ctl --node "$cut" fault heal >/dev/null
    eventually grep -q 'fresh again' err
}

@test "W2: a quiet watch says how far it is" {
    start_single
    ctl put k 1
    background eval 'exec "$bin/distdbctl" watch quiet --progress >seen'
    ctl put k 2
    revision=$(($(next_revision) - 1))
    eventually grep -qx $'progress\t'"$revision" seen
}
