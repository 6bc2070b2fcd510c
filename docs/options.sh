#!/bin/sh
# Put each program's options, as it prints them itself, into its man page and into
# docs/settings.md. With --check change nothing, and fail when a page is not in step.
#
#   sh docs/options.sh [--check] DIRECTORY-OF-THE-PROGRAMS
set -eu

check=no
if [ "$1" = --check ]; then
    check=yes
    shift
fi
bin=$1
new=$(mktemp)
trap 'rm -f "$new"' EXIT
out_of_step=0

# between FILE BEGIN END < TEXT: FILE with what is between the two lines replaced by TEXT
between() {
    begin=$2 end=$3 awk '
        FNR == NR { text = text $0 "\n"; next }
        $0 == ENVIRON["begin"] { print; printf "%s", text; skip = 1; found = 1; next }
        $0 == ENVIRON["end"] { skip = 0 }
        !skip { print }
        END { if (!found) { print "no line " ENVIRON["begin"] > "/dev/stderr"; exit 1 } }' - "$1"
}

# put FILE: compare with, or replace by, $new
put() {
    if [ $check = yes ]; then
        if ! diff -u "$1" "$new"; then
            echo "$1 is not in step with the program: run make docs-options" >&2
            out_of_step=1
        fi
    else
        cat "$new" >"$1"
    fi
}

for program in producer consumer api; do
    "$bin/$program" --print-mdoc |
        between "man/$program.1" '.\" options of the program' '.\" end of options' >"$new"
    put "man/$program.1"
done
for program in producer consumer api; do
    "$bin/$program" --print-markdown |
        between docs/settings.md "<!-- options of $program -->" "<!-- end of $program -->" >"$new"
    put docs/settings.md
done
exit $out_of_step
