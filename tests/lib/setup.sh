# shellcheck shell=bash
# tests/lib/setup.sh - what ./check and ./demo share: packages, builds, clock. Sourced from the root
# of the tree by scripts that run under "set -euo pipefail".

say() { printf '%s\n' "$*"; }

die()
{
    printf '%s\n' "$*" >&2
    exit 1
}

# seconds_since START: whole seconds with one decimal since START, which now_ms gave.
now_ms() { date +%s%3N; }

seconds_since()
{
    local spent=$(($(now_ms) - $1))
    printf '%d.%d' $((spent / 1000)) $((spent % 1000 / 100))
}

# as_root COMMAND...: runs it as root, directly or by sudo; fails where neither is possible.
as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# install_missing PROFILES LOG: installs what debian/control lists under these build profiles and
# the machine lacks. Asks nobody and, when nothing lacks, calls no apt.
install_missing()
{
    local profiles=$1 log=$2
    local missing="the build tools of debian/control"
    if command -v dpkg-checkbuilddeps >/dev/null; then
        if missing=$(dpkg-checkbuilddeps -P "$profiles" debian/control 2>&1); then
            return 0
        fi
        missing=${missing##*dependencies: }
    fi
    if ! command -v apt-get >/dev/null; then
        die "Signet builds on Debian 12 and this machine has no apt-get; install by hand: $missing"
    fi
    say "installing: $missing"
    mkdir -p "$(dirname "$log")"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "Packages are missing and need root or sudo to install. As root: apt-get update &&" \
            "apt-get build-dep --no-install-recommends -P $profiles ./"
    fi
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get build-dep -y \
            --no-install-recommends -P "$profiles" ./ >>"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        die "The packages could not be installed (the whole log: $log). Missing: $missing"
    fi
}

# build PRESET LOG [TARGET...]: configures and builds; output goes to the log.
build()
{
    local preset=$1 log=$2
    shift 2
    local targets=()
    if [ $# -gt 0 ]; then
        targets=(--target "$@")
    fi
    mkdir -p "$(dirname "$log")"
    cmake --preset "$preset" >"$log" 2>&1 &&
        cmake --build --preset "$preset" "${targets[@]}" -- -k 0 >>"$log" 2>&1
}
