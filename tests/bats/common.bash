# What all shell tests share: nodes of their own below a directory of their own,
# and words to say what is expected. Nothing in here or in a test waits for a
# fixed time; what must become true is asked again and again, with a bound.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(cd "${DISTDB_BIN:-$root/target/debug}" && pwd)

# How the clusters of a file are founded; files about raft say so.
mode=broadcast

# A test that takes longer hangs; the slowest takes a few seconds.
export BATS_TEST_TIMEOUT=120
# Of everything that is awaited. Machines may be slow and tests run side by side.
WAIT_SECONDS_MAX=30

setup() {
    local name
    # No variable of the caller's must reach the nodes.
    for name in $(compgen -e DISTDB_ || true) NOTIFY_SOCKET NO_COLOR; do
        unset "$name"
    done
    dir=$BATS_TEST_TMPDIR
    export DISTDB_RUNTIME_DIR=$dir/run
    export DISTDB_TIMEOUT=${WAIT_SECONDS_MAX}s
    mkdir "$DISTDB_RUNTIME_DIR"
    declare -gA pids=()
    declare -ga helpers=()
    cd "$dir" || return
    prepare
}

# What a file's tests start with; they may say more.
prepare() {
    :
}

teardown() {
    stop_nodes
}

# Ends what a test has started; of one that failed it shows the logs.
stop_nodes() {
    local pid name
    for pid in "${pids[@]}" "${helpers[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
    for name in "${!pids[@]}"; do
        echo "--- the last lines of $name:"
        tail -n 15 "$dir/$name.log" || true
    done
}

ctl() {
    "$bin/distdbctl" "$@"
}

# Asks again and again until the command succeeds.
eventually() {
    local deadline=$((SECONDS + WAIT_SECONDS_MAX))
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            echo "never became true: $*" >&2
            return 1
        fi
        sleep 0.02
    done
}

# `! command` does not end a test; this does.
refute() {
    ! "$@"
}

# Runs the command and expects that exit code, as `run` does, with stdout in
# $output and stderr in $stderr.
expect() {
    local code=$1
    shift
    run --separate-stderr "-$code" "$@"
}

# Runs a command beside the test; it is gone when that ends. Its pid is in $helper.
background() {
    # The descriptors above 2 are bats' own: whoever holds them keeps it from ending.
    "$@" 3>&- 4>&- &
    helper=$!
    helpers+=("$helper")
}

# Starts a node without waiting for it.
spawn_node() {
    local name=$1 trace=()
    shift
    # For `make trace-check`: a folder for each test, a file in it for each node.
    if [ -n "${TRACES:-}" ]; then
        local folder
        folder=$TRACES/$(basename "$BATS_TEST_FILENAME" .bats)-$BATS_TEST_NUMBER
        mkdir -p "$folder"
        trace=(--trace "$folder/$name.ndjson")
    fi
    rm -f "$DISTDB_RUNTIME_DIR/$name/peer.addr"
    "$bin/distdbd" --node "$name" --listen "${listen:-127.0.0.1:0}" \
        --data-dir "${data_dir:-$dir/data-$name}" --mode "$mode" "${trace[@]}" "$@" \
        >>"$dir/$name.log" 2>&1 </dev/null 3>&- 4>&- &
    pids[$name]=$!
}

answers() {
    ctl --node "$1" live >/dev/null 2>&1
}

# Starts a node and waits until its socket answers.
start_node() {
    spawn_node "$@"
    eventually answers "$1"
}

start_single() {
    start_node node1 --bootstrap "$@"
}

address() {
    cat "$DISTDB_RUNTIME_DIR/$1/peer.addr"
}

socket() {
    echo "$DISTDB_RUNTIME_DIR/$1/control.sock"
}

# Kills all of node1 to nodeN, and starts them again where they were.
restart_cluster() {
    local count=$1 i
    declare -A addresses
    for ((i = 1; i <= count; i++)); do
        addresses[node$i]=$(address "node$i")
    done
    for ((i = 1; i <= count; i++)); do
        kill_node "node$i"
    done
    for ((i = 1; i <= count; i++)); do
        listen=${addresses[node$i]} spawn_node "node$i"
    done
    for ((i = 1; i <= count; i++)); do
        eventually answers "node$i"
        wait_for "node$i" "members=$count"
    done
}

# Starts node1 to nodeN and waits until each sees all, with a vote where there is one.
start_cluster() {
    local count=$1 i
    shift
    start_node node1 --bootstrap "$@"
    for ((i = 2; i <= count; i++)); do
        spawn_node "node$i" --join "$(address node1)" "$@"
    done
    for ((i = 1; i <= count; i++)); do
        eventually answers "node$i"
        wait_for "node$i" "members=$count"
        [ "$mode" != raft ] || eventually has_voters "node$i" "$count"
    done
}

# Whether a node knows so many voters.
has_voters() {
    local voters='members | map(select(.role == "leader" or .role == "follower")) | length'
    [ "$(of "$1" members "$voters")" = "$2" ]
}

# Who leads, as a node sees it; nothing if it knows none.
leader() {
    of "$1" status 'leader // ""'
}

# The name of a node that is none of those named.
other_than() {
    local name
    for name in node1 node2 node3; do
        if [[ " $* " != *" $name "* ]]; then
            echo "$name"
            return
        fi
    done
}

wait_for() {
    local node=$1
    shift
    ctl --node "$node" wait "$@" >/dev/null
}

# Stores N keys, key00001 and so on, through one node.
fill() {
    local node=$1 count=$2
    seq -f '%05.0f' 1 "$count" | sed 's/.*/put key& value&/' | ctl --node "$node" batch >/dev/null
}

# As a crash: no signal handler runs.
kill_node() {
    kill -KILL "${pids[$1]}"
    reap "$1"
}

# Waits for the end of a node; its exit code is in $status.
reap() {
    status=0
    wait "${pids[$1]}" || status=$?
    unset "pids[$1]"
}

# Runs a daemon that is expected to end by itself, and soon.
refused() {
    expect 78 timeout 20 "$bin/distdbd" "$@"
}

# One member of the result of an operation without members of its own.
of() {
    local node=$1 op=$2 member=$3
    ctl --node "$node" call "$op" | jq -r ".result.$member"
}

state_hash() {
    of "$1" status state_hash
}

have_one_state() {
    local first
    first=$(state_hash "$1")
    for node in "${@:2}"; do
        [ "$(state_hash "$node")" = "$first" ] || return 1
    done
}

# Whether a node prints this for a key.
holds() {
    [ "$(ctl --node "$1" get "$2" 2>/dev/null)" = "$3" ]
}

lacks() {
    local status=0
    ctl --node "$1" get "$2" >/dev/null 2>&1 || status=$?
    [ $status = 1 ]
}

# Hands stdin to a node's socket and prints what comes back until it closes.
# Socat waits for that as long as any test may take.
say() {
    local node=$1
    shift
    socat -t "$WAIT_SECONDS_MAX" "$@" - "UNIX-CONNECT:$(socket "$node")"
}

# Milliseconds since the machine's start.
now_ms() {
    local up
    read -r up _ </proc/uptime
    echo $((${up/./} * 10))
}
