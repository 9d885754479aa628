#!/bin/bash
# bench/figures.sh - the figures of docs/performance.md, on this machine, from nothing.
#
#   bench/figures.sh [BUILD_DIR]        default build/release; takes half an hour and more
#   PARTS=ordered                       only those of ordered buckets (available: only the others)
#   SECONDS_EACH=2 ROUNDS=5             length of a window, and pairs of windows for a ratio
#
# Starts rings on loopback in a temporary folder of the disk that TMPDIR names, runs, stops them.
set -euo pipefail

build=${1:-build/release}
seconds=${SECONDS_EACH:-2}
rounds=${ROUNDS:-5}
parts=${PARTS:-available ordered}
for program in client/kv-cli node/signet-node witness/signet-witness bench/kv-bench; do
    if [ ! -x "$build/$program" ]; then
        echo "figures.sh: $build/$program is not there; build first, or name the build folder" >&2
        exit 2
    fi
done
build=$(cd "$build" && pwd)
export PATH=$build/client:$build/node:$build/witness:$build/bench:$PATH

work=$(mktemp -d)
finish() {
    for ring in ring plain; do
        kv-cli local down --wipe --dir "$work/$ring" >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap finish EXIT

# ring_up NODES [FLEET [FOLDER]]: sets seeds, pids and the witnesses' pids. FLEET is a number of
# witnesses, or embed.
ring_up() {
    local folder=$work/${3:-ring} fleet=(--witnesses "${2:-0}") status
    if [ "${2:-}" = embed ]; then
        fleet=(--embed)
    fi
    kv-cli local up --nodes "$1" "${fleet[@]}" --dir "$folder" >/dev/null
    status=$(kv-cli local status --dir "$folder")
    seeds=$(sed -n 's/^node .* listen \([^ ]*\) .*/\1/p' <<<"$status" | paste -sd,)
    pids=$(sed -n 's/.* pid \([0-9]*\) .*/\1/p' <<<"$status" | paste -sd,)
    witness_pids=$(sed -n 's/^witness .* pid \([0-9]*\) .*/\1/p' <<<"$status" | paste -sd,)
}

ring_down() { # [FOLDER]
    kv-cli local down --wipe --dir "$work/${1:-ring}" >/dev/null
}

run() {
    kv-bench run --seeds "$seeds" --pids "$pids" --seconds "$seconds" --rounds "$rounds" "$@"
}

available_figures() {
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
    echo "== the same, beside as many callers as connections who share raw group commits"
    run --workload w --no-fill --against-callers --dir "$work" --connections 1,16,64
    ring_down
}

# The fast path beside the quorum path: two rings, the second without witnesses, asked in turn.
paths_figures() { # WHAT, and what kv-bench is told
    local what=$1
    shift
    echo "== strong get, witnesses beside quorum: $what"
    run --workload c --read strong --against-ring "$plain_seeds" --against-pids "$plain_pids" "$@"
}

# What strong reads and ordered writes cost: FLEET in words.
cost_figures() {
    echo "== strong get beside eventual get: 3 nodes, $1"
    run --workload c --read strong --against-read eventual --connections 1,16,64,256
    echo "== ordered put beside available put, two of three copies, both synced: uniform keys, $1"
    run --workload w --kind ordered --against-kind available --spread uniform --connections 1,16,64
    echo "== the same, zipf: one key has a tenth of the puts"
    run --workload w --kind ordered --against-kind available --connections 64
}

ordered_figures() {
    ring_up 3 embed
    cost_figures "witnesses inside them"
    ring_down

    ring_up 3 3
    cost_figures "3 witnesses apart"
    echo "== session get beside eventual get"
    run --workload c --no-fill --read session --against-read eventual --connections 64

    echo "== races for a new key"
    kv-bench race --seeds "$seeds" --writers 32 --rounds 1000
    echo "== increments of one counter"
    for writers in 1 2 8 32; do
        kv-bench increment --seeds "$seeds" --writers "$writers" --seconds "$seconds"
    done

    echo "== witnesses killed for 3 s, strong gets at 2,000 a second"
    kv-bench failover --seeds "$seeds" --witness-pids "$witness_pids" \
        --start "for w in w1 w2 w3; do kv-cli local start \$w --dir $work/ring; done"
    ring_down

    ring_up 3 0 plain
    local plain_seeds=$seeds plain_pids=$pids
    ring_up 3 3
    # 100 bytes: in the node's own cache of small values. 16 KiB, 17,000 keys: more than the block
    # cache, so a read goes to the file (and to the kernel's cache of it).
    paths_figures "in memory" --connections 1,64
    paths_figures "beyond the cache" --bucket bench-large --keys 17000 --value-bytes 16384 \
        --spread uniform --connections 1,16
    ring_down
    ring_down plain

    echo "== one witness"
    kv-bench witness --program "$build/witness/signet-witness"
}

for part in $parts; do
    "${part}_figures"
done
