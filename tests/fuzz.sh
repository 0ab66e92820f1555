#!/usr/bin/env bash
# Fuzzes with libFuzzer, on stable Rust and without cargo-fuzz:
#   tests/fuzz.sh SECONDS [TARGET...]       each target for so long, as many at a time as there are cores
#   tests/fuzz.sh reproduce TARGET FILE     one input that was found
#   tests/fuzz.sh minimise TARGET FILE      the smallest input that does the same
# The inputs that reached something new are kept in target/fuzz/corpus, and a longer run goes on from
# them; what fails is kept in target/fuzz/found. The targets are those of tests/fuzz/src/lib.rs.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# An input that takes longer, or more memory, is a finding.
INPUT_SECONDS_MAX=10
MEMORY_MIB_MAX=2048
INPUT_BYTES_MAX=4096

root=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
programs=$root/build/$host/release

# What `cargo fuzz run --sanitizer none` does: it tells libFuzzer which branches were taken, and
# what was compared with what. With a target named, build scripts go without it.
build() {
    local flag flags=(--cfg=fuzzing -Cpasses=sancov-module -Ccodegen-units=16)
    for flag in level=4 inline-8bit-counters pc-table trace-compares; do
        flags+=("-Cllvm-args=-sanitizer-coverage-$flag")
    done
    RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=$root/build cargo build --quiet --release --locked \
        --manifest-path tests/fuzz/Cargo.toml --target "$host" "${@/#/--bin=}"
}

targets() {
    sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' tests/fuzz/Cargo.toml
}

# Runs one target, and says in a line or two what came of it.
fuzz() {
    local target=$1 seconds=$2 log=$root/logs/$1 status=0
    local dictionary=tests/fuzz/dictionaries/$target options=()
    [ ! -e "$dictionary" ] || options+=("-dict=$dictionary")
    mkdir -p "$root/corpus/$target" "$root/found/$target"
    RUST_BACKTRACE=1 "$programs/$target" -max_total_time="$seconds" -max_len=$INPUT_BYTES_MAX \
        -timeout=$INPUT_SECONDS_MAX -rss_limit_mb=$MEMORY_MIB_MAX -len_control=20 \
        -print_final_stats=1 -artifact_prefix="$root/found/$target/" "${options[@]}" \
        "$root/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1 </dev/null || status=$?
    summary "$target" "$log"
    [ $status = 0 ] || finding "$target" "$log"
    return $status
}

summary() {
    local target=$1 log=$2 executed
    executed=$(sed -nE 's/^stat::number_of_executed_units: ([0-9]+)/\1/p' "$log" | tail -n 1)
    coverage() { sed -nE "s/^#[0-9]+\s+$1.* cov: ([0-9]+) .*/\\1/p" "$log" | tail -n 1; }
    printf '%-14s %9s inputs, coverage %s to %s\n' "$target" "${executed:-?}" \
        "$(coverage INITED)" "$(coverage '[A-Z]')"
    # Without this the fuzzer is blind, and finds nothing.
    if [ -z "$(coverage INITED)" ] && [ -z "$(coverage '[A-Z]')" ]; then
        echo "$target: no coverage was reported: target/fuzz/logs/$target" >&2
    fi
}

finding() {
    local target=$1 log=$2 input
    sed -n '/panicked at/,/^stack backtrace/p' "$log" | grep -v '^stack backtrace' | head -n 20
    grep -E '^SUMMARY|^ALARM' "$log" | head -n 2
    input=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log" | tail -n 1)
    echo "$target has failed; the log is $log. Again, and the smallest such input:"
    echo "  tests/fuzz.sh reproduce $target ${input:-FILE}"
    echo "  tests/fuzz.sh minimise $target ${input:-FILE}"
}

case ${1:-} in
    reproduce)
        build "$2"
        RUST_BACKTRACE=1 exec "$programs/$2" "$3"
        ;;
    minimise)
        build "$2"
        exec "$programs/$2" -minimize_crash=1 -max_total_time=60 "$3"
        ;;
    '' | *[!0-9]*)
        sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2
        exit 64
        ;;
esac

seconds=$1
shift
[ $# -gt 0 ] || mapfile -t all < <(targets)
[ $# -gt 0 ] || set -- "${all[@]}"
build "$@"
mkdir -p "$root/logs"
failed=0
for target; do
    while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do
        wait -n || failed=$((failed + 1))
    done
    fuzz "$target" "$seconds" &
done
while [ -n "$(jobs -p)" ]; do
    wait -n || failed=$((failed + 1))
done
[ $failed = 0 ]
