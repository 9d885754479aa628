#!/usr/bin/env bash
# What a person meets when strong mode cannot do what was asked, or not as fast: each case must be
# refused or slower, never wrong, and status must say so. On a ring of three with three witnesses.
# Prints times in ms beside the counts: how long users wait is measured by kv-bench failover.
# usage: test_strong_bad.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/lib/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/expect.sh"
witness=$build/witness/signet-witness
settle_s=20
strays=()

finish() {
    local pid
    for pid in "${strays[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
    done
    "$cli" local down --dir "$work/ring" >/dev/null 2>&1 || true
    "$cli" local down --dir "$work/other" >/dev/null 2>&1 || true
    rm -rf "$work"
}

now_ms() {
    local us=${EPOCHREALTIME/[.,]/}
    echo $((us / 1000))
}

# within NAME MS COMMAND... : runs it with whatever code it ends with and says how long it took.
within() {
    local name=$1 most=$2 began took code=0
    shift 2
    began=$(now_ms)
    out=$("$@" 2>&1 </dev/null) || code=$?
    took=$(($(now_ms) - began))
    echo "$code" >"$work/code"
    printf '%-34s %6d ms, code %d\n' "$name" "$took" "$code"
    if ((took <= most)); then
        good
    else
        bad "$name" 'it took %d ms, at most %d are allowed: %s' "$took" "$most" "$out"
    fi
}

