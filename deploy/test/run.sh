#!/bin/bash
# run.sh [ARGS of pytest] - run integration tests in a container against a Kafka and a Postgres in
# containers; ends with their exit status and removes all that it made, also when it is interrupted.
# Without ARGS those that suit servers that are not the tests' own (docs/deploy.md).
#
# Environment: IMAGES, TAG (the image is built unless NO_BUILD is set), COMPOSE_PROJECT_NAME.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
export IMAGES=${IMAGES:-sitewatch} TAG=${TAG:-latest}

if [ $# -eq 0 ]; then
    for name in pipeline consumer dead_letters partitions rollups sites_topic api; do
        set -- "$@" "tests/integration/test_$name.py"
    done
fi
[ -n "${NO_BUILD-}" ] || make --no-print-directory -C ../.. image-test || exit 1

trap ./cleanup.sh EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
docker compose run --rm -T tests "$@"
