#!/bin/bash
# check.sh - build the package in a clean Debian 12 and a clean Debian 13, hold lintian against it, and
# in another clean one install it, run its units under systemd, and purge it. Needs a docker as root:
# systemd in a container mounts. SUITES names fewer; DOCKER_ARGS is given to each `docker run`, e.g.
# --network host where containers have no network of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."

read -r -a suites <<<"${SUITES:-bookworm trixie}"
read -r -a docker_args <<<"${DOCKER_ARGS-}"
docker info >/dev/null 2>&1 || { echo "deb-check: no docker answers" >&2; exit 2; }

tree=$(deploy/debian/build.sh source)
out=$PWD/build/deb
container=
cleanup() {
    [ -z "$container" ] || docker rm -f "$container" >/dev/null
}
trap cleanup EXIT

for suite in "${suites[@]}"; do
    image=debian:$suite-slim
    started=$SECONDS
    mkdir -p "$out/$suite"
    docker run --rm "${docker_args[@]}" -v "$PWD/$tree:/src:ro" -v "$out/$suite:/out" "$image" \
        bash /src/debian/check/build.sh >"$out/$suite/build.log" 2>&1 || {
        tail -n 40 "$out/$suite/build.log" >&2
        echo "deb-check: $suite: the package does not build, or lintian refuses it" >&2
        exit 1
    }
    built=$SECONDS
    # What systemd and its sandboxes need to mount, and to see other processes.
    container=$(docker run -d --cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add NET_ADMIN \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
        --cgroupns=private --tmpfs /run --tmpfs /tmp -e container=docker "${docker_args[@]}" \
        -v "$PWD/$tree:/src:ro" -v "$out/$suite:/out:ro" "$image" bash /src/debian/check/boot.sh)
    docker exec "$container" bash /src/debian/check/install.sh >"$out/$suite/install.log" 2>&1 || {
        tail -n 40 "$out/$suite/install.log" >&2
        echo "deb-check: $suite: the installed package is not as it should be" >&2
        exit 1
    }
    docker rm -f "$container" >/dev/null
    container=
    grep '^ok' "$out/$suite/install.log" | sed "s/^/$suite: /"
    echo "$suite: $(cd "$out/$suite" && echo ./*.deb), built in $((built - started)) s, tried in $((SECONDS - built)) s"
done
