#!/usr/bin/env bash
# Witnesses inside the nodes, as a user at a shell has them: one command, the fast path and its
# receipt, a node killed with its witness, its witness's port in use, a witness let go and taken
# back. usage: test_cli_embed.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/lib/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/expect.sh"

groups="0 without a group, 0 with a smaller one"
squatter=""
quit() {
    [[ -z $squatter ]] || kill "$squatter" 2>/dev/null || true
    finish
}
trap quit EXIT

# --- a ring of three processes --------------------------------------------------------------------
expect "more than nodes" 2 "at most" "$cli" local up --dir "$work/ring" --embed --witnesses 4
expect "up" 0 "ring of 3 nodes with 3 witnesses inside up" \
    "$cli" local up --dir "$work/ring" --embed --partitions 16
seeds_take
expect "status names them" 0 "witness 127.0.0.1:" "$cli" local status --dir "$work/ring"
expect "no process of theirs" 1 "" \
    bash -c "'$cli' local status --dir '$work/ring' | grep '^witness'"
settles "all groups are whole" "$groups" "$cli" ring show
version=$("$cli" put k one --if-absent)
settles "by the fast path" "fast" "$cli" get k --read strong --explain
expect "session" 0 "one" "$cli" get k --at-least "$version"
for node in 1 2 3; do
    expect "node $node tells of its own" 0 '"own_witness"' "$cli" -o json status "$node"
done

# --- a node and its witness die together ----------------------------------------------------------
expect "kill" 0 "" "$cli" local kill 2 --dir "$work/ring"
expect "conditional write" 0 "2-" "$cli" put k two --if-version "$version"
expect "strong read" 0 "two" "$cli" get k --read strong
settles "fast again, by two of three" "fast" "$cli" get k --read strong --explain

# --- its port is in use when it comes back: it serves, says so, tries again -----------------------
address=$(sed -n 's/^witness = //p' "$work/ring/node-2.conf")
"$build/witness/signet-witness" --id 9 --ring other --listen "$address" 2>"$work/squatter" &
squatter=$!
expect "start" 0 "" "$cli" local start 2 --dir "$work/ring"
settles "says so" "own witness cannot start" cat "$work/ring/node-2.log"
expect "the node serves" 0 "two" "$cli" get k --read strong
kill "$squatter"
wait "$squatter" || true
squatter=""
settles "starts when it can" "own witness starts" tail -n 20 "$work/ring/node-2.log"
settles "whole again" "$groups" "$cli" ring show
settles "healthy" "fast strong reads: on" "$cli" -o table status

# --- all killed: nothing but the disks remains ----------------------------------------------------
for node in 1 2 3; do
    expect "kill $node" 0 "" "$cli" local kill "$node" --dir "$work/ring"
done
expect "up again" 0 "3 witnesses inside" "$cli" local up --dir "$work/ring"
expect "what was written" 0 "two" "$cli" --timeout 10s get k --read strong
settles "fast after all" "fast" "$cli" get k --read strong --explain

# --- one is let go and taken back -----------------------------------------------------------------
first=$(sed -n 's/^witness = //p' "$work/ring/node-1.conf")
witness=$("$cli" ring witness list | sed -n "s/^witness \([0-9]*\) .*$first.*/\1/p")
expect "drop" 0 "" "$cli" ring witness drop "$witness"
settles "it ends" "own witness ends" cat "$work/ring/node-1.log"
expect "still strong" 0 "two" "$cli" get k --read strong
expect "add" 0 "witness" "$cli" ring witness add "$first"
settles "three again" "3 witnesses" "$cli" ring show
settles "and whole" "$groups" "$cli" ring show
expect "separate ones beside them" 0 "with 3 witnesses inside and 1 witnesses up" \
    "$cli" local up --dir "$work/ring" --witnesses 4
expect "not fewer" 2 "witness drop" "$cli" local up --dir "$work/ring" --witnesses 2
expect "down" 0 "" "$cli" local down --wipe --dir "$work/ring"
expect "wiped" 1 "" test -e "$work/ring"

# --- what cannot be -------------------------------------------------------------------------------
expect "a ring without" 0 "ring of 1 nodes up" \
    "$cli" local up --dir "$work/ring" --nodes 1 --partitions 8
expect "is not changed" 2 "for a new one" "$cli" local up --dir "$work/ring" --embed
expect "an address of the node" 2 "port of its own" "$build/node/signet-node" \
    --config "$work/ring/node-1.conf" --check-config \
    --witness 127.0.0.1:7301 --listen 127.0.0.1:7301
expect "down at last" 0 "" "$cli" local down --wipe --dir "$work/ring"

ended
