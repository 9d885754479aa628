#!/usr/bin/env bash
# tests/purity.sh BUILD - proves that the core touches nothing: every symbol that libsignet_core.a
# asks for and does not define itself must be in the short list below.
set -euo pipefail
archive=$1/ring/libsignet_core.a
if [ ! -f "$archive" ]; then
    printf '%s does not exist\n' "$archive"
    exit 1
fi

# Copying and comparing bytes, the program's own assertion hook, and what compilers add by
# themselves.
allowed='^(memcpy|memmove|memset|memcmp|strlen|sgn_check_failed'
allowed+='|__(memcpy|memmove|memset|memcmp)_chk|__stack_chk_fail|__popcountdi2'
allowed+='|_GLOBAL_OFFSET_TABLE_'
allowed+='|__(asan|ubsan|tsan|sanitizer|sancov|llvm_prof|llvm_cov'
allowed+='|start___sancov|stop___sancov)_.*)$'

defined=$(nm --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort -u)
asked=$(nm -u "$archive" | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u)
outside=$(comm -13 <(printf '%s\n' "$defined") <(printf '%s\n' "$asked"))
forbidden=$(grep -vE "$allowed" <<<"$outside" || true)

if [ -z "$defined" ]; then
    printf '%s defines nothing: the test would prove nothing\n' "$archive"
    exit 1
fi
if [ -n "$forbidden" ]; then
    printf 'ring/core must not ask for:\n'
    while read -r symbol; do
        printf '  %s, in %s\n' "$symbol" "$(nm -uA "$archive" | awk -v s="$symbol" \
            '$NF == s { split($1, part, ":"); printf "%s ", part[2] }')"
    done <<<"$forbidden"
    exit 1
fi
printf 'the core defines %d symbols and asks for %d from outside, all allowed\n' \
    "$(wc -l <<<"$defined")" "$(grep -c . <<<"$outside" || true)"
