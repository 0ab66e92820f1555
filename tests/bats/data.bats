#!/usr/bin/env bats
# The data model from the shell: conditions, history, transactions, leases, export.

load common

mode=raft

prepare() {
    start_single
}

@test "C2: a condition that is false exits with 3 and changes nothing" {
    expect 0 ctl put k a --if-absent
    expect 3 ctl put k b --if-absent
    expect 3 ctl put other b --if-exists
    expect 3 ctl put k b --if-revision 7
    expect 3 ctl put k b --if-value z
    expect 3 ctl delete k --if-revision 7
    expect 1 ctl get other
    expect 0 ctl get k
    [ "$output" = a ]
    expect 0 ctl put k b --if-value a --if-revision 1 --previous
    [ "$output" = a ]
    expect 0 ctl delete k --previous
    [ "$output" = b ]
    expect 0 ctl put n -- -5
    expect 0 ctl put n 5 --if-value -5
    expect 0 ctl --session seen put s v --if-absent
    [[ $(<seen) == *revision* ]]
    expect 2 ctl put k b --if-absent --if-exists
    expect 2 ctl put k b --if-absent --acks all
}

@test "a key is read as of a revision or a time, and put back" {
    expect 0 ctl put k first
    expect 0 ctl put k second
    expect 0 ctl delete k
    expect 0 ctl get k --rev 1
    [ "$output" = first ]
    expect 1 ctl get k --rev 3
    expect 1 ctl get k --at '1h ago'
    expect 1 ctl get k --at '0s ago'
    expect 65 ctl get k --rev 99
    expect 2 ctl get k --at yesterday
    expect 0 ctl list --rev 2
    [ "$output" = $'k\tsecond' ]
    expect 0 ctl revert k 2
    expect 0 ctl get k
    [ "$output" = second ]
    expect 0 ctl revert k 3
    expect 1 ctl get k
    expect 0 ctl revert k 1 --once back
    expect 0 ctl revert k 1 --once back
    expect 0 ctl history k --limit 1
    [[ $output == 6* ]]
}

