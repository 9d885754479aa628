#!/usr/bin/env bash
# Strong mode as a user at a shell has it: a ring of three with three witnesses by one command,
# conditional writes, strong and session reads and their receipts, the fleet killed and brought
# back, a majority lost. usage: test_cli_strong.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/lib/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/expect.sh"

# --- a ring and its fleet -------------------------------------------------------------------------
expect "nodes alone" 0 "ring of 3 nodes up" "$cli" local up --dir "$work/ring" --partitions 32
seeds_take
expect "bucket" 0 "" "$cli" bucket create b
expect "before the fleet" 0 "" "$cli" put b/old one
expect "strong without a fleet" 0 "one" "$cli" get b/old --read strong
expect "no witnesses listed" 0 "0 witnesses" "$cli" ring show
expect "witnesses join a running ring" 0 "3 nodes and 3 witnesses up" \
    "$cli" local up --dir "$work/ring" --witnesses 3
expect "they run" 0 "witness 3 up" "$cli" local status --dir "$work/ring"
expect "they are listed" 0 "3 witnesses" "$cli" ring show
expect "fewer is refused" 2 "witness drop" "$cli" local up --dir "$work/ring" --witnesses 1
settles "all groups are whole" "0 without a group, 0 with a smaller one" "$cli" ring show
settles "status shows the fast path" "fast strong reads: on" "$cli" -o table status
expect "status json" 0 '"witnesses":[{"id":' "$cli" -o json status
expect "old objects are strongly readable" 0 "one" "$cli" get b/old --read strong
settles "by the fast path" "fast" "$cli" get b/old --read strong --explain

# --- conditional writes ---------------------------------------------------------------------------
version=$("$cli" put b/k one --if-absent)
expect "first" 0 "1-" echo "$version"
expect "second" 4 "$version" "$cli" put b/k two --if-absent
expect "rejected in json" 4 "\"version\":\"$version\"" "$cli" -o json put b/k two --if-absent
second=$("$cli" put b/k two --if-version "$version")
expect "late" 4 "$second" "$cli" put b/k three --if-version "$version"
expect "late del" 4 "$second" "$cli" del b/k --if-version "$version"
expect "version of another key" 4 "0-0.0.0.0" "$cli" put b/other x --if-version "$second"
expect "session" 0 "two" "$cli" get b/k --at-least "$second"
expect "stat" 0 "version  $second" "$cli" -o table --read strong stat b/k
expect "del" 0 "" "$cli" del b/k --if-version "$second"
expect "deleted" 3 "no such key" "$cli" get b/k --read strong
expect "absent again" 0 "4-" "$cli" put b/k four --if-absent
expect "strong list" 0 "k" "$cli" list b/ --read strong

# --- one of many ----------------------------------------------------------------------------------
for i in {1..16}; do
    { "$cli" put b/race "$i" --if-absent >/dev/null 2>&1 && echo "$i" >>"$work/winners"; } &
done
for job in $(jobs -p); do
    wait "$job" || true
done
expect "one winner" 0 "1" wc -l "$work/winners"
expect "the winner's value" 0 "$(cat "$work/winners")" "$cli" get b/race --read strong

# --- the fleet lost and back ----------------------------------------------------------------------
for i in 1 2 3; do
    expect "kill witness $i" 0 "" "$cli" local kill "w$i" --dir "$work/ring"
done
expect "local status tells" 9 "witness 2 down" "$cli" local status --dir "$work/ring"
settles "status tells" "no witness is up" "$cli" -o table status
expect "strong reads go on" 0 "four" "$cli" --timeout 10s get b/k --read strong
for i in 1 2 3; do
    expect "start witness $i" 0 "" "$cli" local start "w$i" --dir "$work/ring"
done
settles "the fast path is back" "fast strong reads: on" "$cli" -o table status
expect "writes go on" 0 "" "$cli" --timeout 10s put b/k five
expect "and are read" 0 "five" "$cli" get b/k --read strong
witness=$("$cli" -o json ring witness list | sed -n '1s/.*"witness":\([0-9]*\).*/\1/p')
expect "drop one" 0 "" "$cli" ring witness drop "$witness"
settles "groups of what is left" "2 witnesses" "$cli" ring show
expect "still strong" 0 "five" "$cli" --timeout 10s get b/k --read strong
expect "fence needs a yes" 2 "old values" "$cli" ring force-fence
expect "fence" 0 "" "$cli" ring force-fence --yes

# --- a majority lost ------------------------------------------------------------------------------
"$cli" local kill 2 --dir "$work/ring"
settles "one node of three lost" "five" "$cli" get b/k --read strong
"$cli" local kill 3 --dir "$work/ring"
began=$SECONDS
for i in 1 2 3; do
    "$cli" local kill "w$i" --dir "$work/ring"
done
expect "strong read refused" 7 "" "$cli" --timeout 2s get b/k --read strong
expect "eventual read serves" 0 "" "$cli" get b/k
expect "write refused or unknown" 0 "" bash -c \
    "code=0; '$cli' --timeout 2s put b/k six >/dev/null 2>&1 || code=\$?; [[ \$code =~ ^[567]$ ]]"
expect "nothing hung" 0 "" test $((SECONDS - began)) -lt 15
"$cli" local up --dir "$work/ring" >/dev/null
settles "all is well again" "healthy" "$cli" -o table status
expect "down" 0 "" "$cli" local down --wipe --dir "$work/ring"
expect "wiped" 1 "" test -e "$work/ring"

# --- what is deleted goes -------------------------------------------------------------------------
SIGNET_TIMING_TOMBSTONE=1s expect "a ring that forgets" 0 "ring of 3 nodes up" \
    "$cli" local up --dir "$work/ring" --partitions 8
seeds_take
expect "put" 0 "" "$cli" put k one
expect "del" 0 "" "$cli" del k
for node in 1 2 3; do
    settles "no trace at node $node" '"tombstones_dropped": 1' "$cli" -o json status "$node"
done
expect "absent" 3 "no such key" "$cli" get k --read strong
expect "made again" 0 "1-" "$cli" put k two --if-absent
expect "and read" 0 "two" "$cli" get k --read strong
expect "down again" 0 "" "$cli" local down --wipe --dir "$work/ring"

ended
