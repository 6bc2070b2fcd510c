#!/bin/bash
# packages.sh [--strict] PROGRAM... - the Debian packages of the libraries that the programs load, held
# against what Debian knows of vulnerabilities:
#
# - apt: a newer version in the suite for security updates, which is not installed.
# - debsecan, where it is installed and reaches Debian's security tracker: vulnerabilities that a
#   version in the archive mends.
#
# What could not be asked is said, and is no finding. The libraries are the machine's, not ours, so a
# finding is shown and ends in exit status 1 only with --strict.
set -euo pipefail

tracker_seconds=60
lists_days_max=7
lists=${APT_LISTS:-/var/lib/apt/lists}
strict=
if [ "${1-}" = --strict ]; then
    strict=yes
    shift
fi

found=0
finding() {
    echo "packages: $1"
    found=$((found + 1))
}

# A library's file may be listed under /lib, which is a link to /usr/lib.
mapfile -t libraries < <(ldd "$@" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u)
mapfile -t packages < <(dpkg-query -S "${libraries[@]}" "${libraries[@]#/usr}" "${libraries[@]/#\/lib//usr/lib}" 2>/dev/null | sed 's/:.*//' | sort -u)
if [ ${#packages[@]} -eq 0 ]; then
    echo "packages: no library of a package is loaded" >&2
    exit 1
fi
ours=$(printf '%s\n' "${packages[@]}")

if [ -z "$(find "$lists" -maxdepth 1 -name '*-security_*InRelease' -mtime "-$lists_days_max" 2>/dev/null)" ]; then
    echo "packages: security updates were not looked for: no lists of apt, or they are over $lists_days_max days old"
else
    while read -r name installed newest; do
        if grep -qxF "$name" <<<"$ours"; then
            finding "$name $installed: a security update is not installed, $newest"
        fi
    done < <(apt-get -s -o Debug::NoLocking=1 dist-upgrade 2>/dev/null |
        sed -n 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\) .*-[Ss]ecurity.*/\1 \2 \3/p')
fi

if ! command -v debsecan >/dev/null; then
    echo "packages: vulnerabilities were not looked for: there is no debsecan"
else
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    if report=$(timeout "$tracker_seconds" debsecan --suite "$suite" --only-fixed 2>/dev/null); then
        while read -r vulnerability name _; do
            if [ -n "$name" ] && grep -qxF "$name" <<<"$ours"; then
                finding "$name: $vulnerability is mended in Debian's archive"
            fi
        done <<<"$report"
    else
        echo "packages: vulnerabilities were not looked for: Debian's security tracker does not answer"
    fi
fi

echo "packages: ${#packages[@]} with libraries that are loaded, $found findings"
[ -z "$strict" ] || [ "$found" -eq 0 ]
