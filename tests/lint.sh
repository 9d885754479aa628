#!/usr/bin/env bash
# tests/lint.sh - the rules of STYLE.md that a few lines can check. Prints each offence and, last,
# "N passed, N failed", a rule being one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

passed=0
failed=0

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    mapfile -t files < <(git ls-files -co --exclude-standard | while read -r name; do
        if [ -f "$name" ]; then printf '%s\n' "$name"; fi
    done)
else
    mapfile -t files < <(find . -type f -not -path './build/*' -not -path './.local/*' | cut -c3-)
fi

# pick REGEX: the tree's files whose names match.
pick() { printf '%s\n' "${files[@]}" | grep -E "$1" || true; }

mapfile -t code < <(pick '\.[ch]$')
mapfile -t text < <(pick '(\.([ch]|sh|md|txt|json|in|map)|/?(check|demo|run|rules|control))$')
mapfile -t scripts < <(pick '(\.sh|^check|^demo|^\.ci/run)$')

# rule NAME OFFENCES: counts one rule; offences is what it found, one a line.
rule()
{
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s:\n%s\n' "$1" "$2" | sed -n 1,40p # head would end printf, and with it the script.
    fi
}

# Comments and string literals blanked out, line numbers kept: "FILE:LINE:TEXT".
bare_code()
{
    awk '
        FNR == 1 { inside = 0 }
        {
            line = $0; out = ""
            while (line != "") {
                if (inside) {
                    end = index(line, "*/")
                    if (end == 0) { line = ""; break }
                    line = substr(line, end + 2); inside = 0
                } else if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\//)) {
                    out = out substr(line, 1, RSTART - 1)
                    token = substr(line, RSTART, RLENGTH)
                    line = substr(line, RSTART + RLENGTH)
                    if (token == "/*") { inside = 1 }
                    else if (token == "//") { line = "" }
                    else { out = out "\"\"" }
                } else { out = out line; line = "" }
            }
            print FILENAME ":" FNR ":" out
        }' "${code[@]}"
}

rule "a file has 500 lines at most" "$(awk '
    FNR > 500 && !seen[FILENAME]++ { print FILENAME " has more" }' "${code[@]}" "${scripts[@]}")"

rule "a function has 70 lines at most" "$(awk '
    FNR == 1 { start = 0 }
    /^\{/ { start = FNR }
    /^\}/ { if (start && FNR - start + 1 > 70) { print FILENAME ":" start ": " FNR - start + 1 }
            start = 0 }' "${code[@]}" "${scripts[@]}")"

rule "a line has 100 columns at most" "$(
    LC_ALL=C.UTF-8 grep -nE '^.{101,}' "${code[@]}" "${scripts[@]}" | cut -c1-80 || true)"

rule "no tabs, no blanks at the end of a line" "$(
    grep -nP '\t|[ ]+$' "${code[@]}" "${scripts[@]}" | cut -c1-100 || true)"

bare=$(bare_code)
banned='(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets'
banned+='|atoi|atol|atoll|atof|strtok|rand|srand)'
rule "banned calls: use snprintf, memcpy with a checked size, strtoul, ring/core/prng.h" "$(
    grep -E "(^|[^a-zA-Z0-9_])$banned *\(" <<<"$bare" | cut -c1-120 || true)"
rule "no // comments" "$(
    grep -nP '^([^"]|"([^"\\]|\\.)*")*?(?<!:)//' "${code[@]}" | cut -c1-120 || true)"

words='TO''DO|FIX''ME|XX''X|HA''CK|for n''ow|place''holder|not impl''emented|unimpl''emented'
rule "banned words: finish it or file an issue" "$(
    grep -nE "(^|[^A-Za-z0-9_])($words)([^A-Za-z0-9_]|$)" "${text[@]}" | cut -c1-120 || true)"

rule "no paths of one machine" "$(
    grep -nE '(^|[^A-Za-z0-9_.}])/(work|root|home)/' "${text[@]}" | cut -c1-120 || true)"

# includes FILES-REGEX ALLOWED-REGEX: the quoted includes outside the allowed folders.
includes()
{
    local list
    mapfile -t list < <(pick "$1")
    if [ ${#list[@]} -gt 0 ] && [ -n "${list[0]}" ]; then
        grep -HnE '^ *# *include +"' "${list[@]}" | grep -vE "include +\"$2" || true
    fi
}

rule "ring/core includes only ring/core" "$(includes '^ring/core/.*\.[ch]$' 'ring/core/')"
rule "ring/net includes only ring" "$(includes '^ring/net/.*\.[ch]$' 'ring/')"
rule "node includes only ring, node and witness" "$(
    includes '^node/.*\.[ch]$' '(ring|node|witness)/')"
rule "client includes only ring and client" "$(
    includes '^client/.*\.[ch]$' '((ring|client)/|signet(_ring)?\.h)' |
        grep -v '^client/examples/' || true)"
shell='node/(http|log|option|prom_text|ready_file|version)\.h' # signet_shell.
rule "witness includes only ring, witness and the node's shell" "$(
    includes '^witness/.*\.[ch]$' "((ring|witness)/|$shell)")"
rule "bench includes neither tests nor witness" "$(
    includes '^bench/.*\.[ch]$' '(ring|node|client|bench)/')"
# Every .c file is in its folder's list, so that no file is dead.
dead=""
while read -r name; do
    if [ -z "$name" ]; then continue; fi
    top=${name%%/*}
    rest=${name#*/}
    if ! grep -qE "(^|[ (])${rest//./\\.}([ )]|$)" "$top/CMakeLists.txt" 2>/dev/null; then
        kind=$(basename "$rest" .c) # Tests are listed by name: sgn_unit_test(test_key ...).
        if ! grep -qE "\(${kind}[ )]|^ *${kind}( |\)|$)" "$top/CMakeLists.txt" 2>/dev/null; then
            dead+="$name"$'\n'
        fi
    fi
done < <(pick '^(ring|node|client|witness|bench|tests)/.*\.c$')
rule "every .c file is listed in its folder's CMakeLists.txt" "${dead%$'\n'}"

rule "a header has a guard named after it" "$(
    while read -r name; do
        if [ -z "$name" ]; then continue; fi
        stem=$(basename "$name" .h | tr 'a-z.-' 'A-Z__')
        if ! grep -qE "^#ifndef SGN_([A-Z_]+_)?${stem}_H$|^#ifndef ${stem}_H$" "$name"; then
            printf '%s\n' "$name"
        fi
    done < <(pick '\.h$'))"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
