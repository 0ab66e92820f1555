#!/usr/bin/env bats
# How a daemon starts, refuses to start, and ends: the start-up table, sockets,
# signals, systemd.

load common


files_of() {
    (cd "$1" && find . -type f -exec md5sum {} + | sort)
}

@test "an empty data directory needs --bootstrap or --join, and both are shown" {
    refused --node node1 --listen 127.0.0.1:0 --data-dir data
    [[ $stderr == *--bootstrap* && $stderr == *--join* ]]
    refused --node node1 --listen 127.0.0.1:0 --data-dir data --bootstrap --join 127.0.0.1:1
}

@test "a node resumes, whatever the flags say" {
    start_single
    id=$(of node1 status id)
    kill_node node1
    start_node node1
    [ "$(of node1 status id)" = "$id" ]
    kill_node node1
    start_node node1 --join 127.0.0.1:1
    [ "$(of node1 status id)" = "$id" ]
    wait_for node1 synced
    kill_node node1
    start_node node1 --bootstrap
    [ "$(of node1 status id)" = "$id" ]
}

@test "M4: a new data directory is a new id" {
    start_single
    id=$(of node1 status id)
    kill_node node1
    rm -r data-node1
    start_single
    [ "$(of node1 status id)" != "$id" ]
}

@test "another node's data directory is refused and left as it is" {
    start_single
    kill_node node1
    before=$(files_of data-node1)
    refused --node node2 --listen 127.0.0.1:0 --data-dir data-node1 --bootstrap
    [[ $stderr == *node1* ]]
    [ "$(files_of data-node1)" = "$before" ]
}

@test "D6, P7: a second daemon on the data directory is refused, and the live one stays" {
    start_single
    ctl put name alice
    for runtime in "$dir/run" "$dir/other"; do
        refused --node node1 --listen 127.0.0.1:0 --data-dir data-node1 --runtime-dir "$runtime"
    done
    [ "$(ctl get name)" = alice ]
    [ "$(address node1)" = "$(of node1 status address)" ]
}

@test "P7: a live socket is never taken, even with another data directory" {
    start_single
    ctl put name alice
    refused --node node1 --listen 127.0.0.1:0 --data-dir other --bootstrap
    [ "$(ctl get name)" = alice ]
    [ "$(address node1)" = "$(of node1 status address)" ]
}

@test "P7: the socket that kill -9 leaves behind is replaced" {
    start_single
    kill_node node1
    [ -S "$(socket node1)" ]
    start_single
    expect 1 ctl get nope
}

@test "P9: a path too long for a socket is refused, and so said" {
    long=$dir/$(printf 'long%.0s' {1..30})
    refused --node node1 --listen 127.0.0.1:0 --bootstrap --data-dir data --runtime-dir "$long"
    [[ $stderr == *107* ]]
    [ ! -e data ]
}

@test "what can't be meant is exit code 78 and one message" {
    start_single
    for flags in "--listen nowhere --bootstrap" "--listen $(address node1) --bootstrap" \
        "--listen 127.0.0.1:0 --join nowhere" "--listen 127.0.0.1:0 --bootstrap --mode paxos" \
        "--listen 127.0.0.1:0 --bootstrap --bogus" "--bootstrap" \
        "--listen 127.0.0.1:0 --bootstrap --election-timeout 1ms" \
        "--listen 127.0.0.1:0 --bootstrap --socket-group nosuchgroup" \
        "--listen 0.0.0.0:0 --bootstrap"; do
        # shellcheck disable=SC2086  # Words of a command line.
        refused --node node2 --data-dir data $flags
        [ -n "$stderr" ]
    done
    [ "$(find run -name control.sock | wc -l)" = 1 ]
}

@test "a damaged data directory is refused and left as it is" {
    start_single
    kill_node node1
    while IFS= read -r file; do
        [ -s "$file" ] || continue
        printf 'damaged' | dd of="$file" bs=1 seek=12 conv=notrunc status=none
    done < <(find data-node1 -type f)
    before=$(files_of data-node1)
    run timeout 20 "$bin/distdbd" --node node1 --listen 127.0.0.1:0 --data-dir data-node1
    [ "$status" = 70 ] || [ "$status" = 78 ]
    [ "$(files_of data-node1)" = "$before" ]
}

