#!/usr/bin/env bash
# Measures clusters in raft mode on this machine, and prints a table: how long a leader's death
# is felt, what a million keys take, how fast nodes come back, how fast requests are.
#   tests/measure.sh
# DISTDB_BIN is where the binaries are. KEYS, MISSED, TRIALS and BENCH_SECONDS make it shorter.
# It has a directory of its own below TMPDIR, which takes about 3 GB, and leaves nothing behind.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${DISTDB_BIN:-$root/target/release}

KEYS=${KEYS:-1000000}
MISSED=${MISSED:-100000}
TRIALS=${TRIALS:-10}
BENCH_SECONDS=${BENCH_SECONDS:-10}
VALUE_BYTES=256
# Nothing that is waited for takes longer, a load of all keys on a slow disk included.
WAIT_SECONDS_MAX=600

dir=$(mktemp -d "${TMPDIR:-/tmp}/distdb-measure-XXXXXX")
export DISTDB_RUNTIME_DIR=$dir/run
declare -A pids=()

die() {
    echo "measure.sh: $1" >&2
    exit 1
}

clean() {
    local pid
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}

ctl() {
    "$bin/distdbctl" "$@"
}

# One row of the table.
row() {
    printf '%-52s %s\n' "$1" "$2"
}

now_ms() {
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# Looks again and again until the command succeeds.
eventually() {
    local deadline=$((SECONDS + WAIT_SECONDS_MAX))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "never became true: $*"
        sleep 0.01
    done
}

# --- nodes

spawn() {
    local name=$1
    shift
    rm -f "$dir/run/$name/peer.addr"
    "$bin/distdbd" --node "$name" --listen 127.0.0.1:0 --data-dir "$dir/data-$name" "$@" \
        >>"$dir/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
}

start() {
    spawn "$@"
    eventually ctl --node "$1" live
}

stop() {
    kill -KILL "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

address() {
    cat "$dir/run/$1/peer.addr"
}

start_three() {
    local name
    start node1 --bootstrap
    for name in node2 node3; do
        start "$name" --join "$(address node1)"
    done
    eventually has_voters 3
}

forget_all() {
    local name
    for name in "${!pids[@]}"; do
        stop "$name"
    done
    rm -rf "$dir"/data-* "$dir"/run
}

has_voters() {
    local count
    count=$(ctl --node node1 members -o json | jq -r .role | grep -cE 'leader|follower')
    [ "$count" = "$1" ]
}

# A fact of a node's status.
of() {
    ctl --node "$1" status -o json | jq -r ".$2 // empty"
}

leader() {
    local name
    for name in "${!pids[@]}"; do
        if [ "$(of "$name" role)" = leader ]; then
            echo "$name"
            return
        fi
    done
    return 1
}

follower() {
    local now
    now=$(leader)
    printf '%s\n' "${!pids[@]}" | sort | grep -vx "$now" | head -1
}

# Whether one of the others leads.
has_other_leader() {
    local name
    for name in "${!pids[@]}"; do
        if [ "$name" != "$1" ] && [ "$(of "$name" role)" = leader ]; then
            return
        fi
    done
    return 1
}

# Whether a node has all that the leader has.
has_all() {
    local leader
    leader=$(leader)
    [ "$(of "$1" applied_index)" -ge "$(of "$leader" applied_index)" ]
}

votes_with_all() {
    [ "$(of "$1" role)" = follower ] && has_all "$1"
}

# --- measuring

# Milliseconds until the command succeeds.
time_until() {
    local began
    began=$(now_ms)
    eventually "$@"
    echo "$(($(now_ms) - began)) ms"
}

# Stores the keys 1 to N, each once. What bench does before it reads is just that.
load() {
    ctl --node "$1" --timeout ${WAIT_SECONDS_MAX}s bench --op get --keys "$2" --clients 512 \
        --value-size $VALUE_BYTES --duration 1ms -o json >/dev/null
}

# The report of a load generator.
bench() {
    local nodes=$1
    shift
    ctl --node "$nodes" --timeout 20s bench --value-size $VALUE_BYTES -o json "$@" \
        2>>"$dir/bench.log"
}

speed() {
    jq -r '"\(.per_second | round) /s, p50 \(.p50_us / 1000 * 100 | round / 100) ms, " +
        "p99 \(.p99_us / 1000 * 100 | round / 100) ms" +
        (if .failures > 0 then ", \(.failures) failed" else "" end)'
}

# Whether a node has come so far.
has_revision() {
    [ "$(of "$1" revision)" -ge "$2" ]
}

# How long nobody is answered around the end of a leader: killed, its links end at once; stopped,
# nobody is told, as when its machine loses power.
failover() {
    local signal=$1 trials=$2 trial name pid before gaps=()
    start_three
    for ((trial = 1; trial <= trials; trial++)); do
        name=$(leader)
        before=$(of "$name" revision)
        bench node1,node2,node3 --op put --clients 8 --keys 1000 --duration 6s >"$dir/report" &
        pid=$!
        eventually has_revision "$name" $((${before:-0} + 1000))
        kill "-$signal" "${pids[$name]}"
        eventually has_other_leader "$name"
        # Clients that it has left without an answer would wait for one.
        kill -CONT "${pids[$name]}" 2>/dev/null || true
        wait "$pid" || die "bench failed: $(tail -n 1 "$dir/bench.log")"
        gaps+=("$(jq '.max_gap_ms | round' "$dir/report")")
        stop "$name"
        start "$name"
        eventually ctl --node "$name" wait members=3
    done
    mapfile -t gaps < <(printf '%s\n' "${gaps[@]}" | sort -n)
    row "failover, SIG$signal, $trials trials: longest gap" \
        "median ${gaps[trials / 2]} ms, ${gaps[0]} to ${gaps[trials - 1]} ms"
    forget_all
    mkdir "$dir/run"
}

throughput() {
    local clients
    for clients in 1 64 1000; do
        row "put, $clients clients, at the leader" \
            "$(bench "$(leader)" --op put --clients "$clients" --duration "${BENCH_SECONDS}s" | speed)"
    done
    for name in "$(leader)" "$(follower)"; do
        row "get linearizable, 64 clients, at the $(of "$name" role)" \
            "$(bench "$name" --op get --clients 64 --duration "${BENCH_SECONDS}s" | speed)"
    done
    row 'get stale, 64 clients, at a follower' \
        "$(bench "$(follower)" --op get --stale --clients 64 --duration "${BENCH_SECONDS}s" | speed)"
}

memory() {
    awk '/^VmRSS/ { printf "%d MiB", $2 / 1024 }' "/proc/${pids[$1]}/status"
}

disk() {
    echo "$(($(du -sk "$dir/data-$1" | cut -f 1) / 1024)) MiB"
}

# What many keys take, and how nodes that lack them get them.
many_keys() {
    local began name leader key
    began=$(now_ms)
    load "$(leader)" "$KEYS"
    row "$KEYS keys of $VALUE_BYTES B: time to store" "$(($(now_ms) - began)) ms"
    leader=$(leader)
    name=$(follower)
    eventually has_all "$name"
    key=$(ctl --node "$name" list bench/ --keys --limit 1)
    row '  memory (RSS): leader, follower' "$(memory "$leader"), $(memory "$name")"
    row '  disk (du): leader, follower' "$(disk "$leader"), $(disk "$name")"

    stop "$name"
    spawn "$name"
    row '  kill -9 of a follower: start to linearizable get' \
        "$(time_until ctl --node "$name" get "$key")"

    name=$(follower)
    stop "$name"
    load "$(leader)" "$MISSED"
    spawn "$name"
    row "  a follower that missed $MISSED writes: start to all" "$(time_until has_all "$name")"

    spawn node4 --join "$(address node1)"
    row '  an empty new node: start to voter with all' "$(time_until votes_with_all node4)"
}

# How long writes stall while snapshots are written, and one is sent.
snapshots() {
    local pid before
    before=$(of "$(leader)" snapshot_index)
    bench "$(leader)" --op put --clients 64 --keys "$KEYS" \
        --duration "$((3 * BENCH_SECONDS))s" >"$dir/report" &
    pid=$!
    spawn node5 --join "$(address node1)"
    wait "$pid" || die "bench failed: $(tail -n 1 "$dir/bench.log")"
    eventually votes_with_all node5
    row '  longest gap of writes, snapshots written and sent' \
        "$(jq '.max_gap_ms | round' "$dir/report") ms, $(speed <"$dir/report")"
    row '  entries between the first and the last snapshot' \
        "$(($(of "$(leader)" snapshot_index) - before))"
}

main() {
    command -v jq >/dev/null || die 'jq is missing: apt-get install jq'
    trap clean EXIT
    trap 'exit 130' INT TERM
    mkdir "$dir/run"
    row "$(nproc) processors, $(awk '/^MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)" \
        "$("$bin/distdbd" --version)"
    failover KILL "$TRIALS"
    failover STOP "$TRIALS"
    start_three
    throughput
    many_keys
    snapshots
}

main "$@"
