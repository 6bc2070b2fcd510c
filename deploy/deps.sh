#!/bin/bash
# deps.sh build|image|demo|container-test|test|bench|deb - install, with apt-get, what that task needs and this machine lacks.
# Debian 12 and 13. Prints one line: the packages, or that there is nothing to install.
set -euo pipefail

build=(gcc libc6-dev make pkg-config git libcurl4-openssl-dev librdkafka-dev libpq-dev
    libpcre2-dev libcjson-dev libconfig-dev libmicrohttpd-dev libc-ares-dev libssl-dev uthash-dev
    libsqlite3-dev libsodium-dev zlib1g-dev libsystemd-dev libgoogle-perftools-dev)
image=(ca-certificates)
demo=(postgresql procps openssl ca-certificates curl)
# For tests that find a Kafka and a Postgres running.
container_test=(python3 python3-pytest python3-psycopg2 python3-confluent-kafka openssl)
# maven brings a Java runtime, which the tests' Kafka runs on.
test=(libcmocka-dev clang clang-tidy llvm cppcheck shellcheck mandoc gcovr python3
    python3-pytest python3-psycopg2 python3-confluent-kafka maven prometheus python3-pyte
    python3-venv systemd chromium iproute2 util-linux patch)
deb=(build-essential debhelper libcmocka-dev python3 lintian)
# Go is not among them: the peers need a newer one than Debian 12 has.
bench=(python3 python3-psycopg2 python3-confluent-kafka maven iproute2 util-linux wrk)

case ${1-} in
build) wanted=("${build[@]}") ;;
image) wanted=("${build[@]}" "${image[@]}") ;;
container-test) wanted=("${container_test[@]}") ;;
demo) wanted=("${build[@]}" "${demo[@]}") ;;
bench) wanted=("${build[@]}" "${demo[@]}" "${bench[@]}") ;;
deb) wanted=("${build[@]}" "${deb[@]}") ;;
test)
    wanted=("${build[@]}" "${demo[@]}" "${test[@]}")
    # Debian 12 names the sanitizer runtimes of clang by version only.
    # shellcheck disable=SC1091
    case $(. /etc/os-release && echo "${VERSION_ID-}") in
    12) wanted+=(libclang-rt-14-dev) ;;
    *) wanted+=(libclang-rt-dev) ;;
    esac
    # Any node from 18 on will do, also one that is not Debian's.
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
    ;;
*)
    echo "usage: deploy/deps.sh build|image|demo|container-test|test|bench|deb" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is not Debian; needed are: ${wanted[*]}" >&2
    exit 1
fi

installed=$(dpkg-query -W -f='${db:Status-Status} ${binary:Package}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/^installed \([^:]*\).*/\1/p') || true
missing=()
for package in "${wanted[@]}"; do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
# Any packaged Postgres server will do, also without the package that names the newest one.
if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    missing=("${missing[@]/#postgresql/}")
fi
read -r -a missing <<<"${missing[*]-}" || true

if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: nothing to install"
    exit 0
fi
echo "deps: installing ${missing[*]}"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: needs root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

log=$(mktemp)
clusters=/etc/postgresql-common/createcluster.conf
kept=
policy=/usr/sbin/policy-rc.d
denied=
finish() {
    [ -z "$kept" ] || "${as_root[@]}" mv "$kept" "$clusters"
    [ -z "$denied" ] || "${as_root[@]}" rm -f "$policy"
    rm -f "$log"
}
trap finish EXIT

apt() {
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 "$@" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "deps: apt-get $1 failed" >&2
        exit 1
    fi
}

apt update
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    # The demo and the tests run a private Postgres; the package shall not start one of its own.
    # What the administrator had set is put back afterwards.
    apt install -y --no-install-recommends postgresql-common
    "${as_root[@]}" cp -p "$clusters" "$clusters.sitewatch"
    kept=$clusters.sitewatch
    "${as_root[@]}" sed -i \
        's/^[ #]*create_main_cluster.*/create_main_cluster = false/' "$clusters"
fi
if [[ " ${missing[*]} " == *" prometheus "* ]]; then
    # The tests run one of their own; that of the package starts neither now nor at the next boot.
    if [ ! -e "$policy" ]; then
        denied=yes
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    apt install -y --no-install-recommends prometheus
    "${as_root[@]}" update-rc.d prometheus disable >"$log" 2>&1 ||
        echo "deps: prometheus may start at the next boot: $(tail -n 1 "$log")" >&2
fi
apt install -y --no-install-recommends "${missing[@]}"
