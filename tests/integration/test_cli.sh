#!/usr/bin/env bash
# kv-cli against a ring of three: every command, every kind of bad input, its sentence and exit
# code. usage: test_cli.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/lib/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/expect.sh"

# valid NAME COMMAND... : exit 0, and every line of its stdout is one JSON object. kv-cli's own
# import is the judge: it reads lines of JSON, and tells those that are none from those without a
# key.
valid() {
    local name=$1 got=0 verdict
    shift
    "$@" >"$work/json" 2>"$work/json.err" </dev/null || got=$?
    verdict=$("$cli" import "$work/json" --format jsonl --quiet 2>&1 </dev/null) || true
    if [[ $got -eq 0 && -s $work/json ]] &&
        ! grep -qv 'needs a string' <<<"${verdict:-needs a string}"; then
        good
    else
        bad "$name" 'exit %s, %s, %s' "$got" "$(cat "$work/json" "$work/json.err")" "$verdict"
    fi
}

# same NAME FILE FILE
same() {
    if cmp -s "$2" "$3"; then
        good
    else
        bad "$1" '%s and %s differ' "$2" "$3"
    fi
}

# --- without a ring -------------------------------------------------------------------------------
expect "help" 0 "Commands:" "$cli" help
expect "help of one" 0 "--context" "$cli" help put
expect "version" 0 "kv-cli" "$cli" version
expect "unknown command" 2 "did you mean status?" "$cli" statuss
expect "unknown option" 2 "did you mean --limit?" "$cli" list --limt 3
expect "option without value" 2 "--timeout needs a value" "$cli" get k --timeout
expect "bad number" 2 "takes a number from 1 to 7" "$cli" get k --copies 9
expect "bad format" 2 "table, json or raw" "$cli" -o yaml nodes
expect "bad time" 2 "500ms" "$cli" --timeout soon nodes
expect "too few words" 2 "use: kv-cli put KEY" "$cli" put k
expect "bad seeds" 2 "nowhere" "$cli" --seeds nowhere get k
expect "nobody there" 7 "no node can be reached" "$cli" --seeds 127.0.0.1:9 --timeout 5s get k
expect "no ring here" 3 "local up" "$cli" local status --dir "$work/none"
expect "completion" 0 "complete -F" "$cli" completion bash
expect "completes commands" 0 "status" "$cli" __complete sta
bash -n <("$cli" completion bash)

# --- a ring ---------------------------------------------------------------------------------------
expect "local up" 0 "ring of 3 nodes up" "$cli" local up --dir "$work/ring" --partitions 32
expect "local up again" 0 "ring of 3 nodes up" "$cli" local up --dir "$work/ring"
expect "another size" 2 "holds a ring of 3" "$cli" local up --dir "$work/ring" --nodes 5
seeds_take
expect "too many witnesses" 2 "from 0 to 16" "$cli" local up --dir "$work/other" --witnesses 99

expect "put" 0 "" "$cli" put greeting hello
expect "get" 0 "hello" "$cli" get --read strong default/greeting
expect "get, default bucket" 0 "hello" "$cli" get --read strong greeting
expect "explain" 0 "copies read" "$cli" get --read strong greeting --explain
expect "json" 0 '"value":"hello"' "$cli" -o json get --read strong greeting
expect "json of bytes" 0 '"value_base64":"/wA="' bash -c \
    "$cli put bytes --hex ff00 && $cli -o json get --read strong bytes"
expect "table of bytes" 0 '\xff\x00' "$cli" -o table get --read strong bytes
expect "absent" 3 "no such key" "$cli" get nothing
expect "absent, json" 3 '"name":"SGN_ERR_NOT_FOUND"' "$cli" -o json get nothing
expect "stat" 0 "5 bytes" "$cli" -o table stat greeting
expect "locate" 0 "partition" "$cli" locate greeting
expect "del" 0 "" "$cli" del greeting
expect "deleted" 3 "no such key" "$cli" get --read strong greeting

head -c 3000000 /dev/urandom >"$work/large"
expect "large value from a file" 0 "" "$cli" put large "@$work/large"
"$cli" get --read strong large >"$work/large.back"
same "large value" "$work/large" "$work/large.back"
"$cli" put piped - <"$work/large"
"$cli" get --read strong piped >"$work/piped.back"
same "piped value" "$work/large" "$work/piped.back"
: >"$work/empty"
expect "empty value" 0 "" "$cli" put empty "@$work/empty"
"$cli" get --read strong empty >"$work/empty.back"
same "empty value" "$work/empty" "$work/empty.back"

