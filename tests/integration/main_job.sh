#!/usr/bin/env bash
# tests/integration/main_job.sh BUILD [--keep] [--dir DIR] - the main job on real input: a ring of
# three nodes takes the word list and the files of two folders in, loses a node to kill -9 half-way,
# gets it back, gives everything out again, and every byte is compared; then many race to create one
# key, and strong reads lose their witnesses. ./demo shows its transcript. SGN_QUICK=1 takes a part
# of the input. Ends with "N passed, N failed"; a comparison counts as one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/lib/setup.sh
. tests/lib/setup.sh

build=${1:?the build folder}
shift
keep=no
dir=""
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=yes ;;
    --dir) dir=${2:?--dir needs a folder} && shift ;;
    *) die "no such option: $1" ;;
    esac
    shift
done
if [ -z "$dir" ]; then
    mkdir -p .local
    dir=$(mktemp -d .local/main-job-XXXXXX)
fi
ring=$dir/ring
cli=$build/client/kv-cli
dictionary=/usr/share/dict/american-english
doomed=2 # The node that is killed.
limit_ms=120000
job="" # The import that runs in the background.
passed=0
failed=0

# ---- small things ------------------------------------------------------------------------------

ended()
{
    local status=$?
    if [ -n "$job" ]; then
        kill "$job" 2>/dev/null || true
    fi
    if [ "$keep" = no ]; then
        "$cli" local down --dir "$ring" --wipe >/dev/null 2>&1 || true
        if [ "$status" -eq 0 ]; then
            rm -rf "$dir"
        else
            say "what was exported is left in $dir"
        fi
    fi
}
trap ended EXIT

step() { printf '\n== %s\n' "$*"; }

# kv ARGUMENT...: runs kv-cli and shows the command as a person would type it.
kv()
{
    say "\$ kv-cli $*"
    "$cli" "$@"
}

expect() # expect WHAT COMMAND...: one comparison.
{
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        say "   ok: $what"
    else
        failed=$((failed + 1))
        say "   NOT ok: $what"
    fi
}

# rate ITEMS BYTES MS: a line of figures.
rate()
{
    awk -v items="$1" -v bytes="$2" -v ms="$3" 'BEGIN {
        s = (ms > 0 ? ms : 1) / 1000
        printf "   %d items, %.1f MB in %.1f s: %.0f items/s, %.1f MB/s\n",
            items, bytes / 1e6, s, items / s, bytes / 1e6 / s }'
}

# until_stored KEY: waits till the background import has stored the key, or has ended.
until_stored()
{
    local start
    start=$(now_ms)
    until "$cli" stat "$1" >/dev/null 2>&1; do
        if ! kill -0 "$job" 2>/dev/null && ! "$cli" stat "$1" >/dev/null 2>&1; then
            say "   the import ended without $1"
            return 0
        fi
        if [ $(($(now_ms) - start)) -gt "$limit_ms" ]; then
            die "$1 was not stored within $((limit_ms / 1000)) s"
        fi
    done
}

# import_while FROM BUCKET PARALLEL KEY COMMAND...: imports and, once KEY is stored, runs COMMAND
# meanwhile. Few requests at a time give a short import the time to be met under way.
import_while()
{
    local import=(import "$1" --bucket "$2" --parallel "$3") key=$2/$4 running=no
    shift 4
    say "\$ kv-cli ${import[*]} &"
    "$cli" "${import[@]}" &
    job=$!
    until_stored "$key"
    if kill -0 "$job" 2>/dev/null; then
        running=yes
    fi
    kv "$@"
    expect "the import was still under way at that moment" [ "$running" = yes ]
    local status=0
    wait "$job" || status=$?
    job=""
    expect "every item of it was acknowledged" [ "$status" -eq 0 ]
}

files_of() { (cd "$1" && find . -type f); }

# ---- the job -----------------------------------------------------------------------------------

prepare()
{
    [ -x "$cli" ] || die "$cli does not exist; build first"
    [ -f "$dictionary" ] || die "$dictionary does not exist; the package wamerican holds it"
    mkdir -p "$dir"
    "$cli" local down --dir "$ring" --wipe >/dev/null 2>&1 || true # One that --keep left behind.
    if [ "${SGN_QUICK:-}" = 1 ]; then
        awk 'NR % 8 == 0 || /^ring/' "$dictionary" >"$dir/words"
        folders=(/usr/share/perl)
    else
        cp "$dictionary" "$dir/words"
        folders=(/usr/share/perl /usr/share/doc)
    fi
    words=$(wc -l <"$dir/words")
    middle=$(sed -n "$((words / 2))p" "$dir/words")
}

start_ring()
{
    step "a ring of three nodes and three witnesses on this machine"
    kv local up --nodes 3 --witnesses 3 --dir "$ring" | tee "$dir/up"
    SIGNET_SEEDS=$(sed -n 's/^export SIGNET_SEEDS=//p' "$dir/up")
    export SIGNET_SEEDS
    [ -n "$SIGNET_SEEDS" ] || die "kv-cli local up named no addresses"
    kv bucket create words
    kv bucket create assets
}

import_words()
{
    step "every line of the word list; node $doomed is killed with kill -9 half-way"
    local start
    start=$(now_ms)
    import_while "$dir/words" words 64 "$middle" local kill "$doomed" --dir "$ring"
    rate "$words" "$(wc -c <"$dir/words")" $(($(now_ms) - start))
    expect "node $doomed is dead" bash -c \
        "'$cli' local status --dir '$ring' | grep -q 'node $doomed down'"
}

