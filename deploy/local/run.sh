#!/bin/bash
# run.sh - build the images, start the local stack, wait until checks are stored and the api answers,
# and say where it is. Running it again takes up what has changed. cleanup.sh removes it all.
#
# Environment: IMAGES, TAG (which images; they are built unless NO_BUILD is set), SITES (another targets
# file), and what .env sets.
set -euo pipefail
cd "$(dirname "$0")"
seconds_max=90
export IMAGES=${IMAGES:-sitewatch} TAG=${TAG:-latest}

[ -n "${NO_BUILD-}" ] || make --no-print-directory -C ../.. images
started=$SECONDS

docker compose run --rm --quiet-pull migrate
# shellcheck disable=SC2016 # they are the container's variables
docker compose exec -T postgres sh -c \
    'psql -X -q -v ON_ERROR_STOP=1 -v "password=$API_PASSWORD" -U "$POSTGRES_USER" -d sitewatch' <<'SQL'
SELECT 'CREATE ROLE sitewatch_web LOGIN IN ROLE sitewatch_api'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sitewatch_web') \gexec
ALTER ROLE sitewatch_web PASSWORD :'password';
SQL
# The api serves others than itself only once there is a token. This one is made once; a database
# that was removed has none, whatever .token says.
has_token() {
    [ -s .token ] && docker compose run --rm --no-deps -T api token list 2>/dev/null |
        grep -E ' (valid|until) ' >/dev/null
}
if ! has_token; then
    rm -f .token
    (umask 077 && docker compose run --rm --no-deps -T api token create --owner local --scope write \
        >.token 2>/dev/null) || { rm -f .token; echo "run.sh: no token was made" >&2; exit 1; }
fi
docker compose up --detach --remove-orphans

# shellcheck disable=SC2016 # they are the container's variables
count() {
    docker compose exec -T postgres sh -c \
        'psql -X -At -U "$POSTGRES_USER" -d sitewatch -c "SELECT count(*) FROM checks"' 2>/dev/null
}
until rows=$(count) && [ "${rows:-0}" -gt 0 ] &&
    docker compose exec -T api /usr/bin/api --health >/dev/null 2>&1; do
    if [ $((SECONDS - started)) -ge "$seconds_max" ]; then
        docker compose ps --all
        docker compose logs --tail 20
        echo "run.sh: no checks stored, or no api, after $seconds_max s" >&2
        exit 1
    fi
    sleep 1
done
address=$(docker compose port api 8080)
echo "running after $((SECONDS - started)) s, $rows checks stored"
echo "dashboard and API: http://$address/ (description: http://$address/docs)"
echo "token: $(pwd)/.token"
