# shellcheck shell=bash
# tests/lib/expect.sh - what the tests share that use kv-cli at a shell: its surroundings, checks
# that are counted, a ring in $work/ring. Sourced under "set -euo pipefail" by a script whose first
# argument is BUILD_DIR; $work and the ring are gone when the script ends.

build=$(cd "$1" && pwd)
cli=$build/client/kv-cli
work=$(mktemp -d)
export SIGNET_CLI_CONFIG=$work/none XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config
unset SIGNET_SEEDS SIGNET_READ
passed=0
failed=0
settle_s=30

finish() {
    "$cli" local down --dir "$work/ring" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

# good: counts a check that passed. bad NAME FORMAT VALUE... : counts one that failed, and tells.
good() { passed=$((passed + 1)); }
bad() {
    local name=$1 format=$2
    shift 2
    failed=$((failed + 1))
    # shellcheck disable=SC2059 # The format is the caller's.
    printf "FAILED %s: $format\n" "$name" "$@"
}

# expect NAME EXIT_CODE WANTED_TEXT COMMAND... : runs it, compares the code, looks for the text in
# what it printed on either stream ("" wants nothing in particular).
expect() {
    local name=$1 code=$2 wanted=$3 got=0 out
    shift 3
    out=$("$@" 2>&1 </dev/null) || got=$?
    if [[ $got -eq $code && $out == *"$wanted"* ]]; then
        good
    else
        bad "$name" 'exit %s (wanted %s), printed: %s\n   wanted: %s' \
            "$got" "$code" "$out" "$wanted"
    fi
}

# settles NAME WANTED_TEXT COMMAND... : as expect with code 0, but what is wanted may take
# $settle_s.
settles() {
    local name=$1 wanted=$2 i out=""
    shift 2
    for ((i = 0; i < 5 * settle_s; i++)); do
        if out=$("$@" 2>&1 </dev/null) && [[ $out == *"$wanted"* ]]; then
            good
            return
        fi
        sleep 0.2
    done
    bad "$name" 'after %s s it still printed: %s\n   wanted: %s' "$settle_s" "$out" "$wanted"
}

# seeds_take: SIGNET_SEEDS becomes the addresses of the ring's nodes.
seeds_take() {
    SIGNET_SEEDS=$("$cli" -o json local status --dir "$work/ring" |
        sed -n 's/.*"listen":"[^0-9]*\([0-9.:]*\)".*/\1/p' | paste -sd,)
    export SIGNET_SEEDS
}

# ended: the last line, and the script's exit code.
ended() {
    printf '%s passed, %s failed, 0 skipped\n' "$passed" "$failed"
    [[ $failed -eq 0 ]]
}
