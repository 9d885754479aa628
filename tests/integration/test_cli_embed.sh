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
expect "up" 0 "ring of 3 nodes, each a witness as well, up" \
    "$cli" local up --dir "$work/ring" --embed --partitions 16
seeds_take
expect "the map says so" 0 "inside node 3" "$cli" ring witness list
expect "in json too" 0 '"node":2' "$cli" -o json ring witness list
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
address=$("$cli" ring witness list | sed -n 's/.*\(127[0-9.:]*\) .*inside node 2$/\1/p')
"$build/witness/signet-witness" --id 9 --ring other --listen "$address" \
    --ready-file "$work/squats" 2>"$work/squatter" &
squatter=$!
settles "another has its port" "$address" cat "$work/squats"
expect "start" 0 "" "$cli" local start 2 --dir "$work/ring"
settles "says so" "own witness cannot start" cat "$work/ring/node-2.log"
expect "and why" 0 '"error":' "$cli" -o json status 2
expect "the node serves" 0 "two" "$cli" get k --read strong
kill "$squatter"
wait "$squatter" || true
squatter=""
settles "starts when it can" "own witness starts" \
    sed '1,/own witness cannot start/d' "$work/ring/node-2.log"
settles "whole again" "$groups" "$cli" ring show
settles "healthy" "fast strong reads: on" "$cli" -o table status

# --- all killed: nothing but the disks remains ----------------------------------------------------
for node in 1 2 3; do
    expect "kill $node" 0 "" "$cli" local kill "$node" --dir "$work/ring"
done
expect "up again" 0 "ring of 3 nodes up" "$cli" local up --dir "$work/ring"
expect "what was written" 0 "two" "$cli" --timeout 10s get k --read strong
settles "fast after all" "fast" "$cli" get k --read strong --explain

# --- one is let go and taken back -----------------------------------------------------------------
read -r _ witness first _ < <("$cli" ring witness list | grep "inside node 1$")
expect "one node, one witness" 2 "inside this node" "$cli" ring witness add 127.0.0.1:9 --inside 1
expect "one address, one witness" 2 "under this address" "$cli" ring witness add "$first"
expect "no such node" 2 "no such node" "$cli" ring witness add 127.0.0.1:9 --inside 4
expect "a name" 2 "names are not looked up" "$cli" ring witness add example:7401
expect "no port" 2 "the port is missing" "$cli" ring witness add 127.0.0.1
expect "port 0" 2 "a port above 0" "$cli" ring witness add 127.0.0.1:0
expect "a long address" 2 "at most 63 bytes" "$cli" ring witness add "$(printf '1%.0s' {1..80}):1"
expect "drop" 0 "" "$cli" ring witness drop "$witness"
settles "it ends" "own witness ends" cat "$work/ring/node-1.log"
expect "still strong" 0 "two" "$cli" get k --read strong
expect "each is one again" 0 "each a witness as well" "$cli" local up --dir "$work/ring" --embed
settles "three again" "3 witnesses" "$cli" ring show
settles "and whole" "$groups" "$cli" ring show
expect "separate ones beside them" 0 "ring of 3 nodes and 1 witnesses up" \
    "$cli" local up --dir "$work/ring" --witnesses 1
expect "and all stay" 0 "" "$cli" local up --dir "$work/ring" --embed
settles "four" "4 witnesses" "$cli" ring show
expect "down" 0 "" "$cli" local down --wipe --dir "$work/ring"
expect "wiped" 1 "" test -e "$work/ring"

ended
