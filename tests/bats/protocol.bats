#!/usr/bin/env bats
# The control socket as anything but distdbctl sees it: here, socat.

load common

prepare() {
    start_single
}

# 500 puts with ids, and one more line.
requests() {
    local i
    for ((i = 1; i <= 500; i++)); do
        echo "{\"id\":$i,\"op\":\"put\",\"key\":\"key$i\",\"value\":\"$i\"}"
    done
    echo '{"id":"last","op":"list","count_only":true}'
}

error_code() {
    jq -r .error.code
}

@test "one line of echo and socat is a client" {
    ctl put name alice
    echo '{"op":"get","key":"name"}' | say node1 >reply
    [ "$(jq -r .result.value reply)" = alice ]
    [ "$(jq -r .header.served reply)" = local ]
    [ "$(wc -l <reply)" = 1 ]
}

@test "P1: a request may come byte by byte" {
    printf '{"op":"put","key":"name","value":"alïce"}\n{"op":"get","key":"name"}\n' |
        say node1 -b 1 >replies
    [ "$(jq -r .ok replies)" = $'true\ntrue' ]
    [ "$(tail -n 1 replies | jq -r .result.value)" = alïce ]
}

@test "P1, P12: 500 requests in one write are each answered once, and all take effect" {
    requests >lines
    say node1 -b 1000000 <lines >replies
    jq -r .id replies | sort >ids
    { seq 500; echo last; } | sort | diff - ids
    [ "$(jq -r 'select(.ok | not)' replies)" = '' ]
    [ "$(ctl list --count)" = 500 ]
}

@test "P12: the writes of a connection take effect in the order sent" {
    for value in {1..300}; do
        echo "{\"id\":$value,\"op\":\"put\",\"key\":\"key\",\"value\":\"$value\"}"
    done | say node1 >replies
    [ "$(wc -l <replies)" = 300 ]
    [ "$(ctl get key)" = 300 ]
}

@test "requests without ids are answered in their order" {
    for value in {1..50}; do
        echo "{\"op\":\"put\",\"key\":\"key\",\"value\":\"$value\"}"
        echo '{"op":"get","key":"key"}'
    done | say node1 | jq -r 'select(.result.found).result.value' >values
    seq 50 | diff - values
}

@test "an id of any kind is echoed" {
    printf '%s\n' '{"id":7,"op":"live"}' '{"id":"x y","op":"live"}' '{"id":-1,"op":"bogus"}' |
        say node1 | jq -c .id >ids
    [ "$(sort ids)" = $'"x y"\n-1\n7' ]
}

@test "P3: half-close gets what is outstanding, even without a last newline" {
    printf '{"op":"put","key":"k","value":"v"}\n{"op":"get","key":"k"}' | say node1 >replies
    [ "$(tail -n 1 replies | jq -r .result.value)" = v ]
}

@test "P2: a line that never ends is refused, and costs no memory" {
    # Just past the limit, and then nothing more: the reply must come all the same.
    { head -c 4194305 /dev/zero | tr '\0' x; tail -f /dev/null --pid "${pids[node1]}"; } |
        timeout "$WAIT_SECONDS_MAX" socat - "UNIX-CONNECT:$(socket node1)" >reply &
    writer=$!
    helpers+=("$writer")
    has_reply() { [ -s reply ]; }
    eventually has_reply
    [ "$(error_code <reply)" = bad_request ]
    head -c 268435456 /dev/zero | say node1 >/dev/null 2>&1 || true
    expect 1 ctl get key
    peak_kb=$(sed -nE 's/^VmHWM:\s+([0-9]+) kB/\1/p' "/proc/${pids[node1]}/status")
    [ "$peak_kb" -lt 65536 ]
}

@test "P6: a line that is no JSON object is refused, and the connection closed" {
    {
        printf '\xff\xfe{"op":"live"}\n'
        printf '{"op":"get","key":"\xff"}\n'
        printf '%s\n' '[]' null 7 '"live"' 'get name' '{' '{"op":"live"' '{"op":"live"}{"op":"live"}' \
            '{"op":"get","key":NaN}' '{"op":"get","key":"\ud800"}' ''
        printf '\xef\xbb\xbf{"op":"live"}\n'
    } >lines
    while IFS= read -r line; do
        printf '%s\n{"id":"after","op":"live"}\n' "$line" | say node1 >replies 2>/dev/null || true
        [ "$(head -n 1 replies | error_code)" = bad_request ]
        refute grep -q after replies
    done <lines
    expect 1 ctl get key
}

