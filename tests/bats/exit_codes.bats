#!/usr/bin/env bats
# C16: each exit code that this stage can produce, once. The table of
# `distdbctl --help` is the documentation that is tested here.

load common

prepare() {
    start_single
}

@test "0: done" {
    expect 0 ctl put key value
}

@test "1: no such key, nothing deleted" {
    expect 1 ctl get nope
    expect 1 ctl delete nope
    expect 1 ctl delete --prefix nope
}

@test "2: usage" {
    expect 2 ctl
    expect 2 ctl bogus
    expect 2 ctl get
    expect 2 ctl get key --bogus
    expect 2 ctl --timeout never get key
    expect 2 ctl -o xml get key
    expect 2 ctl wait rain
    expect 2 ctl watch --prefix
    [ -n "$stderr" ]
}

@test "7: a check found something" {
    spawn_node node2 --join 127.0.0.1:1
    eventually answers node2
    expect 7 ctl --node node2 ready
    expect 7 ctl --node node2 health
    expect 0 ctl --node node2 live
    expect 0 ctl --node node1 ready
}

@test "7: status and health of a cluster that lacks a member" {
    start_node node2 --join "$(address node1)"
    wait_for node1 members=2
    expect 0 ctl --node node1 health
    expect 0 ctl --node node1 status
    kill_node node2
    health_is() { run ctl --node node1 health && [ "$status" = "$1" ]; }
    eventually health_is 7
    expect 7 ctl --node node1 status
    expect 7 ctl --node node1 status --all
    expect 0 ctl --node node1 live
    expect 0 ctl --node node1 ready
}

@test "10: history is not kept" {
    ctl put key 1
    ctl put key 2
    expect 10 timeout 20 "$bin/distdbctl" watch key --from 1
    [ -n "$stderr" ]
}

@test "65: bad data" {
    expect 65 ctl put '' value
    expect 65 ctl get "$(printf 'k%.0s' {1..1025})"
    expect 65 ctl call get '{"key":7}'
    expect 65 ctl call get '{"kex":"k"}'
}

@test "66: input that is not there" {
    expect 66 ctl batch -f /nowhere
    expect 66 ctl put key <"$dir"
}

@test "68: no daemon, surely not applied" {
    expect 68 ctl --node node9 put key value
    expect 68 ctl --socket "$dir/no.sock" get key
    kill_node node1
    [ -S "$(socket node1)" ]
    expect 68 ctl --node node1 put key value
    expect 68 ctl --node node1 live
    expect 68 env DISTDB_RUNTIME_DIR="$dir/none" "$bin/distdbctl" get key
}

@test "69: unavailable, surely not applied" {
    spawn_node node2 --join 127.0.0.1:1
    eventually answers node2
    # It is asked again until then.
    expect 69 ctl --node node2 --timeout 300ms -o json put key value
    [ "$(jq -r .code <<<"$stderr")" = not_ready ]
    [ "$(jq -r .applied <<<"$stderr")" = no ]
}

@test "74: outcome unknown" {
    kill -STOP "${pids[node1]}"
    expect 74 ctl --timeout 300ms -o json put key value
    [ "$(jq -r .applied <<<"$stderr")" = unknown ]
    expect 74 ctl --timeout 300ms delete key
    # What is only read has no outcome to know.
    expect 69 ctl --timeout 300ms get key
    kill -CONT "${pids[node1]}"
    eventually holds node1 key value || eventually lacks node1 key
}

@test "75: too many clients" {
    kill_node node1
    (
        # Of these 128 are for peers and files, whatever clients want.
        ulimit -n 132
        start_single
        echo "${pids[node1]}" >pid
    )
    pids[node1]=$(cat pid)
    for _ in {1..8}; do
        background socat -u "UNIX-CONNECT:$(socket node1)" /dev/null
    done
    is_full() { run ctl get key && [ "$status" = 75 ]; }
    eventually is_full
    kill "${helpers[@]}"
    eventually lacks node1 key
    kill -KILL "${pids[node1]}"
    unset 'pids[node1]'
}

@test "76: an operation that this node does not know" {
    expect 76 ctl call teleport '{"if":[]}'
    [[ $output$stderr == *unknown_op* ]]
    expect 0 ctl get nope || [ "$status" = 1 ]
}

@test "77: faults where they were not enabled" {
    expect 77 ctl fault isolate
    expect 77 ctl fault list
    expect 77 ctl call fault '{"set":"isolate"}'
}

@test "124: what was waited for did not come" {
    expect 124 ctl wait key nope --timeout 200ms
    expect 124 ctl wait members=2 --timeout 200ms
    expect 0 ctl wait synced
    [ -n "$output" ]
}

@test "the exit codes of distdbctl are documented" {
    ctl --help >help
    for code in 0 1 2 5 7 10 65 66 68 69 70 73 74 75 76 77 78 124 126 127; do
        grep -qw "$code" help
    done
}
