# What tests of causal mode share: questions in JSON, links that are cut, and what must
# become true on all nodes.
# Pids are of common.bash, which is loaded before.
# shellcheck shell=bash disable=SC2154

# The reply of a node to an operation, whatever it is: `ask node1 get '{"key":"k"}'`.
ask() {
    ctl --node "$1" call "$2" "${3:-{\}}" || true
}

# One member of such a reply: `told .result.acks node1 put '{...}'`.
told() {
    local filter=$1
    shift
    ask "$@" | jq -rc "$filter"
}

# Gives a prefix to a mode, and waits until every node goes by it: `set_mode n/ causal counter`.
set_mode() {
    local prefix=$1 mode=$2 resolver=${3:+,\"resolver\":\"$3\"} node
    ctl --node node1 call mode_set "{\"prefix\":\"$prefix\",\"mode\":\"$mode\"$resolver}" >/dev/null
    for node in "${!pids[@]}"; do
        eventually goes_by "$node" "$prefix" "$mode"
    done
}

goes_by() {
    [ "$(told ".result.modes[] | select(.prefix == \"$2\").mode" "$1" modes)" = "$3" ]
}

# Cuts the links of a node to all others, at once: what is sent from here on is lost.
cut_off() {
    ctl --node "$1" fault isolate >/dev/null
}

heal() {
    ctl --node "$1" fault heal >/dev/null
}

# The values that stand side by side under a key, sorted, with commas between.
values_of() {
    told 'if .result.siblings then [.result.siblings[].value] else [.result.value] end
        | sort | join(",")' "$1" get "{\"key\":\"$2\"}"
}

has_values() {
    [ "$(values_of "$1" "$2")" = "$3" ]
}

# Whether every node has these values for a key.
all_have() {
    local node
    for node in "${!pids[@]}"; do
        has_values "$node" "$@" || return 1
    done
}

# What a node shows of itself in causal mode.
causal_status() {
    told ".result.causal.$2" "$1" status
}
