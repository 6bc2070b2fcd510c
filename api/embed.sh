#!/bin/sh
# Print a C file with the bytes of each file given: api/schemas.json api/web/docs.js ...
set -eu
printf '#include "api/assets.h"\n\n'
i=0
for file in "$@"; do
    printf 'static const char bytes_%d[] = {\n' "$i"
    od -An -v -tx1 "$file" | sed 's/ \([0-9a-f][0-9a-f]\)/(char)0x\1,/g'
    printf '0};\n\n'
    i=$((i + 1))
done
printf 'const struct asset assets[] = {\n'
i=0
for file in "$@"; do
    printf '    {"%s", bytes_%d, sizeof(bytes_%d) - 1},\n' "${file#api/}" "$i" "$i"
    i=$((i + 1))
done
printf '    {0, 0, 0},\n};\n'
