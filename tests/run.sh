#!/usr/bin/env bash
# Runs the checks: all that run by default, or the suites that are named.
#
#   bash tests/run.sh [SUITE…]
#
#   fmt       formatting
#   clippy    lints, warnings as errors
#   docs      the code's documentation and the site build without warnings; commands, links and tables of all pages
#   unit      unit tests and every test binary that has no suite of its own
#   layering  module order and homes of the heavy crates
#   http      the broker over HTTP, on SQLite
#   process   the real binary, on SQLite: killed and stopped; the search for secrets
#   postgres  the store on both engines; on a private Postgres what http and process do
#   openapi   the OpenAPI document is the one that is checked in
#   browser   the browser module, and Box UI Elements in headless Chromium; pictures in $BTB_TEST_SCREENSHOTS,
#             or target/screenshots
#   sdk       Box's official SDKs with the adapters of clients/ and the Box-compatible endpoint
#
# These run only when they are named, because they compile the product or a tool once more:
#
#   production  the build without the sandbox, as images have it: lints, and what its binary lacks
#   bench_gate  instructions of a request that is answered from memory, beside the recorded numbers (valgrind)
#   deny        licences, banned crates and sources of all dependencies; advisories if their database can be reached
#
# Needs a Rust toolchain; installs Debian's compiler, openssl, postgresql, chromium, Python, Node, Java and Go
# where they are missing, and what the last two suites need of npm, PyPI, Maven Central and Go's modules, at
# fixed versions, into folders of their own. Tools of the suites that have to be named go to `target/tools`.
# At the end stands the time of each suite and of the whole run. The last line is `N passed, N failed`; the exit code
# is 1 where anything failed.

set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

suites=(fmt clippy docs unit layering http process postgres openapi browser sdk)
# Suites that run only when they are named.
named=(production bench_gate deny)
# Test binaries that belong to a suite other than `unit`.
placed=(layering http process secrets store_sqlite store_postgres openapi docs)
# No suite takes longer; one that hangs is a failure.
limit=45m

passed=0
failed=0
failing=()
times=()
scratch=$(mktemp -d "${TMPDIR:-/tmp}/btb-checks.XXXXXX")
cluster=
cluster_bin=

export CARGO_TERM_COLOR=never
# What the tests see is set here and nowhere else.
unset BTB_URL BTB_KEY BTB_KEY_FILE BTB_CONFIG BTB_TEST_POSTGRES_URL BTB_TEST_ENGINE
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

