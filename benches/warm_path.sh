#!/usr/bin/env bash
# How fast a token that is in memory is handed out, to services and to pages, beside a bare handler that does
# next to nothing.
#
#   bash benches/warm_path.sh [TURNS [SECONDS]]
#
# Builds the release binary and `benches/bare.rs`, starts `demo` (a broker on SQLite, a stand-in for
# Box, a tenant, a service's key) and the bare handler on free ports, and drives
# `POST /v1/tenants/acme/token` on each in turns (5 of 5 s) with wrk: one thread, 32 connections. The
# bare handler reads the same request, checks one HMAC-SHA-256 and answers the same body, so the ratio
# is what the broker's own work costs. In the same turns pages ask `POST /v1/browser/tokens` for one
# folder, by many sessions, because each is limited in rate. It compares; a number by itself tells about
# the machine.
#
# Prints the requests per second of each turn, the medians, and their ratios. Where `perf` may count,
# it also prints how many instructions of user code each request takes, which tells more on a busy
# machine. Needs a Rust toolchain and curl; installs Debian's wrk where it is missing.

set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

turns=${1:-5}
seconds=${2:-5}
connections=32
sessions=5000
origin=https://portal.example
resource='{"type":"folder","id":"20000001002"}'
folder=$(mktemp -d "${TMPDIR:-/tmp}/btb-bench.XXXXXX")
broker=
bare=

leave() {
    [ -z "$broker" ] || kill "$broker" 2>/dev/null || true
    [ -z "$bare" ] || kill "$bare" 2>/dev/null || true
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

# until_there FILE PATTERN: the first match in a file that is being written.
until_there() {
    local attempt
    for attempt in $(seq 200); do
        if grep -o -m 1 "$2" "$1" 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing like $2 after $attempt looks:" >&2
    cat "$1" >&2
    return 1
}

cargo build --locked --release --bin box-token-broker
cargo bench --locked --bench bare --no-run 2>&1 | tee "$folder/built"
bare_binary=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$folder/built")

target/release/box-token-broker demo --data "$folder/demo" --listen 127.0.0.1:0 >"$folder/demo.out" 2>&1 &
broker=$!
until_there "$folder/demo.out" "Ctrl-C" >/dev/null
broker_url=$(until_there "$folder/demo.out" "http://127[0-9.:]*[0-9]")
# The stand-in for Box is named on the same line.
broker_url=${broker_url%%$'\n'*}
key=$(cat "$folder/demo/service.key")
path=/v1/tenants/acme/token
answer=$(curl -sS --fail -X POST "$broker_url$path" -H "Authorization: Bearer $key")

"$bare_binary" 127.0.0.1:0 "$answer" >"$folder/bare.out" 2>&1 &
bare=$!
bare_url=$(until_there "$folder/bare.out" "http://[0-9.:]*")

# Each of its requests is made once: a line of FILE is a credential.
cat >"$folder/request.lua" <<LUA
local requests, last = {}, 0
function init(args)
    local headers = { ["Content-Type"] = "application/json", ["Origin"] = "$origin" }
    for credential in io.lines(args[1]) do
        headers["Authorization"] = "Bearer " .. credential
        requests[#requests + 1] = wrk.format("POST", nil, headers, args[2])
    end
end
function request()
    last = last % #requests + 1
    return requests[last]
end
LUA
echo "$key" >"$folder/services"

# open_sessions: a line for each; one gives a page 20 tokens a second, and 100 at once.
open_sessions() {
    local admin
    admin=$(cat "$folder/demo/admin.key")
    curl -sS --fail -o /dev/null -X PATCH "$broker_url/v1/tenants/acme" -H "Authorization: Bearer $admin" \
        -H 'Content-Type: application/json' -d "{\"policy\":{\"browser_origins\":[\"$origin\"]}}"
    curl -sS --fail -X POST "$broker_url/v1/tenants/acme/browser-sessions#[1-$sessions]" \
        -H "Authorization: Bearer $admin" -H 'Content-Type: application/json' \
        -d "{\"resources\":[$resource],\"read\":{\"preset\":\"explorer\"},\"origins\":[\"$origin\"]}" |
        grep -o 'btbs_[A-Za-z0-9_]*' >"$folder/pages"
}

# drive URL SECONDS CREDENTIALS [BODY]: requests per second; an answer that is no success ends the script.
drive() {
    wrk -t1 -c"$connections" -d"$2s" -s "$folder/request.lua" "$1" -- "$folder/$3" "${4:-}" >"$folder/wrk"
    if grep -E "Non-2xx|Socket errors" "$folder/wrk" >&2; then return 1; fi
    sed -n 's/^Requests\/sec: *//p' "$folder/wrk"
}

# instructions PROCESS URL CREDENTIALS [BODY]: user instructions per request, or nothing where perf may not count.
instructions() {
    local events requests
    command -v perf >/dev/null || return 0
    perf stat -x, -e instructions:u -p "$1" -o "$folder/perf" -- \
        wrk -t1 -c"$connections" -d2s -s "$folder/request.lua" "$2" -- "$folder/$3" "${4:-}" \
        >"$folder/wrk" 2>/dev/null || return 0
    events=$(sed -n 's/^\([0-9][0-9]*\),.*/\1/p' "$folder/perf")
    requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$folder/wrk")
    [ -z "$events" ] || echo $((events / requests))
}

median() { sort -n | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

open_sessions
ids='{"ids":["folder_20000001002"]}'
pages_url=$broker_url/v1/browser/tokens
service_url=$broker_url$path
bare_url=$bare_url$path
drive "$service_url" 2 services >/dev/null
drive "$pages_url" 1 pages "$ids" >/dev/null
drive "$bare_url" 2 services >/dev/null
for turn in $(seq "$turns"); do
    drive "$service_url" "$seconds" services | tee -a "$folder/broker.turns" | sed "s/^/turn $turn  broker /"
    drive "$pages_url" "$seconds" pages "$ids" | tee -a "$folder/pages.turns" | sed "s/^/turn $turn  pages  /"
    drive "$bare_url" "$seconds" services | tee -a "$folder/bare.turns" | sed "s/^/turn $turn  bare   /"
done
broker_median=$(median <"$folder/broker.turns")
pages_median=$(median <"$folder/pages.turns")
bare_median=$(median <"$folder/bare.turns")
broker_count=$(instructions "$broker" "$service_url" services)
pages_count=$(instructions "$broker" "$pages_url" pages "$ids")
bare_count=$(instructions "$bare" "$bare_url" services)
[ -z "$broker_count" ] ||
    echo "instructions per request: broker $broker_count, pages $pages_count, bare $bare_count"
echo "median requests/s: broker $broker_median, pages $pages_median, bare $bare_median"
awk -v a="$broker_median" -v p="$pages_median" -v b="$bare_median" \
    'BEGIN { printf "ratio broker/bare: %.3f, pages/broker: %.3f\n", a / b, p / a }'
