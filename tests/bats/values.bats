#!/usr/bin/env bats
# C3: what goes in comes out, byte for byte.

load common

prepare() {
    start_single
}

round_trip() {
    ctl put key <"$1"
    ctl get key -o raw >out
    cmp "$1" out
}

@test "C3: a mebibyte of random bytes comes back as it was" {
    head -c 1048576 /dev/urandom >in
    round_trip in
}

@test "C3: a mebibyte of bytes that JSON must escape comes back as it was" {
    head -c 1048576 /dev/zero >in
    round_trip in
    tr '\0' '"' <in >quotes
    round_trip quotes
}

@test "C3: a value above a mebibyte is refused and nothing is stored" {
    head -c 1048577 /dev/zero >in
    expect 65 ctl put key <in
    expect 1 ctl get key
}

@test "C3: empty values, newlines and NUL come back as they were" {
    for value in '' '\n' 'a\n\n' '\0' 'a\0b' ' ' '\r\n' '\xff\xfe' '\xef\xbb\xbf' '\ud800'; do
        printf '%b' "$value" >in
        round_trip in
    done
}

@test "C3: an argument may begin with a dash behind --" {
    for value in -x --help -- -1 - '' ' ' $'two\nlines' '"' '\n' 'ä€😀'; do
        ctl put key -- "$value"
        ctl get key -o raw >out
        printf %s "$value" | cmp - out
    done
}

@test "C3: an argument that is not UTF-8 is stored as it is" {
    value=$'\xff\xc3\x28a'
    ctl put key "$value"
    ctl get key -o raw >out
    printf %s "$value" | cmp - out
}

@test "C4: without a value stdin is taken, were it empty" {
    expect 0 ctl put key </dev/null
    ctl get key -o raw >out
    [ ! -s out ]
    printf 'from stdin' | ctl put key -
    [ "$(ctl get key)" = 'from stdin' ]
}

@test "C4: without a value on a terminal, put is a usage error at once" {
    expect 2 timeout 20 script -qec "$bin/distdbctl put key" /dev/null
    expect 1 ctl get key
}

@test "C5: text output adds one newline, raw output none" {
    ctl put key $'ends in newlines\n\n'
    ctl get key >out
    printf 'ends in newlines\n\n\n' | cmp - out
    ctl get key -o raw >out
    printf 'ends in newlines\n\n' | cmp - out
}

@test "keys may be of any script" {
    for key in κλειδί ключ 鍵 مفتاح 🔑 'with space' '"quoted"' 'back\slash' a/b/c -- -dash; do
        ctl put -- "$key" "of $key"
        [ "$(ctl get -- "$key")" = "of $key" ]
        [ "$(ctl delete -- "$key")" = 1 ]
    done
}

@test "a key that is none is bad data, and nothing is stored" {
    long=$(printf 'k%.0s' {1..1025})
    for key in '' $'a\tb' $'a\nb' $'\x7f' $'\xff' "$long"; do
        expect 65 ctl put -- "$key" value
        [ -n "$stderr" ]
    done
    [ "$(ctl list --count)" = 0 ]
    ctl put "${long:1}" value
}

@test "C6: each line of list is a key and a value, reversibly escaped" {
    printf 'a\tb\nc\rd\\e' | ctl put text
    printf '\xff\x00ok' | ctl put bytes
    ctl list >out
    # NUL is UTF-8, and breaks neither cell nor line.
    printf 'bytes\t%s\0ok\ntext\t%s\n' '\xff' 'a\tb\nc\rd\\e' | cmp - out
}

@test "C6: printf %b of a line of list restores the value" {
    head -c 2000 /dev/urandom | tr -d '\0' >in
    ctl put key <in
    ctl list | cut -f 2- >escaped
    printf '%b' "$(cat escaped)" | cmp - in
}
