#!/bin/sh
# Print a C file with the text of each migration given, in order: 0001_name.sql ...
set -eu
printf '#include "consumer/migrate.h"\n\n'
i=0
for file in "$@"; do
    printf 'static const char sql_%d[] = {\n' "$i"
    od -An -v -tx1 "$file" | sed 's/ \([0-9a-f][0-9a-f]\)/(char)0x\1,/g'
    printf '0};\n\n'
    i=$((i + 1))
done
printf 'const struct migration migrations[] = {\n'
i=0
for file in "$@"; do
    name=$(basename "$file" .sql)
    version=$(printf '%s' "$name" | sed 's/^0*\([0-9]*\)_.*/\1/')
    printf '    {%s, "%s", sql_%d},\n' "$version" "$name" "$i"
    i=$((i + 1))
done
printf '    {0, 0, 0},\n};\n'
