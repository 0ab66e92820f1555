#!/usr/bin/env bash
# Starts, stops and measures a cluster on this machine, for people to play with:
#   tests/cluster.sh start [N]   N nodes (3), each below RUN/NAME; running ones are left alone
#   tests/cluster.sh stop        just those
#   tests/cluster.sh bench       figures of a cluster of its own
# DISTDB_BIN is where the binaries are; RUN is $DISTDB_RUN, or ./run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${DISTDB_BIN:-$root/target/release}
run=${DISTDB_RUN:-$root/run}

# Of a socket's path. The longest one here ends in /node9999/control.sock.
SOCKET_PATH_BYTES_MAX=107
START_SECONDS_MAX=30
# The daemon promises 5 s.
STOP_SECONDS_MAX=10

die() {
    echo "cluster.sh: $1" >&2
    exit 1
}

# Looks again and again whether the command succeeds, for so many seconds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.02
    done
}

# Where sockets go: RUN, or if paths below it would be too long, a short one behind a link.
open_run() {
    local longest=$run/node9999/control.sock short
    [ ! -L "$run" ] || [ -d "$run" ] || rm "$run"
    if [ ! -e "$run" ] && [ ${#longest} -gt $SOCKET_PATH_BYTES_MAX ]; then
        short=$(mktemp -d "${TMPDIR:-/tmp}/distdb-XXXXXX")
        ln -s "$short" "$run"
        echo "$run is too long for sockets: it is a link to $short" >&2
    fi
    mkdir -p "$run"
    run=$(cd "$run" && pwd -P)
    longest=$run/node9999/control.sock
    [ ${#longest} -le $SOCKET_PATH_BYTES_MAX ] ||
        die "$longest has more than $SOCKET_PATH_BYTES_MAX bytes; set DISTDB_RUN to a shorter directory"
}

ctl() {
    DISTDB_RUNTIME_DIR=$run "$bin/distdbctl" --node "$@"
}

# Whether the pid of a node's pid file is that node still, and not a later process.
is_running() {
    local name=$1 pid words=()
    pid=$(cat "$run/$name/pid" 2>/dev/null) || return 1
    mapfile -t -d '' words 2>/dev/null <"/proc/$pid/cmdline" || return 1
    [ "$(basename "${words[0]:-}") ${words[*]:1:4}" = "distdbd --node $name --runtime-dir $run" ]
}

# The peer port of the last start: members that restart all at once find each other there.
last_address() {
    cat "$run/$1/address" 2>/dev/null || echo 127.0.0.1:0
}

launch() {
    local name=$1 dir=$run/$1
    shift
    mkdir -p "$dir"
    rm -f "$dir/peer.addr"
    # A session of its own: ctrl-C in this terminal is not meant for it.
    setsid "$bin/distdbd" --node "$name" --runtime-dir "$run" --data-dir "$dir/data" \
        --listen "$(last_address "$name")" --enable-faults "$@" \
        >>"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    if within $START_SECONDS_MAX has_settled "$name" "$!" && is_live "$name"; then
        cp "$dir/peer.addr" "$dir/address"
    else
        tail -n 5 "$dir/log" >&2
        die "$name did not start; its log is $dir/log"
    fi
}

is_live() {
    ctl "$1" live >/dev/null 2>&1
}

# Whether node $1 answers, or its process $2 has ended and never will.
has_settled() {
    is_live "$1" || ! kill -0 "$2" 2>/dev/null
}

names() {
    seq -f 'node%.0f' "$1"
}

first_running() {
    local name
    for name; do
        if is_running "$name"; then
            echo "$name"
            return
        fi
    done
}

start() {
    local count=$1 name first all started=0
    mapfile -t all < <(names "$count")
    for name in "${all[@]}"; do
        ! is_running "$name" || continue
        first=$(first_running "${all[@]}")
        if [ -n "$first" ]; then
            launch "$name" --join "$(cat "$run/$first/peer.addr")"
        else
            launch "$name" --bootstrap
        fi
        started=$((started + 1))
    done
    for name in "${all[@]}"; do
        ctl "$name" --timeout ${START_SECONDS_MAX}s wait "members=$count" >/dev/null ||
            die "$name sees fewer than $count members; its log is $run/$name/log"
    done
    [ $started -gt 0 ] || echo "The cluster of $count runs already."
}

describe() {
    local count=$1 last
    last=node$((count < 2 ? 1 : 2))
    cat <<TEXT
$(names "$count" | paste -sd' ') up; use from any shell:
export DISTDB_RUNTIME_DIR=$run
export PATH=$bin:\$PATH
distdbctl --node node1 put name alice
distdbctl --node $last get name
distdbctl status --all
make cluster-stop
TEXT
}

is_gone() {
    ! is_running "$1"
}

# Says how many nodes there were to stop.
stop() {
    local file name stopping=()
    for file in "$run"/*/pid; do
        name=$(basename "$(dirname "$file")")
        if is_running "$name"; then
            kill -TERM "$(cat "$file")"
            stopping+=("$name")
        else
            rm -f "$file"
        fi
    done
    for name in "${stopping[@]}"; do
        if ! within $STOP_SECONDS_MAX is_gone "$name"; then
            echo "$name did not end within $STOP_SECONDS_MAX s; killing it" >&2
            kill -KILL "$(cat "$run/$name/pid")"
        fi
        rm -f "$run/$name/pid"
    done
    echo "${#stopping[@]} nodes stopped"
}

# One row of the table of figures.
measure() {
    local what=$1
    shift
    printf '%s\n' "--- $what"
    ctl node1 bench "$@" --duration 5s --value-size 256 --keys 10000
}

bench() {
    run=$(mktemp -d "${TMPDIR:-/tmp}/distdb-bench-XXXXXX")
    trap 'stop >/dev/null; rm -rf "$run"' EXIT
    start 3
    measure 'put, 1 client' --op put --clients 1
    measure 'put, 64 clients' --op put --clients 64
    measure 'put, 1000 clients' --op put --clients 1000
    measure 'linearizable get, 64 clients' --op get --clients 64
    measure 'stale get, 64 clients' --op get --read stale --clients 64
}

main() {
    local count=${2:-3}
    [[ $count =~ ^[1-9][0-9]{0,2}$ ]] || die "N is $count; it takes 1 to 999"
    case ${1:-} in
        start)
            open_run
            start "$count"
            describe "$count"
            ;;
        stop)
            if [ -d "$run" ]; then
                run=$(cd "$run" && pwd -P)
                stop
            fi
            ;;
        bench) bench ;;
        *) die 'usage: cluster.sh start [N] | stop | bench' ;;
    esac
}

main "$@"
