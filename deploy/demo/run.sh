#!/usr/bin/env bash
#
# The demo: sites, a Kafka broker and a Postgres of its own, a producer, a consumer and the api with
# its dashboard, all on loopback and in one temporary directory; then a table of the sites, drawn
# anew each second.
# Ctrl-C ends it all. See docs/demo.md. `make demo` builds the programs and runs this.
#
# Environment:
#   BUILD           where the programs were built (build)
#   URL, PATTERN    check this site instead of the local ones
#   DEMO_SECONDS    end by itself after so many seconds; exit 0 only if each site has rows

set -u -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-build}
[[ $build == /* ]] || build=$root/$build
url=${URL:-}
pattern=${PATTERN:-}
seconds=${DEMO_SECONDS:-}

start_seconds_max=60 # for any one part to get ready
stop_seconds_max=25  # for any one part to end before it is killed
plain_every=5        # seconds between two tables where the screen cannot be redrawn

dir=
broker=
dsn=
dashboard=
token=
postgres_bin=
as_postgres=()  # options of setpriv
names=()        # what was started, in order
declare -A pids # of what was started
on_screen=0     # the table is redrawn in place, in colour
screen_taken=0  # the cursor is hidden

# Between the columns of table.sql: not white space, so that read keeps an empty column.
separator=$'\x1f'

# What else is set for the user's own programs must not reach these.
environment=(env -i "PATH=$PATH" "HOME=${HOME:-/}" "TMPDIR=${TMPDIR:-/tmp}")

say() {
    printf 'demo: %s\n' "$*"
}

# fail MESSAGE [LOG...]: one line, the end of the logs, and out; the EXIT trap cleans up.
fail() {
    local message=$1 log
    shift
    screen_release
    printf 'demo: %s\n' "$message" >&2
    for log in "$@"; do
        printf -- '--- the end of the log of %s:\n' "$log" >&2
        tail -n 20 "$dir/log/$log" >&2
    done
    exit 1
}

# The seconds since the machine started, whole: no clock that is set can move it.
uptime_s() {
    local up
    read -r up _ </proc/uptime
    printf '%s' "${up%%.*}"
}

is_running() {
    kill -0 "$1" 2>/dev/null
}

# What makes a part end. On TERM Postgres would wait for its clients.
end_signal() {
    if [[ $1 == postgres ]]; then
        printf 'INT'
    else
        printf 'TERM'
    fi
}

# start NAME COMMAND...: in the background, with its output in a log. It has a session of its own,
# so that a Ctrl-C reaches this script alone, and ends when this script dies.
start() {
    local name=$1 options=()
    shift
    [[ $name != postgres ]] || options=("${as_postgres[@]}")
    setsid setpriv --pdeathsig "$(end_signal "$name")" "${options[@]}" "${environment[@]}" "$@" \
        </dev/null >"$dir/log/$name" 2>&1 &
    names+=("$name")
    pids[$name]=$!
}

stop() {
    local name=$1 pid=${pids[$1]:-} deadline
    [[ -n $pid ]] || return 0
    deadline=$(($(uptime_s) + stop_seconds_max))
    kill -s "$(end_signal "$name")" "$pid" 2>/dev/null
    while is_running "$pid" && (($(uptime_s) < deadline)); do
        sleep 0.05
    done
    if is_running "$pid"; then
        printf 'demo: %s did not end in %d s and was killed\n' "$name" "$stop_seconds_max" >&2
        kill -KILL "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null
    unset "pids[$name]"
}

# Last started, first stopped: nothing loses what it is connected to before its own end.
stop_all() {
    local i
    for ((i = ${#names[@]} - 1; i >= 0; i--)); do
        stop "${names[i]}"
    done
}

clean_up() {
    local code=$?
    trap '' INT TERM HUP PIPE
    trap - EXIT
    screen_release
    stop_all
    if [[ -n $dir ]]; then
        cd / && rm -rf "$dir"
        say "stopped; $dir is removed"
    fi
    exit "$code"
}

# run NAME MESSAGE COMMAND...: to its end, with its output in a log; failing with MESSAGE.
run() {
    local name=$1 message=$2
    shift 2
    "${environment[@]}" "$@" </dev/null >"$dir/log/$name" 2>&1 || fail "$message" "$name"
}

# await NAME COMMAND...: until COMMAND succeeds. It fails at once when NAME has ended.
await() {
    local name=$1 deadline
    shift
    deadline=$(($(uptime_s) + start_seconds_max))
    until "$@" >/dev/null 2>&1; do
        is_running "${pids[$name]}" || fail "$name ended before it was ready" "$name"
        (($(uptime_s) < deadline)) || fail "$name is not ready after $start_seconds_max s" "$name"
        sleep 0.1
    done
}

check_programs() {
    local program
    for program in "$build"/bin/{producer,consumer,api} "$build"/deploy/demo/broker \
        "$build"/tests/stand/sited; do
        [[ -x $program ]] || fail "no program $program: run make demo"
    done
    for program in setsid setpriv; do
        command -v "$program" >/dev/null || fail "no program $program: install util-linux"
    done
    postgres_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    if [[ ! -x $postgres_bin/initdb ]]; then
        postgres_bin=$(dirname "$(command -v initdb || echo /nowhere/initdb)")
    fi
    [[ -x $postgres_bin/initdb ]] || fail "no Postgres: install the package postgresql"
}

check_request() {
    if [[ -n $seconds && ! $seconds =~ ^[1-9][0-9]{0,5}$ ]]; then
        fail "SECONDS=$seconds is not a number of seconds in 1..999999"
    fi
    [[ -z $pattern || -n $url ]] || fail "PATTERN is given without URL"
}

# Postgres refuses to run as root; it then runs as a user without rights of its own.
choose_postgres_user() {
    local user=postgres
    ((EUID == 0)) || return 0
    id "$user" >/dev/null 2>&1 || user=nobody
    as_postgres=(--reuid="$user" --regid="$(id -g "$user")" --clear-groups)
    chown "$user" "$dir/postgres"
}

psql_run() {
    "${environment[@]}" "$postgres_bin"/psql -X -q -h "$dir/postgres" -p 5432 -U postgres "$@"
}

# A cluster that nothing but its socket leads to, and that need not outlive the machine.
start_postgres() {
    mkdir -m 700 "$dir/postgres"
    choose_postgres_user
    run initdb "cannot make a Postgres cluster" setpriv --pdeathsig KILL "${as_postgres[@]}" \
        "$postgres_bin"/initdb -D "$dir/postgres/data" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 --no-sync
    start postgres "$postgres_bin"/postgres -D "$dir/postgres/data" -p 5432 \
        -c listen_addresses= -c "unix_socket_directories=$dir/postgres" -c fsync=off \
        -c shared_buffers=32MB -c max_connections=30
    await postgres psql_run -d postgres -c 'SELECT 1'
}

start_broker() {
    start broker "$build"/deploy/demo/broker --port-file "$dir/broker.port"
    await broker test -s "$dir/broker.port"
    broker=$(<"$dir/broker.port")
}

# A libconfig string.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

user_target() {
    local host=${url#*://}
    host=${host%%[/?#]*}
    printf 'targets = (\n  { name = %s; url = %s; seconds = 5;' "$(quoted "${host##*@}")" \
        "$(quoted "$url")"
    [[ -z $pattern ]] || printf ' pattern = %s;' "$(quoted "$pattern")"
    printf ' }\n);\n'
}

local_targets() {
    local at=http://127.0.0.1:$1
    cat <<END
targets = (
  { name = "shop";   url = "$at/ok?shop";    seconds = 1; pattern = "v=(\\\\d+)"; },
  { name = "blog";   url = "$at/ok?blog";    seconds = 2; },
  { name = "slow";   url = "$at/slow/300";   seconds = 2; slow_ms = 200; },
  { name = "broken"; url = "$at/status/500"; seconds = 1; }
);
END
}

start_sites() {
    if [[ -n $url ]]; then
        user_target >"$dir/targets.conf"
    else
        start sites "$build"/tests/stand/sited --port 0
        await sites grep -q '^port=' "$dir/log/sites"
        local_targets "$(sed -n 's/^port=//p' "$dir/log/sites")" >"$dir/targets.conf"
    fi
    run targets "the sites cannot be checked" "$build"/bin/producer --check-config \
        --targets-file "$dir/targets.conf"
}

partitions_claimed() {
    local claimed
    claimed=$(psql_run -d sitewatch -At -c 'SELECT count(*) FROM kafka_offsets') || return 1
    ((claimed >= 8))
}

start_consumer() {
    dsn="host=$dir/postgres port=5432 user=postgres dbname=sitewatch"
    start consumer POSTGRES_DSN="$dsn" KAFKA_BOOTSTRAP_SERVERS="$broker" \
        "$build"/bin/consumer --listen 127.0.0.1:0 --drain-seconds 5
    await consumer partitions_claimed
    run seed "cannot put the sites into the database" POSTGRES_DSN="$dsn" \
        "$build"/bin/consumer seed "$dir/targets.conf"
}

start_producer() {
    start producer KAFKA_BOOTSTRAP_SERVERS="$broker" "$build"/bin/producer \
        --targets-file "$dir/targets.conf" --listen 127.0.0.1:0 --drain-seconds 5
}

# Where a program shows its metrics, which it says when it starts.
admin_address() {
    sed -n 's/.*msg="admin endpoint".* address=\([^ ]*\).*/\1/p' "$dir/log/$1" | head -n 1
}

start_api() {
    run token "cannot make a token" POSTGRES_DSN="$dsn" "$build"/bin/api token create \
        --owner demo --scope write
    token=$(grep -o '^sw_.*' "$dir/log/token")
    await producer grep -q 'msg="admin endpoint"' "$dir/log/producer"
    start api POSTGRES_DSN="$dsn" "$build"/bin/api --listen 127.0.0.1:0 \
        --api-programs "$(admin_address consumer),$(admin_address producer)"
    await api grep -q 'msg=serving' "$dir/log/api"
    dashboard=http://127.0.0.1:$(sed -n 's/.*msg=serving.* port=\([0-9]*\).*/\1/p' "$dir/log/api")/
    printf 'Authorization: Bearer %s\n' "$token" >"$dir/authorization"
}

# Sites that were added, changed or deleted in the dashboard reach the producer. The topic of the
# sites would do that, but this broker cannot say that a topic is compacted, and so is refused.
follow_sites() {
    curl --fail --silent --max-time 2 --header @"$dir/authorization" --output "$dir/sites.new" \
        "${dashboard}websites/export?format=libconfig" || return 0
    cmp -s "$dir/sites.new" "$dir/targets.conf" && return 0
    mv "$dir/sites.new" "$dir/targets.conf"
    kill -HUP "${pids[producer]}"
}

screen_take() {
    if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
        on_screen=1
        screen_taken=1
        printf '\e[?25l\e[?7l\e[2J' # no cursor, long lines cut, empty
    fi
}

screen_release() {
    if ((screen_taken)); then
        printf '\e[?25h\e[?7h'
        screen_taken=0
    fi
}

# One line a site: what table.sql makes, the bar as letters.
site_rows() {
    psql_run -d sitewatch -At -F "$separator" -f "$root/deploy/demo/table.sql"
}

# The bar's letters u, d, x, ? as what is shown; each is told apart without its colour.
bar_shown() {
    local bar=$1 green='' yellow='' red='' gray='' off=''
    if ((on_screen)); then
        green=$'\e[32m' yellow=$'\e[33m' red=$'\e[31m' gray=$'\e[90m' off=$'\e[0m'
    fi
    bar=${bar//u/$green▇$off}
    bar=${bar//d/$yellow▅$off}
    bar=${bar//x/${red}x$off}
    bar=${bar//\?/$gray?$off}
    printf '%s' "$bar"
}

table() {
    local rows name status code ms bar stored error address total=0 pad
    rows=$(site_rows 2>>"$dir/log/table") || fail "cannot read the table of checks" table postgres
    printf '%-16s %-9s %4s %7s  %-20s %7s  %-16s %s\n' \
        SITE STATUS HTTP MS 'LAST 20 CHECKS' STORED 'LAST ERROR' URL
    while IFS=$separator read -r name status code ms bar stored error address; do
        # printf pads by bytes in some locales, and the bar has colours: the spaces are ours.
        printf -v pad '%*s' $((20 - ${#bar})) ''
        printf '%-16.16s %-9s %4s %7s  %s%s %7s  %-16s %s\n' "$name" "$status" "$code" "$ms" \
            "$(bar_shown "$bar")" "$pad" "$stored" "$error" "$address"
        total=$((total + stored))
    done <<<"$rows"
    printf '\n▇ up  ▅ degraded  x down  ? unknown, oldest first    rows stored: %d\n' "$total"
    printf 'dashboard: %s    token: %s\n' "$dashboard" "$token"
    printf 'look at them: psql -h %s -U postgres sitewatch -c "TABLE monitoring_data"\n' \
        "$dir/postgres"
}

draw() {
    local text
    text=$(table) || exit 1
    if ((on_screen)); then
        # Each line erases what is left of the one before, so that nothing flickers.
        printf '\e[H%s\e[K\n\e[J' "${text//$'\n'/$'\e[K\n'}"
        printf 'Ctrl-C ends the demo and removes %s\e[K\n' "$dir"
    else
        printf '%s\n\n' "$text"
    fi
}

check_alive() {
    local name
    for name in "${names[@]}"; do
        is_running "${pids[$name]}" || fail "$name ended" "$name"
    done
}

show() {
    local began now next follow=0 every=1 limit=${seconds:-$((1 << 40))}
    screen_take
    ((on_screen)) || every=$plain_every
    began=$(uptime_s)
    next=$began
    while now=$(uptime_s) && ((now - began < limit)); do
        check_alive
        if ((now >= follow)); then
            follow_sites
            follow=$((now + 1))
        fi
        if ((now >= next)); then
            draw
            next=$((now + every))
        fi
        sleep 0.1
    done
    draw
    screen_release
}

# With DEMO_SECONDS: a site without rows is a failure.
judge() {
    local missing
    missing=$(site_rows | awk -F "$separator" '$6 == 0 { printf "%s%s", sep, $1; sep = ", " }')
    [[ -z $missing ]] || fail "no rows of: $missing" "${names[@]}"
    say "rows of every site were stored"
}

main() {
    check_request
    check_programs
    trap clean_up EXIT
    trap 'exit 0' INT TERM HUP
    umask 077
    dir=$(mktemp -d "${TMPDIR:-/tmp}/sitewatch-demo.XXXXXX") || fail "cannot make a directory"
    chmod 711 "$dir" # Postgres's user has to pass
    mkdir "$dir/log"
    cd "$dir" || fail "cannot enter $dir"

    say "everything is in $dir"
    say "starting Postgres"
    start_postgres
    say "starting the broker"
    start_broker
    start_sites
    say "starting the consumer"
    start_consumer
    say "starting the producer"
    start_producer
    say "starting the api"
    start_api
    say "the dashboard is at $dashboard, and its token is $token"
    show
    judge
}

main
