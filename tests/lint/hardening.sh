#!/bin/bash
# hardening.sh PROGRAM... - look in ELF files for what compiler and linker were asked to do against
# exploits; a line for each that is missing.
set -euo pipefail

status=0
missing() {
    echo "$program: no $1" >&2
    status=1
}

for program in "$@"; do
    header=$(readelf -hW "$program")
    segments=$(readelf -lW "$program")
    dynamic=$(readelf -dW "$program")
    symbols=$(readelf --dyn-syms -W "$program")

    grep -qE '^ *Type: +DYN ' <<<"$header" || missing "position independence (-fPIE -pie)"
    grep -qE '^ *GNU_RELRO ' <<<"$segments" || missing "read-only relocations (-z relro)"
    grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || missing "binding at the start (-z now)"
    grep -qE '^ *GNU_STACK .* RW  *0x' <<<"$segments" || missing "stack that is not executable (-z noexecstack)"
    grep -q '__stack_chk_fail' <<<"$symbols" || missing "stack protector (-fstack-protector-strong)"
    grep -qE '__[a-z]+_chk(@|$)' <<<"$symbols" || missing "checked string functions (-D_FORTIFY_SOURCE)"
    if grep -qE 'RPATH|RUNPATH' <<<"$dynamic"; then
        echo "$program: has a path of its own to libraries (rpath)" >&2
        status=1
    fi
done
exit "$status"
