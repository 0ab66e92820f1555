#!/usr/bin/env bash
# What no compiler checks: sizes of files and functions, leftovers, sleeping
# tests, and what may lie at the top. Prints each offence and exits 1 if any.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

FILE_LINES_MAX=400
FUNCTION_LINES_MAX=70

# Everything else needs a place below one of these.
TOP='Cargo.lock|Cargo.toml|Makefile|README.md|common|distdbctl|distdbd|spec|tests'
# Neither is in the repository.
TOP_IGNORED='target|run'

offences=$(mktemp)
trap 'rm -f "$offences"' EXIT

# Takes lines "where: what" from stdin.
report() {
    sed "s|$|$1|" >>"$offences"
}

sources() {
    find common distdbd distdbctl tests spec .ci \( "$@" \) -type f -not -path '*/target/*' | sort
}

long_files() {
    sources -name '*.rs' -o -name '*.sh' -o -name '*.bash' -o -name '*.bats' -o -path '.ci/*' |
        xargs wc -l | awk -v max=$FILE_LINES_MAX '$2 != "total" && $1 > max { print $2 ": " $1 }' |
        report " lines; at most $FILE_LINES_MAX"
}

# As rustfmt lays it out, a function ends with a brace in the column it began in.
long_functions() {
    # shellcheck disable=SC2016  # It is awk's $0.
    sources -name '*.rs' | xargs awk -v max=$FUNCTION_LINES_MAX '
        FNR == 1 { name = "" }
        name == "" && match($0, /^ *(pub(\([a-z]+\))? )?(const |async |unsafe )*fn [a-z0-9_]+/) {
            name = substr($0, RSTART, RLENGTH)
            sub(/.*fn /, "", name)
            match($0, /^ */)
            end = "^" substr($0, 1, RLENGTH) "}"
            from = FNR
            if ($0 ~ /(;|})$/) name = ""
            body = /{$/
            next
        }
        name != "" && ($0 ~ end || ($0 ~ /;$/ && FNR < from + 8 && !body)) {
            if (FNR - from + 1 > max) print FILENAME ":" from ": " name " has " FNR - from + 1
            name = ""
            body = 0
        }
        name != "" && /{$/ { body = 1 }' | report " lines; at most $FUNCTION_LINES_MAX"
}

leftovers() {
    # The words are put together here, or this file would be its own offence.
    sources -name '*' | xargs grep -InwE 'TO''DO|FIX''ME|XX''X' | cut -d: -f 1,2 |
        report ': do it, or list it under Not done'
}

trailing_space() {
    { sources -name '*'; ls Makefile README.md Cargo.toml; } | xargs grep -InE '[[:space:]]+$' |
        cut -d: -f 1,2 | report ': trailing white space'
}

# common.bash has the one loop that waits, with a bound.
sleeping_tests() {
    find tests/tests tests/bats -name '*.rs' -o -name '*.bats' | sort |
        xargs grep -nE '\bsleep\b' | cut -d: -f 1,2 |
        report ': a test waits for what becomes true, not for a time'
}

strangers_at_the_top() {
    find . -mindepth 1 -maxdepth 1 -not -name '.*' -printf '%f\n' |
        { grep -vxE "$TOP|$TOP_IGNORED" || true; } | report ': not one of the entries at the top'
}

for check in long_files long_functions leftovers trailing_space sleeping_tests \
    strangers_at_the_top; do
    # A grep that finds nothing is what is hoped for.
    "$check" || true
done
cat "$offences"
[ ! -s "$offences" ]
