#!/bin/bash
# check.sh - hold the files here against OpenTofu (TOFU names another program, as terraform): the
# format; the provider's schema (validate); and what would be made (tests/), for which no account and
# no cloud is needed. Where the provider cannot be installed, that is said, the format alone is
# checked, and the exit status is 3.
set -euo pipefail
cd "$(dirname "$0")"

tofu=${TOFU:-tofu}
command -v "$tofu" >/dev/null || { echo "check: there is no $tofu" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r ./*.tf ./*.tfvars tests "$work"

"$tofu" fmt -check -diff -recursive .
cd "$work"
if ! "$tofu" init -backend=false -input=false -no-color >init.log 2>&1; then
    tail -n 20 init.log >&2
    echo "check: the format is right; the rest was not checked, as the provider cannot be installed" >&2
    exit 3
fi
"$tofu" validate -no-color
"$tofu" test -no-color
for vars in staging production; do
    "$tofu" test -no-color -var-file="$vars.tfvars" -test-directory=tests/environments
done
