#!/usr/bin/env bash
# tests/format.sh [--fix] - every C file is laid out as .clang-format says; --fix makes it so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mode=(--dry-run -Werror)
if [ "${1:-}" = --fix ]; then
    mode=(-i)
fi
find ring node client witness bench tests -name '*.[ch]' -print0 |
    xargs -0r clang-format "${mode[@]}"
