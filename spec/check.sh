#!/usr/bin/env bash
# Runs the model checker on the rows of mc/runs.tsv and compares verdict, name
# of the violated property and number of states with what each row expects:
#   spec/check.sh              the rows marked quick or default
#   spec/check.sh quick        the rows marked quick
#   spec/check.sh full         all rows, some of which take minutes
#   spec/check.sh full NAME    the rows whose configuration contains NAME, in any case
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
mode=${1:-default}
only=${2:-}
case $mode in
    quick) modes=" quick " ;;
    default) modes=" quick default " ;;
    full) modes=" quick default full " ;;
    *) echo "usage: check.sh [quick | default | full] [NAME]" >&2; exit 64 ;;
esac

# Most runs take a second, and as long as half of that to start: they run side by side, with one
# worker each. What takes minutes runs alone, with all of them.
jobs=${JOBS:-$(nproc)}
# A short run is over before the second compiler is of use; its classes come from an archive.
archive=$PWD/../target/tla/tlc.jsa
long="-XX:+UseSerialGC"
short="$long -XX:TieredStopAtLevel=1"

# Tells a missing TLC (one message) from a failing run (one line each).
logs=../target/tlc/logs
mkdir -p "$logs" "$(dirname "$archive")"
if ! TLC_JAVA="$short -XX:ArchiveClassesAtExit=$archive" ./tlc.sh DistributedDb.tla \
    -config mc/reach_refused_donor.cfg >"$logs/probe" 2>&1 &&
    ! grep -q 'is violated' "$logs/probe"; then
    cat "$logs/probe" >&2
    exit 69
fi
short+=" -XX:SharedArchiveFile=$archive"

# TLC names a violated invariant or action property. Of liveness it only says
# that some property failed, so those configurations have one property each.
violated_in() {
    local log=$1 cfg=$2 name
    name=$(sed -nE 's/^Error: (Invariant|Action property) ([A-Za-z0-9_]+) is violated.*/\2/p' "$log" |
        head -n 1)
    if [ -z "$name" ] && grep -q 'Temporal properties were violated' "$log"; then
        name=$(sed -n '/^PROPERTIES/,$p' "$cfg" | awk 'NF && $1 != "PROPERTIES" { print $1 }' |
            paste -sd,)
    fi
    if [ -z "$name" ] && grep -q '^Error: Deadlock reached' "$log"; then
        name=Deadlock
    fi
    echo "${name:--}"
}

runs=0
failed=0
began=$(date +%s)
format='%-4s %-38s %4s %-31s %4s %-31s %9s %5s  %s\n'
# shellcheck disable=SC2059  # The format is the constant above.
row() { printf "$format" "$@"; }
row '' run want violating got violating states secs meaning

# Runs TLC, and leaves its exit code and its seconds beside its log.
run() {
    local module=$1 cfg=$2 log=$3 status=0 start
    start=$(date +%s)
    ./tlc.sh "$module" -config "$cfg" </dev/null >"$log" 2>&1 || status=$?
    echo "$status $(($(date +%s) - start))" >"$log.part"
    mv "$log.part" "$log.done"
}

# Compares a run that is over with what its row expects.
judge() {
    local cfg=$1 want_exit=$2 want_name=$3 states_min=$4 meaning=$5
    local name log got_exit got_name seconds states verdict=ok
    name=$(basename "$cfg" .cfg)
    log=$logs/$name
    read -r got_exit seconds <"$log.done"
    got_name=$(violated_in "$log" "$cfg")
    states=$(sed -nE 's/^[0-9]+ states generated, ([0-9]+) distinct states found.*/\1/p' "$log" |
        tail -n 1)
    if [ "$got_exit" != "$want_exit" ] || [ "$got_name" != "$want_name" ] ||
        [ "${states:-0}" -lt "$states_min" ]; then
        verdict=FAIL
        failed=$((failed + 1))
    fi
    row "$verdict" "$name" "$want_exit" "$want_name" "$got_exit" "$got_name" \
        "${states:-0}" "$seconds" "$meaning"
    if [ "$verdict" = FAIL ]; then
        echo "     at least $states_min states expected; log: spec/$log"
    fi
}

# The rows that run, or are over and not judged yet, in the order of the table.
begun=()

# Judges what is over, as far as it is in order.
judge_some() {
    local cfg want_exit want_name states_min meaning
    while [ ${#begun[@]} -gt 0 ]; do
        IFS=$'\t' read -r cfg want_exit want_name states_min meaning <<<"${begun[0]}"
        [ -e "$logs/$(basename "$cfg" .cfg).done" ] || return 0
        judge "$cfg" "$want_exit" "$want_name" "$states_min" "$meaning"
        begun=("${begun[@]:1}")
    done
}

# Waits until no more than so many runs go on.
wait_for() {
    while [ "$(jobs -pr | wc -l)" -gt "$1" ]; do
        wait -n
        judge_some
    done
}

while IFS=$'\t' read -r module cfg when want_exit want_name states_min meaning; do
    [[ $modes == *" $when "* ]] || continue
    [[ ${cfg,,} == *"${only,,}"* ]] || continue
    runs=$((runs + 1))
    log=$logs/$(basename "$cfg" .cfg)
    rm -f "$log.done"
    begun+=("$cfg"$'\t'"$want_exit"$'\t'"$want_name"$'\t'"$states_min"$'\t'"$meaning")
    case $when in
        quick) TLC_JAVA=$short TLC_WORKERS=1 run "$module" "$cfg" "$log" & ;;
        default) TLC_JAVA=$long TLC_WORKERS=1 run "$module" "$cfg" "$log" & ;;
        full)
            wait_for 0
            run "$module" "$cfg" "$log" &
            wait_for 0
            ;;
    esac
    wait_for $((jobs - 1))
done < <(grep -v '^#' mc/runs.tsv)
wait_for 0
judge_some
# A run that somebody has killed has said nothing.
failed=$((failed + ${#begun[@]}))

echo "$((runs - failed)) of $runs runs as expected, $(($(date +%s) - began)) s"
# A filter that matches nothing must not pass.
[ "$runs" -gt 0 ] && [ "$failed" -eq 0 ]
