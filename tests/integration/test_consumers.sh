#!/usr/bin/env bash
# Installs the client library into an empty folder and builds against it as others would:
# pkg-config, pkg-config with the static archive, CMake, C++17; runs what was built; and compares
# what the shared library exports with what the headers declare.
# Usage: test_consumers.sh BUILD_DIR
set -euo pipefail

build=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "test_consumers: $*" >&2; exit 1; }

prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" --component client >"$work/install.log" ||
    { cat "$work/install.log"; fail "the installation failed"; }
libdir=$(dirname "$(find "$prefix" -name signet.pc)")/..
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir

# A sanitized library needs sanitized programs, by the same compiler.
sanitize=$(sed -n 's/^SGN_SANITIZE:[A-Z]*=//p' "$build/CMakeCache.txt")
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
case $cc in *clang*) cxx=clang++ ;; *) cxx=g++ ;; esac
if grep -q '^SGN_COVERAGE:BOOL=ON' "$build/CMakeCache.txt"; then
    extra=-fprofile-instr-generate
else
    extra=${sanitize:+-fsanitize=$sanitize}
fi
strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror $extra"

# 1. Exported symbols: exactly the functions of signet.h and signet_ring.h.
nm -D --defined-only "$libdir/libsignet.so" | awk '$2 ~ /^[TDBRVW]$/ {print $3}' |
    grep -v '^SIGNET_' | sed 's/@.*//' | { if [ -n "$extra" ]; then grep '^sgn_'; else cat; fi; } |
    sort -u >"$work/exported"
grep -ho '^SGN_API [^(]*(' "$prefix/include/signet.h" "$prefix/include/signet_ring.h" |
    sed 's/($//; s/.*[ *]//' |
    sort -u >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 60 ] || fail "signet.h was not understood"
diff -u "$work/declared" "$work/exported" || fail "exports differ from signet.h"

# 2. No project header but the three is needed or installed.
[ "$(find "$prefix/include" -type f | wc -l)" = 3 ] || fail "more than the public headers installed"

# 3. pkg-config, shared and static; every example.
for example in "$source"/client/examples/*.c; do
    name=$(basename "$example" .c)
    # shellcheck disable=SC2046,SC2086
    "$cc" -std=c11 -D_GNU_SOURCE $strict "$example" -o "$work/$name" \
        $(pkg-config --cflags --libs signet) -levent_core -pthread || fail "$name (pkg-config)"
done
# shellcheck disable=SC2046,SC2086
"$cc" -std=c11 $strict "$source/client/examples/sync.c" -o "$work/sync_static" \
    $(pkg-config --cflags signet) "$libdir/libsignet.a" \
    $(pkg-config --static --libs signet | sed 's/-lsignet//') || fail "sync (static)"

# 4. CMake.
mkdir "$work/cmake"
cat >"$work/cmake/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(signet 0.1 REQUIRED)
add_executable(sync_cmake $source/client/examples/sync.c)
target_link_libraries(sync_cmake signet::client)
add_executable(sync_cmake_static $source/client/examples/sync.c)
target_link_libraries(sync_cmake_static signet::client_static)
END
if ! { cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$extra" >"$work/cmake.log" 2>&1 &&
    cmake --build "$work/cmake/build" >>"$work/cmake.log" 2>&1; }; then
    cat "$work/cmake.log"
    fail "the CMake consumer"
fi

# 5. C++17.
cat >"$work/consumer.cc" <<END
#include <signet.h>
#include <signet_libevent.h>
#include <cstdio>
int main()
{
    sgn_options *options = sgn_options_create();
    sgn_client *client = nullptr;
    if (sgn_options_set(options, "seeds", "127.0.0.1:1") != SGN_OK ||
        sgn_client_create(&client, options) != SGN_OK) {
        return 1;
    }
    sgn_request *request = sgn_request_create(client);
    sgn_request_get(request, sgn_text("default"), sgn_text("k"));
    int err = sgn_request_run(request);
    std::printf("%s\n", sgn_err_name(err));
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    return err == SGN_ERR_UNAVAILABLE && sgn_version_number() == SGN_VERSION_NUMBER ? 0 : 1;
}
END
# shellcheck disable=SC2046,SC2086
"$cxx" -std=c++17 $strict "$work/consumer.cc" -o "$work/consumer_cc" \
    $(pkg-config --cflags --libs signet) -levent_core -pthread || fail "C++17"

# 6. They run: with nobody there each says so in one line and exits with 1.
"$work/consumer_cc" >/dev/null || fail "the C++ consumer ran wrongly"
export SIGNET_SEEDS=127.0.0.1:1
for program in "$work/sync" "$work/sync_static" "$work/cmake/build/sync_cmake" \
    "$work/cmake/build/sync_cmake_static" "$work/libevent_loop"; do
    status=0
    timeout 20 "$program" >/dev/null 2>"$work/err" || status=$?
    if [ "$status" != 1 ] || ! grep -q '127.0.0.1:1' "$work/err"; then
        cat "$work/err"
        fail "$program ended with $status"
    fi
done
SIGNET_TIMEOUT_MS=soon "$work/sync" 2>"$work/err" && fail "a bad option was taken"
grep -q SIGNET_TIMEOUT_MS "$work/err" || fail "a bad option was not named"

echo "test_consumers: 5 ways to build, 8 programs, $(wc -l <"$work/exported") exported functions"
