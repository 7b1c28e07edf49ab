#!/usr/bin/env bash
# What one tenant feels of another whose Box hangs: nothing, if the bulkheads hold.
#
#   bash benches/bulkhead.sh [TURNS [SECONDS]]
#
# Builds the release binary, starts `demo` (a broker on SQLite and a stand-in for Box) on free ports,
# and registers `globex` beside `acme`. Then it drives acme in turns (7, of 4 times 2 s) with wrk, one
# thread and 16 connections:
#
#   warm   `POST /v1/tenants/acme/token`: the one token that is in memory
#   cold   `POST /v1/tenants/acme/token/downscoped`, for another annotator each time: each request
#          makes the broker ask Box and write a row
#
# first alone, and then while 64 connections ask for cold tokens of globex, whose every call at Box
# hangs. Each of those waits 50 ms before it asks again, so that they take room and not the processor.
#
# Prints requests per second and the 99th percentile of each turn, and the ratios, beside to alone: the
# median of all turns', with the lowest and the highest; 1 is perfect. A ratio is taken within one turn,
# as the machine may be another in the next. Needs a Rust toolchain and curl; installs Debian's wrk
# where it is missing.

set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

turns=${1:-7}
seconds=${2:-2}
folder=$(mktemp -d "${TMPDIR:-/tmp}/btb-bench.XXXXXX")
broker=
beside=

leave() {
    [ -z "$beside" ] || kill "$beside" 2>/dev/null || true
    [ -z "$broker" ] || kill "$broker" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! command -v wrk >/dev/null; then
    root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -qq
    "${root[@]}" apt-get install -y -qq --no-install-recommends wrk >/dev/null
fi

# until_there FILE PATTERN: the matches in a file that is being written.
until_there() {
    local attempt
    for attempt in $(seq 200); do
        if grep -o "$2" "$1" 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing like $2 after $attempt looks:" >&2
    cat "$1" >&2
    return 1
}

# send KEY URL BODY: a call that must succeed.
send() {
    curl -sS --fail-with-body -X POST "$2" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' \
        -d "$3"
}

cargo build --locked --release --bin box-token-broker

target/release/box-token-broker demo --data "$folder/demo" --listen 127.0.0.1:0 >"$folder/demo.out" 2>&1 &
broker=$!
until_there "$folder/demo.out" "Ctrl-C" >/dev/null
# The stand-in for Box is named behind the broker.
mapfile -t urls < <(until_there "$folder/demo.out" "http://127[0-9.:]*[0-9]" | awk '!seen[$0]++')
broker_url=${urls[0]}
box_url=${urls[1]}
admin=$(cat "$folder/demo/admin.key")
config=$(cat "$folder/demo/globex_config.json")
send "$admin" "$broker_url/v1/tenants" "{\"tenant\": \"globex\", \"config\": $config}" >/dev/null
client=$(sed -n 's/.*"clientID" *: *"\([^"]*\)".*/\1/p' <<<"$config")
send none "$box_url/sandbox/faults" "{\"select\": {\"client_id\": \"$client\"}, \"effect\": {\"hang\": true}}" \
    >/dev/null

# Asks as its arguments say: the API key, a name that no other run has or `warm`, and the pause in ms.
cat >"$folder/request.lua" <<'LUA'
local number, run, pause = 0, "", 0

function init(args)
    run, pause = args[2], tonumber(args[3])
    wrk.method = "POST"
    wrk.headers["Authorization"] = "Bearer " .. args[1]
    wrk.headers["Content-Type"] = "application/json"
end

function delay()
    return pause
end

function request()
    if run == "warm" then
        return wrk.format()
    end
    number = number + 1
    local body = '{"scopes": ["item_preview"], "annotator": {"id": "%s-%d", "name": "Ann"}}'
    return wrk.format(nil, nil, nil, body:format(run, number))
end
LUA

# drive KIND RUN: requests per second and the 99th percentile in ms; an answer that is no success ends
# the script.
drive() {
    local path=/v1/tenants/acme/token run=warm
    if [ "$1" = cold ]; then path=$path/downscoped run=$2; fi
    wrk -t1 -c16 -d"${seconds}s" --latency -s "$folder/request.lua" "$broker_url$path" -- "$admin" "$run" 0 \
        >"$folder/wrk"
    if grep -E "Non-2xx|Socket errors" "$folder/wrk" >&2; then return 1; fi
    awk '$1 == "99%" { p99 = $2 + 0; if ($2 ~ /us$/) p99 /= 1000; else if ($2 !~ /ms$/) p99 *= 1000 }
         $1 == "Requests/sec:" { rate = $2 }
         END { printf "%.0f %.2f\n", rate, p99 }' "$folder/wrk"
}

# turn NUMBER HOW: one turn, alone or beside.
turn() {
    local kind
    for kind in warm cold; do
        drive "$kind" "$1-$2" | tee -a "$folder/$kind.$2" |
            awk -v head="turn $1  $kind $2" '{ printf "%-22s %7d requests/s, p99 %.2f ms\n", head, $1, $2 }'
    done
}

# ratio KIND COLUMN: beside to alone, the median of the turns and how far they lie apart.
ratio() {
    paste -d' ' "$folder/$1.alone" "$folder/$1.beside" |
        awk -v column="$2" '{ print $(column + 2) / $column }' | sort -n |
        awk '{ all[NR] = $1 }
             END { middle = NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2
                   printf "%.3f (%.3f to %.3f)\n", middle, all[1], all[NR] }'
}

drive warm - >/dev/null
for number in $(seq "$turns"); do
    turn "$number" alone
    wrk -t1 -c64 -d600s --timeout 30s -s "$folder/request.lua" \
        "$broker_url/v1/tenants/globex/token/downscoped" -- "$admin" "hang-$number" 50 >/dev/null &
    beside=$!
    turn "$number" beside
    kill "$beside"
    wait "$beside" || true
    beside=
done
hung=$(curl -sS --fail "$box_url/sandbox/journal/count?client_id=$client" | tr -dc 0-9)
echo "calls of globex that Box saw: $hung"
for kind in warm cold; do
    echo "$kind, beside to alone: requests/s $(ratio "$kind" 1), p99 $(ratio "$kind" 2)"
done