@test "P6: 100,000 brackets are refused" {
    { printf '[%.0s' {1..100000}; echo; } | say node1 >reply 2>/dev/null || true
    [ "$(error_code <reply)" = bad_request ]
    { printf '{"op":"put","key":"k","value":%s}\n' "$(printf '[%.0s' {1..17})"; } |
        say node1 >reply 2>/dev/null || true
    [ "$(error_code <reply)" = bad_request ]
    expect 1 ctl get k
}

@test "P11: unknown operations and members are told, and the connection lives on" {
    printf '%s\n' '{"op":"teleport","if":[]}' '{"op":"get","key":"k","colour":"red"}' '{"op":"get","key":7}' \
        '{"op":"get"}' '{"id":"after","op":"live"}' | say node1 >replies
    [ "$(jq -r '.error.code // "none"' replies)" = \
        $'unknown_op\nbad_request\nbad_request\nbad_request\nnone' ]
    [[ $(sed -n 2p replies | jq -r .error.message) == *colour* ]]
    [[ $(sed -n 3p replies | jq -r .error.message) == *key* ]]
    [ "$(tail -n 1 replies | jq -r .id)" = after ]
}

@test "bytes travel as text or as base64" {
    printf '%s\n' '{"op":"put","key":"b","value_b64":"/wA="}' '{"op":"get","key":"b"}' |
        say node1 >replies
    [ "$(tail -n 1 replies | jq -r .result.value_b64)" = /wA= ]
    ctl get b -o raw >out
    printf '\xff\0' | cmp - out
}

@test "hello tells versions, limits, and who the kernel says is there" {
    ctl call hello >reply
    [ "$(jq .result.protocol reply)" = 1 ]
    [ "$(jq -r .result.node reply)" = node1 ]
    [ "$(jq .result.peer.uid reply)" = "$(id -u)" ]
    [ "$(jq -r '.result.limits | type' reply)" = object ]
}

@test "a request may be cancelled, and a timeout is kept" {
    printf '%s\n' '{"id":1,"op":"wait","for":"key","key":"nope"}' '{"id":2,"op":"cancel","target":1}' \
        '{"id":3,"op":"wait","for":"members=9","timeout_ms":50}' | say node1 >replies
    [ "$(jq -r .id replies | sort)" = $'1\n2\n3' ]
    [ "$(jq -r 'select(.id == 3).error.code' replies)" = timeout ]
}

@test "P4: a client that never reads holds up nobody" {
    head -c 500000 /dev/zero | tr '\0' x | ctl put big
    mkfifo unread
    exec 5<>unread
    for id in {1..1000}; do echo "{\"id\":$id,\"op\":\"get\",\"key\":\"big\"}"; done >lines
    background socat -t "$WAIT_SECONDS_MAX" "OPEN:lines!!OPEN:unread" "UNIX-CONNECT:$(socket node1)"
    for i in {1..50}; do
        ctl --timeout 5s put "key$i" "$i"
    done
    [ "$(ctl list --count)" = 51 ]
    kill -KILL "$helper"
    exec 5>&-
    expect 0 ctl get key50
}

@test "P3: clients that die in the middle of a line leave nothing behind" {
    descriptors() { find "/proc/${pids[node1]}/fd" | wc -l; }
    before=$(descriptors)
    for _ in {1..20}; do
        printf '{"op":"put","key":"k","va' | socat -t 0 - "UNIX-CONNECT:$(socket node1)" >/dev/null || true
    done
    are_gone() { [ "$(descriptors)" -le "$before" ]; }
    eventually are_gone
    expect 1 ctl get k
}

@test "a watch over the socket has an end when it is cancelled" {
    printf '%s\n' '{"id":1,"op":"watch","prefix":""}' '{"id":2,"op":"put","key":"k","value":"v"}' \
        '{"id":3,"op":"cancel","target":1}' | say node1 >replies
    [ "$(jq -r 'select(.events).events[0] | .type + .key + .value' replies)" = putkv ]
    [ "$(jq -r 'select(.end).id' replies)" = 1 ]
}