import_assets()
{
    local folder first start
    for folder in "${folders[@]}"; do
        step "every file below $folder"
        start=$(now_ms)
        if [ "$folder" = "${folders[0]}" ]; then
            first=$(find "$folder" -type f -printf '%P\n' | sed -n 100p)
            say "   node $doomed comes back meanwhile"
            import_while "$folder" assets 4 "$first" local start "$doomed" --dir "$ring"
        else
            kv import "$folder" --bucket assets
        fi
        rate "$(find "$folder" -type f | wc -l)" \
            "$(find "$folder" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }')" \
            $(($(now_ms) - start))
    done
}

compare_words()
{
    step "the words out again"
    local start
    start=$(now_ms)
    kv export words/ "$dir/words.out" --format lines
    rate "$words" "$(wc -c <"$dir/words.out")" $(($(now_ms) - start))
    expect "$words words, byte for byte the same (in byte order)" \
        cmp "$dir/words.out" <(LC_ALL=C sort -u "$dir/words")
}

compare_assets()
{
    step "the files out again"
    local start folder
    rm -rf "$dir/assets.out" "$dir/assets.in"
    mkdir -p "$dir/assets.in" "$dir/assets.out"
    for folder in "${folders[@]}"; do # What was put in, later folders over earlier ones.
        (cd "$folder" && find . -type f -print0 |
            tar --null --no-recursion --mode=u+rw -T - -cf -) | tar -C "$dir/assets.in" -xf -
    done
    start=$(now_ms)
    kv export assets/ "$dir/assets.out" --format files
    rate "$(files_of "$dir/assets.out" | wc -l)" "$(du -sb "$dir/assets.out" | cut -f1)" \
        $(($(now_ms) - start))
    expect "$(files_of "$dir/assets.in" | wc -l) files, byte for byte the same" \
        diff -r "$dir/assets.in" "$dir/assets.out"
}

# Within 60 s no partition differs from a peer's any more.
comes_together()
{
    local start
    start=$(now_ms)
    until grep -q '^healthy' <<<"$("$cli" status 2>/dev/null)"; do
        [ $(($(now_ms) - start)) -lt 60000 ] || return 1
        sleep 0.2
    done
}

look_around()
{
    step "a prefix, the homes of a key, the state of the ring"
    # Strong, for an eventual one may be of the node that came back and still lacks some.
    say "\$ kv-cli list words/ring --read strong"
    "$cli" list words/ring --read strong >"$dir/listed"
    head -n 3 "$dir/listed"
    say "   ... $(wc -l <"$dir/listed") keys"
    expect "as many keys as the list has words that begin with ring" \
        [ "$(wc -l <"$dir/listed")" -eq "$(grep -c '^ring' "$dir/words")" ]
    kv locate words/ring
    expect "all replicas have come together" comes_together
    kv status
}

# path_of KEY: how a strong read of it went.
path_of() { "$cli" get "$1" --read strong --explain 2>&1 >/dev/null | sed -n 's/^ *path *//p'; }

# path_becomes PATH KEY: within 20 s strong reads of the key take that path.
path_becomes()
{
    local start
    start=$(now_ms)
    until [[ $(path_of "$2") == "$1"* ]]; do
        [ $(($(now_ms) - start)) -lt 20000 ] || return 1
        sleep 0.1
    done
}

race()
{
    step "eight clients race to create one key: one of them does"
    local i
    say "\$ for i in 1 ... 8; do kv-cli put leader client-\$i --if-absent & done"
    : >"$dir/won"
    for i in {1..8}; do
        if "$cli" put leader "client-$i" --if-absent >/dev/null 2>&1; then
            say "client-$i" >>"$dir/won"
        fi &
    done
    for i in $(jobs -p); do
        wait "$i" || true
    done
    kv get leader --read strong -o table
    expect "exactly one client was told that it did, and its value stands" \
        cmp "$dir/won" <("$cli" get leader --read strong && say "")
}

strong_reads()
{
    step "a strong read: the witnesses' word, and one replica"
    expect "strong reads take the fast path" path_becomes fast leader
    kv get leader --read strong --explain -o table
    step "all witnesses are killed with kill -9: strong reads go on, by quorum"
    local i
    for i in w1 w2 w3; do
        kv local kill "$i" --dir "$ring"
    done
    kv get leader --read strong --explain -o table
    expect "the same value by another path" [ "$(path_of leader)" = quorum ]
    for i in w1 w2 w3; do
        "$cli" local start "$i" --dir "$ring" >/dev/null
    done
    expect "the witnesses are back, and so is the fast path" path_becomes fast leader
}

load()
{
    if [ "${SGN_QUICK:-}" = 1 ]; then
        return 0
    fi
    step "a short load: reads of one copy, 16 connections"
    say "\$ kv-bench run --workload c --connections 16 --seconds 5"
    "$build/bench/kv-bench" run --seeds "$SIGNET_SEEDS" --workload c --connections 16 --seconds 5
}

prepare
start_ring
import_words
import_assets
compare_words
compare_assets
look_around
race
strong_reads
load

if [ "$keep" = yes ]; then
    step "the ring goes on"
    say "export SIGNET_SEEDS=$SIGNET_SEEDS"
    say "$cli local down --dir $ring --wipe    # ends it"
fi
say ""
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
