#!/usr/bin/env bats
# What is printed is an interface: data on stdout, messages on stderr.

load common

prepare() {
    start_single
}

@test "C7: -o json prints one object a line" {
    fill node1 3
    ctl list -o json >out
    [ "$(wc -l <out)" = 3 ]
    [ "$(jq -r '.key + "=" + .value' out)" = $'key00001=value00001\nkey00002=value00002\nkey00003=value00003' ]
    for command in 'get key00001' status members nodes 'delete key00001' 'put k v' live ready health \
        version 'wait synced' sync; do
        # shellcheck disable=SC2086  # Words of a command line.
        ctl $command -o json >out
        jq -e 'type == "object"' out >/dev/null
    done
}

@test "C7: neither a pipe nor NO_COLOR nor a dumb terminal gets escape sequences" {
    fill node1 3
    for command in list status members nodes help 'get nope' bogus; do
        for setting in A=b NO_COLOR=1 TERM=dumb; do
            # shellcheck disable=SC2086  # Words of a command line.
            env $setting "$bin/distdbctl" $command >out 2>&1 || true
            refute grep -q $'\e' out
        done
        # shellcheck disable=SC2086
        NO_COLOR=1 script -qec "$bin/distdbctl $command" /dev/null </dev/null >out 2>&1 || true
        refute grep -q $'\e' out
    done
}

@test "C8: a closed pipe ends list quietly" {
    fill node1 10000
    for format in text json; do
        set +o pipefail
        ctl list -o $format 2>err | head -n 1 >out
        codes=("${PIPESTATUS[@]}")
        [ "$(wc -l <out)" = 1 ]
        [ ! -s err ]
        [ "${codes[0]}" = 0 ] || [ "${codes[0]}" = 141 ]
    done
}

@test "C8: a full disk is not taken for success" {
    fill node1 10
    expect 73 eval 'ctl list >/dev/full'
    [ -n "$stderr" ]
}

@test "messages are one line on stderr, none with -q" {
    expect 65 ctl put '' value
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -ge 1 ]
    [ "${#stderr_lines[@]}" -le 2 ]
    expect 65 ctl -q put '' value
    [ -z "$output$stderr" ]
}

@test "with -o json a failure is its error object on stderr" {
    expect 65 ctl -o json put '' value
    [ -z "$output" ]
    [ "$(jq -r .code <<<"$stderr")" = bad_request ]
    [ "$(jq -r .applied <<<"$stderr")" = no ]
}

@test "put is silent, and with -v prints the revision" {
    expect 0 ctl put key value
    [ -z "$output$stderr" ]
    expect 0 ctl -v put key value
    [[ $output$stderr == *2* ]]
}

@test "list knows prefix, --keys, --count and --limit" {
    ctl put a/1 x
    ctl put a/2 y
    ctl put b/1 z
    [ "$(ctl list a/)" = $'a/1\tx\na/2\ty' ]
    [ "$(ctl ls --keys)" = $'a/1\na/2\nb/1' ]
    [ "$(ctl list --count a/)" = 2 ]
    [ "$(ctl list --limit 1 --keys)" = a/1 ]
    expect 0 ctl list nothing/
    [ -z "$output" ]
}

@test "delete prints how many, and 1 is the exit code for none" {
    fill node1 10
    expect 0 ctl delete key00001
    [ "$output" = 1 ]
    expect 1 ctl delete key00001
    expect 0 ctl del --prefix key
    [ "$output" = 9 ]
    [ "$(ctl list --count)" = 0 ]
}

@test "a list of many pages is complete and in order" {
    fill node1 25000
    ctl list --keys >out
    [ "$(wc -l <out)" = 25000 ]
    LC_ALL=C sort -c out
}

@test "C10: ids are strings, which jq does not round" {
    ctl call status >out
    jq -e '.result.id | type == "string"' out
    jq -e '.result.cluster | type == "string"' out
    jq -e '.result.state_hash | type == "string"' out
    jq -c . out | cmp - out
}

@test "status and nodes are tables of tabs where they are piped" {
    ctl nodes | grep -q $'node1\t'
    ctl members | grep -q $'node1\t'
    ctl status | grep -q .
}

@test "C16: help names every command, and completions are there for each shell" {
    expect 0 ctl --help
    for command in put get delete list watch wait status members nodes live ready health call batch \
        fault bench completion version; do
        [[ $output == *"$command"* ]]
        ctl "$command" --help >/dev/null
    done
    for shell in bash zsh fish; do
        [ -n "$(ctl completion "$shell")" ]
    done
    bash -n <(ctl completion bash)
}

@test "C16: the man pages are written" {
    mkdir man
    ctl man man
    [ -n "$(ls man)" ]
}