local_field() { # local_field KIND NUMBER FIELD
    "$cli" -o json local status --dir "$work/ring" | grep "\"$1\":$2," |
        sed -n "s/.*\"$3\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

signal() { # signal NAME witness|node NUMBER
    kill "-$1" "$(local_field "$2" "$3" pid)"
}

all_fast() { settles "$1" "fast strong reads: on" "$cli" -o table status; }

"$cli" local up --dir "$work/ring" --nodes 3 --witnesses 3 --partitions 16 >/dev/null
seeds_take
all_fast "the ring is up"

# --- what an available bucket cannot do -----------------------------------------------------------
"$cli" bucket create loose --kind available
"$cli" bucket create b
"$cli" put loose/k one
expect "strong read" 1 "strong reads need an ordered bucket" "$cli" get loose/k --read strong
expect "strong list" 1 "strong reads need an ordered bucket" "$cli" list loose/ --read strong
expect "read at least" 1 "need an ordered bucket" "$cli" get loose/k --at-least 1-1.1.1.0
expect "if absent" 1 "conditional writes need an ordered bucket" "$cli" put loose/k x --if-absent
expect "if version" 1 "conditional writes need an ordered bucket" \
    "$cli" put loose/k x --if-version 1-1.1.1.0
expect "del if version" 1 "conditional writes need an ordered bucket" \
    "$cli" del loose/k --if-version 1-1.1.1.0
expect "nothing was changed" 0 "one" "$cli" get loose/k

# --- versions that are not the key's --------------------------------------------------------------
x=$("$cli" put b/x one --if-absent)
y=$("$cli" put b/y one --if-absent)
expect "versions differ" 1 "" test "$x" = "$y"
expect "version of another key" 4 "$y" "$cli" put b/y two --if-version "$x"
expect "and del" 4 "$y" "$cli" del b/y --if-version "$x"
expect "no version" 2 "is not a version" "$cli" put b/y two --if-version nonsense
expect "neither took" 0 "one" "$cli" get b/y --read strong

# --- a witness of another ring --------------------------------------------------------------------
for ((i = 0; i < 20; i++)); do
    address=127.0.0.1:$((20000 + RANDOM % 10000)) # One in use ends it at once: another is tried.
    "$witness" --id 60 --ring other --listen "$address" --ready-file "$work/stray" \
        2>"$work/stray.log" &
    strays+=($!)
    until [[ -s $work/stray ]] || ! kill -0 $! 2>/dev/null; do
        sleep 0.02
    done
    if [[ -s $work/stray ]]; then
        break
    fi
done
expect "a stray witness runs" 0 "listen=$address" cat "$work/stray"
id=$("$cli" -q -o json ring witness add "$address" | sed -n 's/.*"witness":\([0-9]*\).*/\1/p')
settles "of another name" "this one of ring \"other\"" "$cli" -o table status
expect "it is down" 0 "1 of 4 witnesses are down" "$cli" -o table status
expect "it has no part" 0 "0 partitions  not heard of yet" "$cli" -o table ring witness list
"$cli" ring witness drop "$id"
settles "it is gone" "3 witnesses" "$cli" ring show
"$cli" local up --dir "$work/other" --nodes 3 --partitions 8 --witnesses 1 >/dev/null
address=$("$cli" -o json local status --dir "$work/other" |
    sed -n 's/.*"witness":1.*"address":"\([0-9.:]*\)".*/\1/p')
id=$("$cli" -q -o json ring witness add "$address" | sed -n 's/.*"witness":\([0-9]*\).*/\1/p')
settles "same name, another ring" "describes ring \"local\" otherwise" "$cli" -o table status
"$cli" ring witness drop "$id"
"$cli" local down --dir "$work/other" >/dev/null
all_fast "fast again without it"

# --- a witness that misses maps -------------------------------------------------------------------
signal STOP witness 1
strays+=("$(local_field witness 1 pid)")
within "put, one witness of three stopped" 5000 "$cli" --timeout 10s put b/x two
"$cli" ring group-size 1
"$cli" ring group-size 3
settles "seen as down" "1 of 3 witnesses are down" "$cli" -o table status
"$cli" --timeout 10s put b/x three
expect "no old value" 0 "three" "$cli" --timeout 10s get b/x --read strong
signal CONT witness 1
for i in {1..10}; do
    "$cli" --timeout 10s put b/x "v$i" >/dev/null
    expect "none while it catches up, $i" 0 "v$i" "$cli" --timeout 10s get b/x --read strong
done
all_fast "in the present map again"

# --- the whole fleet lost -------------------------------------------------------------------------
for i in 1 2 3; do
    "$cli" local kill "w$i" --dir "$work/ring"
done
within "strong get, fleet just killed" 5000 "$cli" --timeout 10s get b/x --read strong
within "put, fleet just killed" 9000 "$cli" --timeout 15s put b/x alone
expect "its value" 0 "alone" "$cli" --timeout 10s get b/x --read strong
expect "by quorum" 0 "quorum" "$cli" get b/x --read strong --explain
within "put, no groups" 5000 "$cli" put b/x alone2
expect "status tells" 0 "no witness is up: strong reads ask a quorum, slower" "$cli" -o table status
expect "and why each" 0 "refused" "$cli" -o table status
expect "log tells" 0 "witness lost" cat "$work/ring/node-1.log"
for i in 1 2 3; do
    "$cli" local start "w$i" --dir "$work/ring" >/dev/null
done
began=$(now_ms)
until [[ $("$cli" get b/x --read strong --explain 2>&1) == *fast* ]]; do
    if (($(now_ms) - began > 10000)); then
        break
    fi
    sleep 0.02
done
took=$(($(now_ms) - began))
printf '%-34s %6d ms\n' "fleet back to first fast read" "$took"
expect "it is fast again" 0 "" [ "$took" -le 10000 ]
all_fast "all of it"
expect "log tells the return" 0 "witness connected" cat "$work/ring/node-1.log"

# --- no room at a witness -------------------------------------------------------------------------
# Two of three with 1024 keys each, a replica stopped so that no mark can be settled.
for i in 2 3; do
    "$cli" local kill "w$i" --dir "$work/ring"
    sed -i '/^memory/d' "$work/ring/witness-$i.conf"
    echo "memory = 64K" >>"$work/ring/witness-$i.conf"
    "$cli" local start "w$i" --dir "$work/ring" >/dev/null
done
all_fast "small witnesses serve"
signal STOP node 3
strays+=("$(local_field node 3 pid)")
for ((i = 0; i < 3000; i++)); do
    printf 'm%d\n' "$i"
done >"$work/many"
within "3,000 puts past the limit" 60000 "$cli" --timeout 20s import "$work/many" --bucket b
settles "status tells the limit" "memory limit" "$cli" -o table status
expect "the log tells too" 0 "witness is at its memory limit" cat "$work/ring/node-1.log"
expect "and the witness" 0 "memory limit reached" cat "$work/ring/witness-2.log"
expect "reads there go on" 0 "" "$cli" --timeout 10s get b/m2999 --read strong
signal CONT node 3
for i in 2 3; do
    "$cli" local kill "w$i" --dir "$work/ring"
    sed -i '/^memory/d' "$work/ring/witness-$i.conf"
    "$cli" local start "w$i" --dir "$work/ring" >/dev/null
done
all_fast "with room again"

# --- the fleet and one node lost ------------------------------------------------------------------
# Who could still serve by the old groups must be heard first: writes wait, with the reason. All die
# at once: one by one, on a slow machine, the groups shrink in between and the last witness of each
# is the one to wait for.
settles "node 3 is in sync" '"out":0,"catching_up":0' "$cli" -o json status
pids=("$(local_field node 3 pid)")
for i in 1 2 3; do
    pids+=("$(local_field witness "$i" pid)")
done
kill -KILL "${pids[@]}"
settles "status tells of the fence" "partitions wait for word of: " "$cli" -o table status
within "put, fenced" 4500 "$cli" --timeout 4s put b/fenced one
expect "it was refused" 0 "7" cat "$work/code"
expect "why" 0 "waiting for witness" echo "$out"
expect "map tells too" 0 "16 with fences" "$cli" ring show
(
    sleep 4 # Longer than the tries of other refusals take.
    "$cli" local start w1 --dir "$work/ring" >/dev/null
    "$cli" local start w2 --dir "$work/ring" >/dev/null
) &
within "put, two witnesses come back" 29000 "$cli" --timeout 30s put b/fenced two
wait $!
expect "it waited for them" 0 "0" cat "$work/code"
expect "it took" 0 "two" "$cli" --timeout 10s get b/fenced --read strong
"$cli" local start w3 --dir "$work/ring" >/dev/null
"$cli" local start 3 --dir "$work/ring" >/dev/null
settles "the node is back" "healthy" "$cli" -o table status
all_fast "and the fleet"

# --- a majority lost ------------------------------------------------------------------------------
# The one replica left knows with the witnesses' word that nothing newer can have been answered; no
# write can be. Without them it knows nothing.
expect "the value so far" 0 "" "$cli" --timeout 10s put b/x kept
settles "settled" "fast" "$cli" get b/x --read strong --explain
"$cli" local kill 2 --dir "$work/ring"
"$cli" local kill 3 --dir "$work/ring"
expect "strong get by the witnesses" 0 "kept" "$cli" --timeout 2s get b/x --read strong
within "put, majority just lost" 2500 "$cli" --timeout 2s put b/x nobody
expect "it was refused or is unknown" 0 "" grep -qE "^[567]$" "$work/code"
for i in 1 2 3; do
    "$cli" local kill "w$i" --dir "$work/ring"
done
within "strong get, fleet lost too" 2500 "$cli" --timeout 2s get b/x --read strong
expect "it was refused" 0 "" grep -qE "^[57]$" "$work/code"
sleep 1.5 # Now they are known to be down.
within "strong get, majority lost" 2500 "$cli" --timeout 2s get b/x --read strong
expect "at once, and whom it misses" 7 "missing: node" "$cli" --timeout 2s get b/x --read strong
within "put, majority lost" 2500 "$cli" --timeout 2s put b/x nobody
expect "so is the put" 7 "missing: node" "$cli" --timeout 2s put b/x nobody
expect "an eventual read serves" 0 "" "$cli" get b/x
expect "status tells" 0 "majority down" "$cli" -o table status
for i in w1 w2 w3; do
    "$cli" local start "$i" --dir "$work/ring" >/dev/null
done
"$cli" local start 2 --dir "$work/ring" >/dev/null
"$cli" local start 3 --dir "$work/ring" >/dev/null
settles "all is well again" "healthy" "$cli" -o table status

ended
