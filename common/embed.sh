#!/bin/sh
# embed.sh HEADER ARRAY ROW FILE... - print a C file that holds the bytes of each file.
#
# HEADER declares ARRAY ("const struct migration migrations[]"), which gets a ROW for each file, in
# order, and one of zeros. In a ROW, BYTES is the file's text with a NUL after it, LEN its length,
# HASH the beginning of its SHA-256, PATH its path below the first folder, STEM its name without the
# ending, NUMBER what STEM begins with, without leading zeros.
set -eu
header=$1 array=$2 row=$3
shift 3

printf '#include "%s"\n\n' "$header"
i=0
for file in "$@"; do
    printf 'static const char bytes_%d[] = {\n' "$i"
    od -An -v -tx1 "$file" | sed 's/ \([0-9a-f][0-9a-f]\)/(char)0x\1,/g'
    printf '0};\n\n'
    i=$((i + 1))
done
printf '%s = {\n' "$array"
i=0
for file in "$@"; do
    name=${file##*/}
    stem=${name%.*}
    number=$(printf '%s' "$stem" | sed 's/^0*\([0-9]*\).*/\1/')
    hash=$(sha256sum <"$file" | cut -c 1-16)
    printf '    %s,\n' "$row" | sed "s|BYTES|bytes_$i|; s|LEN|sizeof(bytes_$i) - 1|; s|HASH|$hash|
        s|PATH|${file#*/}|; s|STEM|$stem|; s|NUMBER|$number|"
    i=$((i + 1))
done
printf '    {0},\n};\n'
