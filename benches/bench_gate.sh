#!/usr/bin/env bash
# Counts the instructions of a request that is answered from memory, and compares them with `bench_gate.txt`.
#
#   bash benches/bench_gate.sh
#
# Needs valgrind and the program gungraun-runner of the version that Cargo.lock names; `bash tests/run.sh bench_gate`
# installs both. A line for each request begins with `ok:` or `FAILED:`. README.md in this folder says what the
# numbers are and what to do about a failure.

set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

recorded=benches/bench_gate.txt
# Requests that `bench_gate.rs` lets callgrind count, one file each.
counted=90
# How far a ratio may be from its record, in thousandths.
tolerance=20
folder=$(mktemp -d "${TMPDIR:-/tmp}/btb-gate.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# lowest REQUEST: the lowest instruction count of its files; nothing if any file is missing.
lowest() {
    find "$folder" -path "*/requests.$1/*.out" -exec sed -n 's/^summary: \([0-9]*\).*/\1/p' {} + |
        awk -v counted="$counted" '$1 > 0 { files += 1; if (!least || $1 < least) least = $1 }
            END { if (files == counted) print least }'
}

GUNGRAUN_HOME=$folder cargo bench --locked --bench bench_gate >&2

bare=$(lowest bare)
failed=0
for request in service page; do
    count=$(lowest "$request")
    [ -n "$bare" ] && [ -n "$count" ] || {
        echo "FAILED: $request: callgrind did not count $counted requests"
        failed=1
        continue
    }
    ratio=$((count * 1000 / bare))
    record=$(sed -n "s/^$request //p" "$recorded")
    text="$request: $ratio, recorded as $record ($count instructions; the bare handler takes $bare)"
    if [ $((ratio * 1000)) -gt $((record * (1000 + tolerance))) ]; then
        echo "FAILED: $text; the request takes more than before"
        failed=1
    elif [ $((ratio * 1000)) -lt $((record * (1000 - tolerance))) ]; then
        echo "FAILED: $text; the request takes less: write '$request $ratio' in $recorded"
        failed=1
    else
        echo "ok: $text"
    fi
done
exit "$failed"
