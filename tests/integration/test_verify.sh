#!/usr/bin/env bash
# kv-bench verify: its judge's exit codes; a short run of real processes; and that a bucket which
# promises less than it is asked for is caught, or a clean verdict would mean nothing.
# Usage: test_verify.sh BUILD_DIR
set -euo pipefail

build=$(realpath "$1")
bench=$build/bench/kv-bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "test_verify: $*" >&2
    exit 1
}

# status WANTED ARGUMENT...: runs verify, what it says is in $work/out.
status() {
    local wanted=$1 got=0
    shift
    "$bench" verify "$@" >"$work/out" 2>&1 || got=$?
    [ "$got" -eq "$wanted" ] || { cat "$work/out"; fail "status $got, not $wanted, of: $*"; }
}
says() { grep -q -- "$1" "$work/out" || { cat "$work/out"; fail "not said: $1"; }; }

line() { # op input output from until outcome
    printf '{"process":%d,"op":"%s","key":"k","input":%s,"output":%s,' "$4" "$1" "$2" "$3"
    printf '"invoke_ns":%d,"return_ns":%d,"outcome":"%s"}\n' "$4" "$5" "$6"
}
line put '"a"' null 1 2 ok >"$work/good"
line cas '{"expect":"a","value":"b"}' null 3 4 unknown >>"$work/good"
line get null '"b"' 5 6 ok >>"$work/good"
status 0 --check "$work/good"
says 'ok: 3 operations on 1 keys'
{ cat "$work/good" && line get null '"a"' 7 8 ok; } >"$work/bad"
status 1 --check "$work/bad"
says 'VIOLATION: key k'
says 'get k: ok read a'
{ cat "$work/good" && line put '"a"' null 7 8 fail; } >"$work/twice"
status 2 --check "$work/twice"
says 'malformed: key k: the same value is written twice'
{ cat "$work/good" && echo '{'; } >"$work/broken"
status 2 --check "$work/broken"
says 'broken:4: not JSON'
status 2 --check "$work/none"
status 2 --faults kill,flood
status 2 --duration 0
status 2 --nodes 3 --witnesses 4 --embed
says 'a node for each'

# The canaries. Eventual reads may be old, and an available bucket gives up order when nodes come
# and go: a violation comes within seconds, though not on every seed.
canary() { # KIND FAULTS
    local got seed
    for seed in 1 2 3 4 5; do
        got=0
        "$bench" verify --duration 4 --faults "$2" --witnesses 0 --seed "$seed" \
            --bucket-kind "$1" --read eventual --dir "$work/$1$seed" \
            --history "$work/history" >"$work/out" 2>&1 || got=$?
        case $got in
        0) ;;
        1) says VIOLATION && status 1 --check "$work/history" && says VIOLATION && return ;;
        *) cat "$work/out" && fail "the canary ended with $got" ;;
        esac
    done
    fail "no violation of eventual reads ($1 bucket) was found in five runs"
}
canary ordered delay
canary available kill,pause,loss,duplicate

# And what is promised holds, for a moment; ./check --full runs a minute.
status 0 --duration 8 --faults all --seed 1
says 'ok: '
status 0 --duration 8 --faults all --seed 1 --embed
says 'ok: '