@test "--check-config checks and touches nothing" {
    expect 0 "$bin/distdbd" --node node1 --listen 127.0.0.1:0 --bootstrap --data-dir data --check-config
    refused --node node1 --listen 127.0.0.1:0 --bootstrap --election-timeout 1ms --check-config
    [ ! -e data ]
    [ -z "$(ls run)" ]
}

@test "P8: the socket appears with its mode and its group" {
    start_single --socket-mode 0600 --socket-group "$(id -g)"
    [ "$(stat -c %a-%g "$(socket node1)")" = "600-$(id -g)" ]
}

@test "O4: SIGTERM and SIGINT end the daemon with 0 within 5 s, its socket gone" {
    for signal in TERM INT; do
        # A shell lets what it runs beside it ignore SIGINT; the daemon takes it all the same.
        start_single
        began=$(now_ms)
        kill "-$signal" "${pids[node1]}"
        reap node1
        [ "$status" = 0 ]
        [ $(($(now_ms) - began)) -lt 5000 ]
        [ ! -e "$(socket node1)" ]
    done
}

@test "O4: a daemon with a client that never reads ends all the same" {
    start_single
    head -c 900000 /dev/zero | ctl put big
    mkfifo unread
    exec 5<>unread
    for id in {1..200}; do echo "{\"id\":$id,\"op\":\"get\",\"key\":\"big\"}"; done >lines
    background socat "OPEN:lines!!OPEN:unread" "UNIX-CONNECT:$(socket node1)"
    background eval 'exec "$bin/distdbctl" watch --prefix "" >seen 2>err'
    began=$(now_ms)
    kill -TERM "${pids[node1]}"
    reap node1
    [ "$status" = 0 ]
    [ $(($(now_ms) - began)) -lt 5500 ]
    exec 5>&-
}

@test "O4: what waits is told that the daemon ends" {
    start_single
    sockets() { find "/proc/${pids[node1]}/fd" -lname 'socket:*' | wc -l; }
    before=$(sockets)
    background "$bin/distdbctl" wait key nope
    is_connected() { [ "$(sockets)" -gt "$before" ]; }
    eventually is_connected
    kill -TERM "${pids[node1]}"
    reap node1
    code=0
    wait "$helper" || code=$?
    [ "$code" = 69 ] || [ "$code" = 68 ]
}

@test "O1: READY=1 means that the socket answers; STATUS= says the rest" {
    background socat -u UNIX-RECV:notify.sock OPEN:told,creat,append
    has_socket() { [ -S notify.sock ]; }
    eventually has_socket
    NOTIFY_SOCKET=$dir/notify.sock spawn_node node1 --join 127.0.0.1:1
    is_ready() { grep -qs READY=1 told; }
    eventually is_ready
    expect 0 ctl live
    expect 7 ctl ready
    has_status() { grep -qs STATUS= told; }
    eventually has_status
    kill -TERM "${pids[node1]}"
    reap node1
    [ "$status" = 0 ]
    is_stopping() { grep -qs STOPPING=1 told; }
    eventually is_stopping
}

@test "logs are text or JSON on stderr, and stdout is empty" {
    for format in text json; do
        "$bin/distdbd" --node "$format" --listen 127.0.0.1:0 --bootstrap --data-dir "$dir/data-$format" \
            --log "$format" >"$format.out" 2>"$format.log" 3>&- 4>&- </dev/null &
        pids["$format"]=$!
        eventually answers "$format"
        kill -TERM "${pids[$format]}"
        reap "$format"
        [ ! -s "$format.out" ]
        refute grep -q $'\e' "$format.log"
    done
    jq -e . json.log >/dev/null
}

@test "--trace writes an object a line" {
    start_single --trace trace.ndjson
    ctl put name alice
    kill -TERM "${pids[node1]}"
    reap node1
    [ -s trace.ndjson ]
    jq -e 'type == "object"' trace.ndjson >/dev/null
}