@test "history, diff and compact tell what was, as far as it is kept" {
    expect 0 ctl put k 'a	b'
    expect 0 ctl put k c
    expect 0 ctl delete k
    expect 0 ctl put new n
    expect 0 ctl history k
    [ "$(cut -f 1,2,4,5 <<<"$output")" = "1	put	$UID	a\\tb
2	put	$UID	c
3	delete	$UID" ]
    [[ $(cut -f 3 <<<"${lines[0]}") == 20*Z ]]
    expect 0 ctl history k --limit 1
    [[ $output == 3* ]]
    expect 0 ctl history nothing
    [ -z "$output" ]
    expect 1 ctl diff 2
    [ "$output" = $'-\tk\tc\n+\tnew\tn' ]
    expect 1 ctl diff 1 2
    [ "$output" = $'~\tk\ta\\tb\tc' ]
    expect 0 ctl diff 4
    expect 0 ctl diff 2 --prefix other
    expect 0 ctl compact 3
    [ "$output" = 3 ]
    expect 10 ctl get k --rev 2
    [[ $stderr == *'revision 3'* ]]
    expect 10 ctl diff 1
    expect 10 ctl watch --from 2 k
    expect 0 ctl compact --keep 1h
    [ "$output" = 3 ]
    expect 65 ctl compact 99
}

@test "incr counts, and --once counts once" {
    expect 0 ctl incr n
    expect 0 ctl incr n 41
    [ "$output" = 42 ]
    for _ in 1 2 3; do
        expect 0 ctl incr n --once job
        [ "$output" = 43 ]
    done
    expect 65 ctl incr n 5 --once job
    expect 0 ctl put text a
    expect 65 ctl incr text
    expect 0 ctl put other v --once job2 -v
    first=$output
    expect 0 ctl put other v --once job2 -v
    [ "$output" = "$first" ]
}

@test "a transaction is done whole, or else what stands behind else" {
    expect 0 ctl put name alice
    expect 0 ctl txn 'if name = alice && version(name) = 1 then put name bob; incr n; get n; delete gone'
    [ "$output" = $'put\nincr\t1\nget\t1\ndelete\t0' ]
    expect 3 ctl txn 'if name = alice then put name carl else get name end'
    [ "$output" = $'get\tbob' ]
    expect 3 ctl txn 'if absent name then put name carl'
    [ -z "$output" ]
    expect 0 ctl txn -o json '{"if":[],"then":[{"op":"get","key":"name"}]}'
    [ "$(jq -r '.results[0].value' <<<"$output")" = bob ]
    echo 'put a 1; put b "2 3"' >file
    expect 0 ctl txn --file file
    expect 0 ctl txn <file
    expect 0 ctl list
    [ "$output" = $'a\t1\nb\t2 3\nn\t1\nname\tbob' ]
    expect 65 ctl txn 'put a 1; put a 2'
    expect 65 ctl txn 'if a then'
    [[ $stderr == *'column 6'* ]]
    expect 65 ctl txn 'put a 1; incr b'
    expect 0 ctl get a
    [ "$output" = 1 ]
}

@test "T10: a lease ends with its keys, unless it is kept alive" {
    expect 0 ctl lease grant 1s
    lease=$output
    expect 0 ctl put k v --lease "$lease"
    expect 0 ctl put own v --ttl 1s
    expect 0 ctl put stays v --lease "$lease"
    expect 0 ctl put stays v
    background "$bin/distdbctl" lease keep "$lease"
    expect 0 ctl wait key k
    eventually lacks node1 own
    expect 0 ctl lease list
    [[ ${lines[1]} == "$lease"* ]]
    expect 0 ctl lease show "$lease"
    [ "${lines[1]}" = k ]
    kill -KILL "$helper"
    eventually lacks node1 k
    expect 0 ctl get stays
    expect 1 ctl lease show "$lease"
    expect 6 ctl lease renew "$lease"
    expect 6 ctl lease keep "$lease"
    expect 6 ctl put k v --lease "$lease"
    expect 0 ctl lease grant 1m --id abc
    [ "$output" = 0000000000000abc ]
    expect 3 ctl lease grant 1m --id abc
    expect 0 ctl put k v --lease abc
    expect 0 ctl lease revoke abc
    [ "$output" = 1 ]
    expect 1 ctl get k
}

@test "B5: what was exported is imported byte by byte, and once more without a change" {
    head -c 2000 /dev/urandom >bytes
    expect 0 ctl put binary <bytes
    expect 0 ctl put text $'a\tb\nc'
    expect 0 ctl put empty ''
    expect 0 ctl put leased v --ttl 1m
    ctl export >all.ndjson 2>err
    grep -q leases err
    [ "$(wc -l <all.ndjson)" = 4 ]
    expect 0 ctl delete --prefix ''
    expect 0 ctl import all.ndjson
    ctl get binary -o raw | cmp - bytes
    revision=$(ctl -o json status | jq .revision)
    expect 0 ctl import all.ndjson --on-conflict skip
    [ "$(ctl -o json status | jq .revision)" = "$revision" ]
    expect 3 ctl import all.ndjson
    [[ $stderr == *'line 1, key binary'* ]]
    expect 0 ctl import --on-conflict overwrite <all.ndjson
    echo nonsense >bad
    expect 65 ctl import bad
    echo '{"key":"novalue"}' >bad
    expect 65 ctl import bad
    [[ $stderr == *'line 1'*value* ]]
    expect 1 ctl get novalue
    expect 66 ctl import nowhere
}

@test "a long list and an export are of one revision, in a session too" {
    # Many pages of it.
    value=$(printf 'v%.0s' {1..400})
    for i in {10000..13000}; do echo "put key/$i $value"; done | ctl batch >/dev/null
    # The last key is put before the first one: at any one revision it is ahead by one at most.
    cat >writer <<'EOF'
n=0
while :; do
    n=$((n + 1))
    printf 'put key/13000 %d\nput key/10000 %d\n' "$n" "$n"
done | "$1" batch >numbers
EOF
    background bash writer "$bin/distdbctl"
    eventually [ -s numbers ]
    for session in '' seen; do
        for command in 'list key/' 'export key/'; do
            # shellcheck disable=SC2086
            ctl --session "$session" $command >listed
            [ "$(wc -l <listed)" = 3001 ]
            first=$(head -n 1 listed | grep -oE '[0-9]+"?}?$' | tr -dc 0-9)
            last=$(tail -n 1 listed | grep -oE '[0-9]+"?}?$' | tr -dc 0-9)
            [ $((last - first)) -ge 0 ]
            [ $((last - first)) -le 1 ]
        done
    done
}

@test "C2: a transaction in a batch whose condition is false exits with 3" {
    echo '{"op":"txn","if":[{"key":"k","target":"mod","is":">","to":0}],"then":[]}' >lines
    expect 3 ctl batch -f lines
    expect 0 ctl put k v
    expect 0 ctl batch -f lines
}
