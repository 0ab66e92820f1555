# What the tests of locks share: a command that holds on until it is let go, and
# tells if it ever met another. Loaded after common.
# shellcheck shell=bash
# What common.bash and the tests know of.
# shellcheck disable=SC2034,SC2154

mode=raft

prepare() {
    mkfifo never
    # It holds a lock of this machine, with all that it starts, until it is dead.
    # Whoever finds that taken has met another holder.
    cat >work <<'EOF'
#!/bin/bash
exec 9<>mutex
flock -n 9 || echo "$1 $DISTDB_TOKEN" >>met
echo "$1 $DISTDB_TOKEN $$" >>held
if [ -n "$2" ]; then
    $2 ./kin "$1" &
    until [ -s "kin-$1" ]; do read -rt 0.02 <>never; done
fi
until [ -e "go-$1" ]; do read -rt 0.02 <>never; done
exit 0
EOF
    cat >kin <<'EOF'
#!/bin/bash
trap '' TERM
echo $$ >"kin-$1"
while :; do read -rt 1 <>never; done
EOF
    chmod +x work kin
    start_nodes
}

# Files may want more than one.
start_nodes() {
    start_single
}

# Starts a lock with ./work NAME in the background; its pid is in $helper.
lock() {
    local name=$1
    shift
    background "$bin/distdbctl" lock "$@" -- ./work "$name"
}

holds_lock() {
    grep -q "^$1 " held
}

# The pid of a command that holds, or has held.
command_of() {
    awk -v name="$1" '$1 == name { print $3 }' held
}

token_of() {
    awk -v name="$1" '$1 == name { print $2 }' held
}

is_dead() {
    # A zombie of the test's own is dead enough.
    [ ! -e "/proc/$1" ] || grep -q '^State:\s*Z' "/proc/$1/status"
}

# How many wait for a lock.
waiting() {
    ctl leader "$1" -o json | jq .waiting
}

wait_behind() {
    [ "$(waiting "$1")" = "$2" ]
}

# Waits for a helper; its exit code is in $code.
end_of() {
    code=0
    wait "$1" || code=$?
}

nobody_met() {
    [ ! -e met ] || { cat met && return 1; }
}

has_passed() {
    [ $(($(now_ms) - $1)) -ge "$2" ]
}
