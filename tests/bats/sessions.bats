#!/usr/bin/env bats
# Sessions: what a script has seen it sees again, whichever node it asks.

load common

mode=raft

prepare() {
    session=$dir/session
}

# Runs distdbctl in the session.
in_session() {
    DISTDB_SESSION=$session ctl "$@"
}

# The revision that the session has seen.
seen() {
    jq .revision "$session"
}

@test "X5: what was written through one node is read through any other" {
    start_cluster 3
    for i in {1..60}; do
        in_session --node node$((i % 3 + 1)) put key "value$i"
        [ "$(in_session --node node$((i * 2 % 3 + 1)) get key)" = "value$i" ]
        in_session --node node$((i * 7 % 3 + 1)) -o json list | jq -e ".value == \"value$i\""
    done
    [ "$(seen)" = 60 ]
}

@test "a session is served by the node that is asked, and says so" {
    start_cluster 3
    in_session --node node1 put key value
    DISTDB_SESSION=$session ctl --node node2 batch <<<'get key' | grep -qx $'ok\tvalue'
    served=$(ctl --node node2 call get '{"key":"key","read":"session"}' | jq -r .header.served)
    [ "$served" = session ]
    expect 0 ctl --node node2 get key --read session
    [ "$output" = value ]
}

@test "X5, X6: a node that is behind waits until the deadline, and serves once it is not" {
    start_cluster 3 --enable-faults
    behind=$(other_than "$(leader node1)")
    in_session --node "$(leader node1)" put key old
    in_session --node "$behind" get key
    ctl --node "$behind" fault isolate >/dev/null
    in_session --node "$(other_than "$behind")" put key new
    expect 69 in_session --node "$behind" --timeout 500ms -o json get key
    [ "$(jq -r .code <<<"$stderr")" = behind ]
    [ "$(jq -r .applied <<<"$stderr")" = no ]
    [ "$(ctl --node "$behind" get key --read stale)" = old ]
    [ "$(in_session --node "$behind" get key --read stale)" = old ]
    background in_session --node "$behind" get key >late
    ctl --node "$behind" fault heal >/dev/null
    wait "$helper"
    [ "$(<late)" = new ]
}

@test "C17: branches of a script that run side by side merge, and tear nothing" {
    start_cluster 3
    export DISTDB_SESSION=$session
    seq 60 |
        parallel -j 12 "$bin/distdbctl --node node{= \$_ = \$_ % 3 + 1 =} put key{} {}"
    [ "$(seen)" = 60 ]
    [ "$(wc -l <"$session")" = 1 ]
    for node in node1 node2 node3; do
        [ "$(in_session --node $node list --count)" = 60 ]
    done
    [ "$(find "$dir" -maxdepth 1 -name 'session*' | wc -l)" = 1 ]
}

@test "a batch in a session sees what its lines before have written" {
    start_cluster 3
    follower=$(other_than "$(leader node1)")
    for i in {1..200}; do
        echo "put key $i"
        echo "get key"
    done >input
    in_session --node "$follower" batch -f input | awk 'NR % 2 == 0' >values
    seq 200 | sed $'s/^/ok\t/' | cmp - values
    [ "$(seen)" = 200 ]
}

@test "a file that is no session stays as it is, and nothing is asked" {
    start_single
    echo "not a session" >"$session"
    cp "$session" before
    expect 65 in_session put key value
    [[ $stderr == *"$session"*"no session"* ]]
    cmp "$session" before
    expect 1 ctl get key
    expect 73 ctl --session "$dir/nowhere/session" put key value
    expect 1 ctl get key
    expect 65 ctl --session /dev/null put key value
    expect 0 ctl --session '' put key value
    expect 0 ctl --session "$dir/nowhere/session" status
}

@test "an empty file is a session that has seen nothing, as mktemp makes it" {
    start_single
    session=$(mktemp -p "$dir")
    expect 0 in_session put key value
    jq -e '.version == 1 and .context == "" and .revision == 1' "$session"
    [ "$(stat -c %a "$session")" = 600 ]
}