# --- siblings -------------------------------------------------------------------------------------
expect "an available bucket" 0 "" "$cli" bucket create mixed --kind available
s=mixed/s
expect "blind puts" 0 "" bash -c "$cli put $s one --context none && $cli put $s two --context none"
expect "newest and a warning" 0 "2 concurrent values" "$cli" get $s
expect "all siblings" 0 "one" "$cli" -o table get $s --all
expect "context to a file" 0 "" "$cli" get $s --context-out "$work/context"
expect "settle" 0 "" "$cli" put $s three --context "@$work/context"
expect "settled" 0 "three" "$cli" get $s
expect "bad context" 2 "is not a context" "$cli" put $s x --context '!!'
expect "strong is refused" 1 "need an ordered bucket" "$cli" --read strong get $s
expect "so is a condition" 1 "need an ordered bucket" "$cli" put $s x --if-absent

# --- buckets --------------------------------------------------------------------------------------
expect "create" 0 "" "$cli" bucket create loose --n 3 --r 2 --w 2
expect "create again" 0 "" "$cli" bucket create loose --n 3 --r 2 --w 2
expect "create otherwise" 1 "" "$cli" bucket create loose --n 2 --r 1 --w 1
expect "ordered, for the words" 0 "" "$cli" bucket create words
expect "list buckets" 0 "words" "$cli" bucket list
expect "unknown bucket" 1 "no such bucket" "$cli" put nosuch/key value
expect "bad bucket name" 2 "" "$cli" bucket create Bad/Name
expect "long bucket name" 2 "" "$cli" bucket create "$(printf 'b%.0s' {1..64})"
expect "w above n" 2 "" "$cli" bucket create odd --kind available --n 2 --w 3
expect "ordered" 0 "" "$cli" bucket create strict --kind ordered
expect "of another kind" 1 "other properties" "$cli" bucket create strict --kind available
expect "r and w make it available" 0 "loose                            available" "$cli" bucket list
expect "default is ordered" 0 "default                          ordered" "$cli" bucket list
expect "no kind" 0 "" "$cli" bucket create plain
expect "ordered is the default" 0 "plain                            ordered" "$cli" bucket list
expect "its quorum is no choice" 2 "" "$cli" bucket create odd --kind ordered --w 1
expect "no such kind" 2 "ordered or available" "$cli" bucket create strict --kind tidy
expect "long key" 2 "" "$cli" put "default/$(printf 'k%.0s' {1..1025})" v
head -c 16777217 /dev/zero >"$work/over"
expect "value too large" 2 "16" "$cli" put big "@$work/over"

# --- lists, import, export ------------------------------------------------------------------------
head -n 3000 /usr/share/dict/american-english >"$work/words"
expect "import lines" 0 "stored 3000 keys" "$cli" import "$work/words" --bucket words
expect "export lines" 0 "wrote 3000 keys" "$cli" export words/ "$work/words.back" --format lines
LC_ALL=C sort "$work/words" >"$work/words.sorted"
same "words" "$work/words.sorted" "$work/words.back"
"$cli" list words/ --read strong >"$work/listed"
same "list is in byte order" "$work/words.sorted" "$work/listed"
"$cli" list words/A --limit 7 --read strong >"$work/page"
grep '^A' "$work/words.sorted" | sed -n 1,7p >"$work/page.wanted"
same "prefix and limit" "$work/page.wanted" "$work/page"
last=$(tail -n 1 "$work/page")
"$cli" list words/A --after "$last" --limit 7 --read strong >"$work/page"
grep '^A' "$work/words.sorted" | sed -n 8,14p >"$work/page.wanted"
same "after" "$work/page.wanted" "$work/page"
mkdir -p "$work/tree/a/b"
cp "$work/large" "$work/tree/a/b/large"
: >"$work/tree/a/empty"
printf 'x' >"$work/tree/one file"
expect "import files" 0 "stored 3 keys" "$cli" import "$work/tree" --bucket default --prefix tree/
expect "export files" 0 "wrote 3 keys" "$cli" export default/tree/ "$work/out" --format files
expect "the same files" 0 "" diff -r "$work/tree" "$work/out/tree"
expect "export jsonl" 0 "" "$cli" export default/ "$work/dump.jsonl"
expect "bucket for the dump" 0 "" "$cli" bucket create copy
expect "import jsonl" 0 "stored" "$cli" import "$work/dump.jsonl" --format jsonl --bucket copy
"$cli" export copy/ "$work/dump2.jsonl" --quiet
same "jsonl there and back" "$work/dump.jsonl" "$work/dump2.jsonl"
printf 'not json\n{"key":"k"}\n' >"$work/bad.jsonl"
printf '{"key_base64":"!!!!","value":"x"}\n' >"$work/bad64.jsonl"
expect "bad base64 key" 1 "bad64.jsonl:1" "$cli" import "$work/bad64.jsonl" --format jsonl
expect "bad jsonl" 1 "bad.jsonl:2" "$cli" import "$work/bad.jsonl" --format jsonl
expect "no such file" 2 "No such file" "$cli" import "$work/nowhere"
expect "bucket not empty" 1 "still holds keys" "$cli" bucket delete words
expect "bucket delete" 0 "" bash -c "$cli bucket create gone && $cli bucket delete gone"
expect "not as another kind" 2 "only as ordered" "$cli" bucket create gone --kind available
expect "export of an available bucket" 0 "wrote 1 keys" "$cli" export mixed/ "$work/mixed"
expect "import to no bucket" 1 "stored 0 keys, 0 B" "$cli" import "$work/words" --bucket gone
expect "export of no bucket" 1 "no such bucket" "$cli" export gone/ "$work/kept"
expect "it made no file" 1 "" test -e "$work/kept"
expect "bucket is gone" 1 "no such bucket" "$cli" get gone/key

