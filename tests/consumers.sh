#!/usr/bin/env bash
# tests/consumers.sh BUILD - installs the build into a folder of its own and builds programs against
# what lies there, as an application would: by pkg-config, by CMake (shared and static), from C++.
# Also: the shared library exports exactly what its header declares.
set -euo pipefail
build=$(realpath "${1:?the build folder}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
passed=0
failed=0

try() # try WHAT COMMAND...: one test.
{
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok: %s\n' "$what"
    else
        failed=$((failed + 1))
        printf 'NOT ok: %s\n' "$what"
        tail -n 20 "$work/log"
    fi
}

try "cmake --install" cmake --install "$build" --prefix "$prefix"
library=$(dirname "$(find "$prefix" -name libsignet.a)")
export PKG_CONFIG_PATH=$library/pkgconfig
export LD_LIBRARY_PATH=$library
# The prefix in signet.pc is the configured one; the folder it lies in tells the real one.
flags=(--define-variable=prefix="$prefix")

cat >"$work/app.c" <<'END'
#include <signet.h>
#include <stdio.h>

int main(void)
{
    return puts(sgn_err_text(SGN_OK)) < 0;
}
END
cp "$work/app.c" "$work/app.cc"

by_pkg_config()
{
    local -a options
    read -ra options < <(pkg-config "${flags[@]}" --cflags --libs signet)
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$work/app.c" "${options[@]}" -o "$work/by-pc"
    "$work/by-pc"
}

from_cxx()
{
    local -a options
    read -ra options < <(pkg-config "${flags[@]}" --cflags --libs signet)
    c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror "$work/app.cc" "${options[@]}" -o "$work/by-cxx"
    "$work/by-cxx"
}

by_cmake()
{
    mkdir -p "$work/cmake"
    cat >"$work/cmake/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(signet 0.1 REQUIRED)
foreach(kind client client_static)
    add_executable(app_${kind} ../app.c)
    target_link_libraries(app_${kind} signet::${kind})
endforeach()
END
    cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" &&
        cmake --build "$work/cmake/build" && "$work/cmake/build/app_client" &&
        "$work/cmake/build/app_client_static"
}

# The names that the header declares as functions, against those the library lets out.
exports_the_header()
{
    diff <(grep -oE '\bsgn_[a-z0-9_]+ *\(' "$prefix/include/signet.h" | tr -d ' (' |
        grep -vE '_(fn|cb)$' | sort -u) \
        <(nm -D --defined-only "$library/libsignet.so" | awk '$2 == "T" { sub(/@.*/, "", $3)
            print $3 }' | sort -u)
}

try "a program by pkg-config" by_pkg_config
try "a program in C++" from_cxx
try "programs by CMake, shared and static" by_cmake
try "the library exports what its header declares" exports_the_header
for example in client/examples/*.c; do
    try "$(basename "$example") builds against the installed library" bash -c \
        "cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror '$example' \
        $(pkg-config "${flags[@]}" --cflags --libs signet) -levent_core -o '$work/example'"
done
for name in signet-node kv-cli kv-bench; do
    try "$name runs from where it was installed" "$prefix/bin/$name" --version
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
