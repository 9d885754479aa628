#!/usr/bin/env bash
# The examples of the client library against a real ring of three: all nodes up, one killed under
# load, one stopped so that it keeps its connections and says nothing.
# Usage: test_client_ring.sh BUILD_DIR
set -euo pipefail

build=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
cli=$build/client/kv-cli
unset SIGNET_SEEDS
export SIGNET_CLI_CONFIG=$work/none XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config

pid_of() { sed -n 's/^pid=//p' "$work/ring/node-$1.ready"; }
finish() {
    [ -z "${stopped:-}" ] || kill -CONT "$stopped" 2>/dev/null || true
    "$cli" local down --dir "$work/ring" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    echo "test_client_ring: $*" >&2
    exit 1
}

sanitize=$(sed -n 's/^SGN_SANITIZE:[A-Z]*=//p' "$build/CMakeCache.txt")
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
flags=${sanitize:+-fsanitize=$sanitize}
! grep -q '^SGN_COVERAGE:BOOL=ON' "$build/CMakeCache.txt" || flags=-fprofile-instr-generate
for name in sync callback siblings libevent_loop leader append; do
    # shellcheck disable=SC2086
    "$cc" -std=c11 -D_GNU_SOURCE $flags -I"$source/client" "$source/client/examples/$name.c" \
        -o "$work/$name" "$build/client/libsignet.so" -levent_core -pthread || fail "$name: build"
done
export LD_LIBRARY_PATH=$build/client

"$cli" local up --nodes 3 --dir "$work/ring" >"$work/up" 2>&1 || { cat "$work/up"; fail "no ring"; }
SIGNET_SEEDS=$(sed -n 's/^listen=//p' "$work"/ring/node-?.ready | paste -sd,)
export SIGNET_SEEDS

# expect NAME TEXT COMMAND...: ends well within 60 s and prints TEXT.
expect() {
    local name=$1 text=$2
    shift 2
    timeout 60 "$@" >"$work/out" 2>&1 || { cat "$work/out"; fail "$name: exit $?"; }
    grep -qF "$text" "$work/out" || { cat "$work/out"; fail "$name: no \"$text\""; }
}

expect sync "hello, ring" "$work/sync"
expect siblings "apples and pears" "$work/siblings"
[ "$(grep -c ': pears$\|: apples$' "$work/out")" = 2 ] || fail "no two siblings were shown"
expect callback "800 puts, 0 failed" "$work/callback"
expect list "801 keys" env SIGNET_READ=strong "$work/libevent_loop"
expect leader "ann: ann leads, term 1" "$work/leader" ann
grep -qF "ann: stepped down" "$work/out" || fail "ann did not step down"
"$cli" put elections/leader bob --if-absent >/dev/null || fail "bob could not be put"
status=0
"$work/leader" ann >"$work/out" 2>&1 || status=$?
[ "$status" = 3 ] || { cat "$work/out"; fail "two leaders"; }
grep -qF "bob leads" "$work/out" || { cat "$work/out"; fail "ann does not know who leads"; }

# Five writers of one log: every line once, each writer's in its order, a version for each.
writers=
for name in a b c d e; do
    timeout 60 "$work/append" "$name" 20 >"$work/append.$name" 2>&1 &
    writers="$writers $!"
done
for writer in $writers; do
    wait "$writer" || { cat "$work"/append.?; fail "a writer of the log failed"; }
done
"$cli" get journals/events --read strong >"$work/log"
[ "$(wc -l <"$work/log")" = 100 ] || fail "the log has $(wc -l <"$work/log") lines, not 100"
for name in a b c d e; do
    seq -f "$name %.0f" 20 >"$work/wanted"
    grep "^$name " "$work/log" | cmp -s - "$work/wanted" || fail "the lines of $name are wrong"
done
"$cli" -o table --read strong stat journals/events >"$work/out"
grep -q 'version  100-' "$work/out" || { cat "$work/out"; fail "not 100 versions"; }

# One node dies while puts are on their way: none of them may fail.
(
    for _ in 1 2 3 4 5 6; do timeout 60 "$work/callback" || exit 1; done
) >"$work/load" 2>&1 &
load=$!
sleep 0.2
kill -9 "$(pid_of 2)"
wait "$load" || { cat "$work/load"; fail "puts failed when a node was killed"; }
[ "$(grep -c '800 puts, 0 failed' "$work/load")" = 6 ] || fail "not all puts were made"
expect "sync without node 2" "hello, ring" "$work/sync"
expect "list without node 2" "801 keys" env SIGNET_READ=strong "$work/libevent_loop"

# Two of three are needed: with another one silent a put must not be called done.
stopped=$(pid_of 3)
kill -STOP "$stopped"
status=0
SIGNET_TIMEOUT_MS=1500 timeout 30 "$work/sync" >"$work/out" 2>&1 || status=$?
kill -CONT "$stopped"
stopped=
[ "$status" = 1 ] || { cat "$work/out"; fail "one of three nodes acknowledged a put: $status"; }
grep -Eq 'SGN_ERR_(UNKNOWN|UNAVAILABLE|TIMEOUT)' "$work/out" || {
    cat "$work/out"
    fail "wrong error"
}
expect "sync after" "hello, ring" env SIGNET_TIMEOUT_MS=20000 "$work/sync"

echo "test_client_ring: 6 examples, 5600 puts, 100 lines by 5 writers, one node killed, one stopped"