# --- the ring -------------------------------------------------------------------------------------
expect "nodes" 0 "127.0.0.1" "$cli" nodes
expect "ring" 0 "32 partitions" "$cli" ring
expect "ring map" 0 "   31 " "$cli" -o table ring --map
expect "plan" 0 "" "$cli" ring plan --add 4:2
expect "plan with too few" 2 "" "$cli" ring plan --remove 1,2
expect "plan beyond all numbers" 2 "" "$cli" ring plan --add 4294967297:1
expect "plan without the unknown" 2 "no member" "$cli" ring plan --remove 9
settles "status" "healthy" "$cli" status
expect "status json" 0 '"verdict":"healthy"' "$cli" -o json status
expect "status counts" 0 '"divergent_partitions":0' "$cli" -o json status
expect "status of one" 0 '"node": 2' "$cli" status 2
expect "kill" 0 "" "$cli" local kill 3 --dir "$work/ring"
expect "status tells" 0 "degraded" "$cli" status
expect "kill twice" 1 "does not run" "$cli" local kill 3 --dir "$work/ring"
expect "still serves" 0 "three" "$cli" get $s
expect "still takes" 0 "" "$cli" put while-down value
expect "too few for W=3" 7 "" "$cli" --timeout 1s put mixed/w3 value --copies 3
expect "start" 0 "" "$cli" local start 3 --dir "$work/ring"
expect "no such node" 2 "nodes 1 to 3" "$cli" local kill 7 --dir "$work/ring"

# --- one form for programs ------------------------------------------------------------------------
expect "bucket for the forms" 0 "" "$cli" bucket create forms
valid "json put" "$cli" -o json put forms/a 1
valid "json get" "$cli" -o json --read strong get forms/a
valid "json get --all" "$cli" -o json --read strong get forms/a --all
valid "json stat" "$cli" -o json --read strong stat forms/a
valid "json list" "$cli" -o json --read strong list forms/
valid "json locate" "$cli" -o json locate forms/a
valid "json import" "$cli" -o json import "$work/page" --bucket forms
valid "json export" "$cli" -o json export forms/ "$work/forms.jsonl"
valid "json del" "$cli" -o json del forms/a
valid "json del of nothing" "$cli" -o json del forms/a
valid "json bucket create" "$cli" -o json bucket create forms2
valid "json bucket list" "$cli" -o json bucket list
valid "json bucket delete" "$cli" -o json bucket delete forms2
valid "json nodes" "$cli" -o json nodes
valid "json ring" "$cli" -o json ring --map
valid "json plan" "$cli" -o json ring plan --add 4:2
valid "json status" "$cli" -o json status
valid "json status of one" bash -c "'$cli' -o json status 1 | tr -d '\n'"
valid "json help" "$cli" -o json help
valid "json help of one" "$cli" -o json help put
valid "json version" "$cli" -o json version
valid "json local kill" "$cli" -o json local kill 3 --dir "$work/ring"
valid "json local start" "$cli" -o json local start 3 --dir "$work/ring"
valid "json local status" "$cli" -o json local status --dir "$work/ring"

# --- delete takes what the ring holds, on whichever node it is ------------------------------------
for i in {1..20}; do
    "$cli" put "forms/d$i" v
    "$cli" del "forms/d$i"
done
"$cli" --read strong list forms/d >"$work/left"
same "all deleted" "$work/left" /dev/null
expect "del of nothing" 0 "nothing to delete" "$cli" del forms/never

# --- the shell, on a pipe -------------------------------------------------------------------------
printf 'put shell "two words"\nget shell\nexit\n' | "$cli" shell >"$work/shell" 2>&1
expect "the shell ran both" 0 "two words" cat "$work/shell"

expect "down" 0 "" "$cli" local down --wipe --dir "$work/ring"
expect "wiped" 1 "" test -e "$work/ring"

ended
