#!/bin/bash
# bench/figures.sh - the figures of docs/performance.md, on this machine, from nothing.
#
#   bench/figures.sh [BUILD_DIR]        default build/release; takes about six minutes
#   SECONDS_EACH=2 ROUNDS=5             length of a window, and pairs of windows for a ratio
#
# Starts rings on loopback in a temporary folder of the disk that TMPDIR names, runs, stops them.
set -euo pipefail

build=${1:-build/release}
seconds=${SECONDS_EACH:-2}
rounds=${ROUNDS:-5}
for program in client/kv-cli node/signet-node bench/kv-bench; do
    if [ ! -x "$build/$program" ]; then
        echo "figures.sh: $build/$program is not there; build first, or name the build folder" >&2
        exit 2
    fi
done
build=$(cd "$build" && pwd)
export PATH=$build/client:$build/node:$build/bench:$PATH

work=$(mktemp -d)
finish() {
    kv-cli local down --wipe --dir "$work/ring" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

ring_up() { # NODES; sets seeds and pids
    kv-cli local up --nodes "$1" --dir "$work/ring" >/dev/null
    local status
    status=$(kv-cli local status --dir "$work/ring")
    seeds=$(sed -n 's/.* listen \([^ ]*\) .*/\1/p' <<<"$status" | paste -sd,)
    pids=$(sed -n 's/.* pid \([0-9]*\) .*/\1/p' <<<"$status" | paste -sd,)
}

ring_down() {
    kv-cli local down --wipe --dir "$work/ring" >/dev/null
}

run() {
    kv-bench run --seeds "$seeds" --pids "$pids" --seconds "$seconds" --rounds "$rounds" "$@"
}

echo "== eventual get beside a bare echo of the same bytes: 3 nodes, one copy asked"
ring_up 3
run --workload c --read-copies 1 --against-echo --connections 1,16,64
echo "== the same, two copies asked (each get is then two requests and a merge)"
run --workload c --no-fill --read-copies 2 --against-echo --connections 64
echo "== the same as the first, keys chosen uniformly"
run --workload c --no-fill --spread uniform --read-copies 1 --against-echo --connections 64

echo "== workloads, reads and writes with two of three copies"
for workload in a b c d e f; do
    run --workload "$workload" --no-fill --connections 1,16,64
done

echo "== synced puts beside a raw group commit: 3 nodes on one disk, 2 of 3 copies durable"
run --workload w --no-fill --against-sync --dir "$work" --connections 1,16,64
ring_down

echo "== eventual get beside the echo: 1 node, so that both are one process"
ring_up 1
run --workload c --against-echo --connections 1,16,64

echo "== synced puts beside a raw group commit: 1 node, 1 copy"
run --workload w --no-fill --against-sync --dir "$work" --connections 1,16,64
ring_down