leave() {
    stop_postgres
    rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- counting -----------------------------------------------------------------------------------

pass() {
    passed=$((passed + 1))
    echo "ok: $1"
}

fail() {
    failed=$((failed + 1))
    failing+=("$1")
    echo "FAILED: $1"
}

# check NAME COMMAND…: one check that passes or fails as a whole.
check() {
    local name=$1
    shift
    echo "== $name"
    if timeout "$limit" "$@"; then pass "$name"; else fail "$name"; fi
}

# counted NAME PASSED FAILED NAMES COMMAND…: a command whose own tests count one by one; three sed programs find in
# its output numbers of those that passed and failed, and the names of these.
counted() {
    local name=$1 log="$scratch/log" status ran_well ran_badly line
    local find_passed=$2 find_failed=$3 find_names=$4
    shift 4
    echo "== $name"
    timeout "$limit" "$@" 2>&1 | tee "$log" | grep -v -E '^ +(---|\.\.\.|duration_ms|type:)'
    status=${PIPESTATUS[0]}
    ran_well=$(sum "$find_passed" "$log")
    ran_badly=$(sum "$find_failed" "$log")
    passed=$((passed + ran_well))
    failed=$((failed + ran_badly))
    while IFS= read -r line; do
        failing+=("$name: $line")
    done < <(sed -n "$find_names" "$log")
    if [ "$status" -ne 0 ] && [ "$ran_badly" -eq 0 ]; then
        fail "$name (does not build, hangs or breaks off)"
    elif [ "$status" -eq 0 ] && [ "$ran_well" -eq 0 ]; then
        fail "$name (no test ran)"
    fi
}

# cargo_tests NAME ARGUMENT…: `cargo test`.
cargo_tests() {
    local name=$1
    shift
    counted "$name" 's/^test result: .* \([0-9]*\) passed;.*/\1/p' 's/^test result: .* \([0-9]*\) failed;.*/\1/p' \
        's/^test \(.*\) \.\.\. FAILED$/\1/p' cargo test --locked --no-fail-fast "$@"
}

# node_tests NAME ARGUMENT…: Node's test runner.
node_tests() {
    local name=$1
    shift
    counted "$name" 's/^# pass \([0-9]*\)$/\1/p' 's/^# \(fail\|cancelled\) \([0-9]*\)$/\2/p' \
        's/^ *not ok [0-9]* - //p' node --test --test-reporter=tap "$@"
}

# tally NAME COMMAND…: a command whose lines `ok: …` and `FAILED: …` are checks.
tally() {
    local name=$1
    shift
    counted "$name" 's/^ok: .*/1/p' 's/^FAILED: .*/1/p' 's/^FAILED: //p' "$@"
}

sum() {
    local total=0 number
    while IFS= read -r number; do total=$((total + number)); done < <(sed -n "$1" "$2")
    echo "$total"
}

# --- what has to be installed -------------------------------------------------------------------

updated=
install() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    echo "-- installing $*"
    if [ -z "$updated" ]; then
        "${root[@]}" apt-get update -qq || return 1
        updated=yes
    fi
    # In run level 1 no package starts its service.
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A command and the package that brings it.
need() {
    command -v "$1" >/dev/null || install "$2"
}

# need_tool CRATE VERSION: a program from crates.io in `target/tools/bin`; does nothing if it is there already.
need_tool() {
    timeout "$limit" cargo install --locked --quiet --root "$(cargo_target)/tools" --version "$2" "$1"
}

need_toolchain() {
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || {
        echo "there is no cargo: install Rust first (https://rustup.rs)" >&2
        return 1
    }
    need cc build-essential && need cmake cmake && need pkg-config pkg-config
}

postgres_bin() {
    local bin
    for bin in /usr/lib/postgresql/*/bin; do
        [ -x "$bin/initdb" ] && echo "$bin"
    done | sort -V | tail -n 1
}

# --- a Postgres of our own ----------------------------------------------------------------------

# Postgres refuses to run as root.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres() {
    local password port attempt
    [ -n "$(postgres_bin)" ] || install postgresql || return 1
    cluster_bin=$(postgres_bin)
    [ -n "$cluster_bin" ] || return 1
    cluster=$(mktemp -d /tmp/btb-postgres.XXXXXX) || return 1
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "$password" >"$cluster/password"
    [ "$(id -u)" -ne 0 ] || chown -R postgres: "$cluster" || return 1
    (
        cd "$cluster" && as_postgres "$cluster_bin/initdb" -D "$cluster/data" -U btb \
            --pwfile="$cluster/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
    ) >/dev/null || return 1
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        # The log is in the data directory, where the search for secrets reads it too.
        # pg_ctl fails where somebody else has the port.
        if (
            cd "$cluster" && as_postgres "$cluster_bin/pg_ctl" -D "$cluster/data" -l "$cluster/data/log" -s -w \
                -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
                    -c fsync=off -c max_connections=300" start
        ); then
            export BTB_TEST_POSTGRES_URL="postgres://btb:$password@127.0.0.1:$port/postgres"
            echo "-- Postgres is on port $port (attempt $attempt)"
            return 0
        fi
    done
    cat "$cluster/data/log" >&2
    return 1
}

stop_postgres() {
    [ -n "$cluster" ] || return 0
    if [ -e "$cluster/data/postmaster.pid" ]; then
        (cd "$cluster" && as_postgres "$cluster_bin/pg_ctl" -D "$cluster/data" -s -m immediate stop)
    fi
    rm -rf "$cluster"
    cluster=
    unset BTB_TEST_POSTGRES_URL
}

# --- the suites ---------------------------------------------------------------------------------

suite_fmt() {
    check fmt cargo fmt --all -- --check
}

suite_clippy() {
    check clippy cargo clippy --locked --workspace --all-targets -- -D warnings
}

suite_docs() {
    check docs env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
    if need curl curl && need jq jq && need openssl openssl && need sqlite3 sqlite3; then
        cargo_tests "docs: pages" --test docs
    else
        fail "docs (curl, jq, openssl or sqlite3 cannot be installed)"
    fi
    echo "== docs: the site"
    if build_site "$scratch/site"; then pass "docs: the site builds"; else fail "docs: the site builds"; fi
    if fetches_nothing "$scratch/site"; then
        pass "docs: the site fetches nothing from elsewhere"
    else
        fail "docs: the site fetches nothing from elsewhere"
    fi
}

# build_site FOLDER: the site of docs/, by MkDocs in a folder of its own.
build_site() {
    local tools="$scratch/mkdocs"
    need python3 python3 && { python3 -c 'import ensurepip' 2>/dev/null || install python3-venv; } &&
        python3 -m venv "$tools" &&
        "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement docs/requirements.txt &&
        NO_MKDOCS_2_WARNING=1 "$tools/bin/mkdocs" build --quiet --strict --site-dir "$1"
}

# fetches_nothing FOLDER: no page of the site has a script, style, picture or frame from elsewhere.
fetches_nothing() {
    local outside='<(script|link|img|iframe)[^>]* (src|href)="(https?:)?//[^"]*"'
    [ -s "$1/index.html" ] && ! grep -rE --include='*.html' --only-matching "$outside" "$1"
}

# The test binaries that no other suite runs, so that none is forgotten.
unplaced() {
    local file name
    for file in {,crates/*/}tests/{*.rs,*/main.rs}; do
        [ -e "$file" ] || continue
        name=${file#*tests/}
        name=${name%/main.rs}
        name=${name%.rs}
        case " ${placed[*]} " in *" $name "*) ;; *) echo "--test $name" ;; esac
    done
}

