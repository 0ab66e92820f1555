#!/usr/bin/env bats
# Watches and waits: what they print, what they run, how they end.

load common

prepare() {
    start_single
}

# Starts a watch that writes to ./seen, and comes back once it has begun. A first
# change of the key "begin" is how that is known.
begin_watch() {
    background eval 'exec "$bin/distdbctl" watch --prefix "" >seen 2>watch-err'
    has_begun() {
        ctl put begin x
        grep -q begin seen
    }
    eventually has_begun
}

# Runs a watch of one change with a command, in the background, and makes the
# change. The exit code of the watch is then in $status.
watch_once() {
    local key=$1 value=$2
    shift 2
    background "$bin/distdbctl" watch "$key" --count 1 -- "$@"
    has_ended() {
        printf '%b' "$value" | ctl put "$key"
        ! kill -0 "$helper" 2>/dev/null
    }
    eventually has_ended
    status=0
    wait "$helper" || status=$?
}

@test "changes are lines of tabs, in their order" {
    begin_watch
    ctl put key 'a b'
    printf 'x\ty\n' | ctl put key
    ctl delete key
    has_all() { grep -q '^delete' seen; }
    eventually has_all
    grep -v begin seen >lines
    printf 'put\tkey\ta b\nput\tkey\tx\\ty\\n\ndelete\tkey\n' >want
    diff want <(sed 's/\t$//' lines)
}

@test "what a peer writes is seen" {
    start_node node2 --join "$(address node1)"
    wait_for node2 members=2
    export DISTDB_NODE=node1
    begin_watch
    ctl --node node2 put key value
    has_it() { grep -q $'^put\tkey\tvalue$' seen; }
    eventually has_it
}

@test "--count ends a watch, and a key alone is watched alone" {
    background eval 'exec "$bin/distdbctl" watch key --count 2 >seen'
    has_ended() {
        ctl put other 1
        ctl put key 1
        ! kill -0 "$helper" 2>/dev/null
    }
    eventually has_ended
    [ "$(cut -f 2 seen)" = $'key\nkey' ]
}

@test "C14: a command gets the value on stdin and the rest in its environment" {
    # shellcheck disable=SC2016  # For the shell that is run.
    watch_once 'a "key" $x' 'two\nlines\0and NUL\n\n' \
        sh -c 'cat >value; printf %s "$DISTDB_EVENT|$DISTDB_KEY|$DISTDB_REVISION" >env'
    [ "$status" = 0 ]
    printf 'two\nlines\0and NUL\n\n' | cmp - value
    [[ $(cat env) =~ ^put\|a\ \"key\"\ \$x\|[0-9]+$ ]]
}

@test "C14: a value of a mebibyte reaches the command, read or not" {
    head -c 1000000 /dev/zero | tr '\0' x >big
    watch_once key "$(cat big)" sh -c 'cat >value'
    [ "$status" = 0 ]
    cmp big value
    watch_once key "$(cat big)" true
    [ "$status" = 0 ]
}

@test "C13: the exit code of the command is that of the watch" {
    watch_once key value sh -c 'exit 42'
    [ "$status" = 42 ]
}

@test "C13: a command killed by a signal is 128 and its number" {
    # shellcheck disable=SC2016
    watch_once key value sh -c 'kill -TERM $$'
    [ "$status" = 143 ]
    # shellcheck disable=SC2016
    watch_once key value sh -c 'kill -KILL $$'
    [ "$status" = 137 ]
}

@test "C13: a command that can't be run is 126, one that is not there 127" {
    touch not-executable
    watch_once key value ./not-executable
    [ "$status" = 126 ]
    watch_once key value ./not-there
    [ "$status" = 127 ]
}

@test "C15: the command has stdin, stdout, stderr and no other descriptor" {
    # shellcheck disable=SC2016
    watch_once key value sh -c 'for fd in $(seq 3 99); do
        [ ! -e /proc/$$/fd/$fd ] || echo "$fd $(readlink /proc/$$/fd/$fd)"; done >fds'
    # What the test runner leaves open is not the watch's doing.
    refute grep -q socket fds
}

@test "a watch outlives its daemon, and says so" {
    begin_watch
    kill -TERM "${pids[node1]}"
    reap node1
    eventually grep -q 'waiting to go on' watch-err
    start_node node1
    eventually grep -q 'it goes on' watch-err
    ctl put after x
    eventually grep -q $'^put\tafter\tx$' seen
    [ "$(wc -l <watch-err)" = 2 ]
}

@test "a watch that has never begun does not wait for a daemon" {
    kill -TERM "${pids[node1]}"
    reap node1
    expect 68 ctl watch key
}

@test "a watch ends quietly when nobody reads it" {
    background eval '"$bin/distdbctl" watch --prefix "" 2>watch-err | head -n 1 >seen'
    has_ended() {
        ctl put key value
        ! kill -0 "$helper" 2>/dev/null
    }
    eventually has_ended
    [ ! -s watch-err ]
}

@test "C9: an interrupt is 130" {
    for command in 'watch key' 'wait key nope'; do
        # shellcheck disable=SC2086  # Words of a command line.
        background env --default-signal=INT "$bin/distdbctl" $command
        is_over() {
            kill -INT "$helper" 2>/dev/null || return 0
            return 1
        }
        eventually is_over
        code=0
        wait "$helper" || code=$?
        [ "$code" = 130 ]
    done
}

@test "C9: a put that is interrupted says that its outcome is unknown" {
    kill -STOP "${pids[node1]}"
    background eval 'exec env --default-signal=INT "$bin/distdbctl" put key value 2>err'
    is_connected() { find "/proc/$helper/fd" -lname 'socket:*' | grep -q .; }
    eventually is_connected
    kill -INT "$helper"
    code=0
    wait "$helper" || code=$?
    [ "$code" = 130 ]
    grep -qi 'unknown' err
}

@test "wait comes back as soon as it is so, and prints what is" {
    for condition in 'key name' 'revision>=1' synced members=1; do
        # shellcheck disable=SC2086  # Words of a command line.
        background eval 'exec "$bin/distdbctl" wait $condition >waited'
        ctl put name alice
        wait "$helper"
        [ -s waited ]
    done
}