suite_unit() {
    need openssl openssl || fail "unit (openssl cannot be installed)"
    # shellcheck disable=SC2046 # each line is two words
    cargo_tests unit --workspace --lib --bins $(unplaced)
    cargo_tests "examples in the documentation" --workspace --doc
}

suite_layering() {
    cargo_tests layering --test layering
}

suite_http() {
    need openssl openssl || fail "http (openssl cannot be installed)"
    BTB_TEST_ENGINE=sqlite cargo_tests "http on SQLite" --test http
}

suite_process() {
    BTB_TEST_ENGINE=sqlite cargo_tests "process on SQLite" --test process
    BTB_TEST_ENGINE=sqlite cargo_tests "secrets on SQLite" --test secrets
}

suite_postgres() {
    cargo_tests "store on SQLite" --test store_sqlite
    start_postgres || {
        fail "postgres (no private cluster starts)"
        return
    }
    cargo_tests "store on Postgres" --test store_postgres
    BTB_TEST_ENGINE=postgres cargo_tests "http on Postgres" --test http
    BTB_TEST_ENGINE=postgres cargo_tests "process on Postgres" --test process
    BTB_TEST_ENGINE=postgres cargo_tests "secrets on Postgres" --test secrets
    stop_postgres
}

suite_openapi() {
    cargo_tests openapi --test openapi
}

suite_production() {
    check "production: clippy" cargo clippy --locked --no-default-features --lib --bins -- -D warnings
    cargo_tests production --no-default-features --test production
}

need_browser() {
    local trusted=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    need chromium chromium && need node nodejs && need npm npm || return 1
    # Node has a list of its own of whom to trust; the machine's counts too.
    [ ! -r "$trusted" ] || export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$trusted}
    # Without a font every text is a row of boxes.
    [ -n "$(find /usr/share/fonts -name '*.ttf' -print -quit 2>/dev/null)" ] || install fonts-dejavu-core
}

suite_browser() {
    local folder="$scratch/browser"
    need_browser || {
        fail "browser (chromium, node or npm cannot be installed)"
        return
    }
    node_tests "browser module" clients/browser/tests/*.test.js
    check "browser: the broker builds" cargo build --locked --bin box-token-broker
    cp -r tests/browser "$folder"
    check "browser: what it needs is installed" npm --prefix "$folder" ci --legacy-peer-deps --ignore-scripts \
        --no-audit --no-fund
    BTB_TEST_PROGRAM="$(cargo_target)/debug/box-token-broker" \
        BTB_TEST_SCREENSHOTS=${BTB_TEST_SCREENSHOTS:-$(cargo_target)/screenshots} \
        node_tests "browser" "$folder/suite.test.js"
}

cargo_target() {
    local folder=${CARGO_TARGET_DIR:-target}
    mkdir -p "$folder" && (cd "$folder" && pwd)
}

# What the SDKs run on; they are installed beside the compiler's work.
prepare_sdks() {
    need python3 python3 &&
        { python3 -c 'import ensurepip' 2>/dev/null || install python3-venv; } &&
        need node nodejs && need npm npm && need javac default-jdk-headless && need mvn maven &&
        need go golang-go && need openssl openssl &&
        timeout "$limit" python3 tests/sdk/suite.py prepare "$1"
}

suite_sdk() {
    local preparing
    prepare_sdks "$scratch/sdk" &
    preparing=$!
    cargo build --locked --bin box-token-broker || {
        fail "sdk (the program does not build)"
        wait "$preparing"
        return
    }
    wait "$preparing" || {
        fail "sdk (what the SDKs run on cannot be installed)"
        return
    }
    check "sdk: its reports" python3 -m unittest discover -s tests/sdk
    tally sdk python3 tests/sdk/suite.py run "$scratch/sdk" "$(cargo_target)/debug/box-token-broker"
}

suite_bench_gate() {
    local version
    # Library and runner have to be of the same version.
    version=$(sed -n '/^name = "gungraun-runner"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
    need valgrind valgrind && need_tool gungraun-runner "$version" || {
        fail "bench_gate (valgrind or gungraun-runner cannot be installed)"
        return
    }
    PATH="$(cargo_target)/tools/bin:$PATH" tally bench_gate bash benches/bench_gate.sh
}

suite_deny() {
    local deny
    deny="$(cargo_target)/tools/bin/cargo-deny"
    need_tool cargo-deny 0.20.2 || {
        fail "deny (cargo-deny cannot be installed)"
        return
    }
    check "deny: licences, bans and sources" "$deny" --locked check --hide-inclusion-graph licenses bans sources
    if timeout 5m "$deny" --locked fetch db; then
        check "deny: advisories" "$deny" --locked check --disable-fetch advisories
    else
        echo "-- the database of advisories cannot be reached, so they are not checked"
    fi
}

[ $# -gt 0 ] || set -- "${suites[@]}"
for suite in "$@"; do
    case " ${suites[*]} ${named[*]} " in
        *" $suite "*) ;;
        *)
            echo "there is no suite $suite; there are: ${suites[*]} ${named[*]}" >&2
            exit 2
            ;;
    esac
done

if need_toolchain; then
    for suite in "$@"; do
        began=$SECONDS
        "suite_$suite"
        times+=("$suite: $((SECONDS - began)) s")
    done
else
    fail "toolchain"
fi

for name in ${failing[@]+"${failing[@]}"}; do
    echo "failed: $name"
done
for line in ${times[@]+"${times[@]}"} "whole run: $SECONDS s"; do
    echo "time of $line"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
