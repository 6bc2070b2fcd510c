#!/bin/sh
# Build the programs that bench/probe measures beside ours, at the versions named here, into a
# folder: build/peers, or $PEERS. Needs Go; what is there already is kept. Their modules come
# through Go's own proxy and are checked against the checksums that each of them ships (go.sum).
#
#     bench/peers.sh [telegraf] [blackbox_exporter]        (default: both)
set -eu

TELEGRAF=v1.37.2
BLACKBOX=v0.27.0
# Only what the benches of probing and of storing use: a full Telegraf takes ten times as long to
# build, and runs the same code.
TELEGRAF_TAGS=custom,inputs.http_response,inputs.kafka_consumer,outputs.file,outputs.kafka
TELEGRAF_TAGS=$TELEGRAF_TAGS,outputs.postgresql,parsers.json_v2,serializers.json

root=$(cd "$(dirname "$0")/.." && pwd)
peers=${PEERS:-$root/build/peers}
mkdir -p "$peers"

# build NAME MODULE VERSION PACKAGE [FLAG...]
build() {
    name=$1 module=$2 version=$3 package=$4
    shift 4
    if [ "$(cat "$peers/$name.version" 2>/dev/null)" = "$version" ]; then
        return
    fi
    echo "building $module $version" >&2
    go mod download "$module@$version"
    source=$(go list -m -f '{{.Dir}}' "$module@$version")
    (cd "$source" && CGO_ENABLED=0 nice go build -mod=readonly -buildvcs=false -p 2 "$@" \
        -o "$peers/$name" "$package")
    echo "$version" >"$peers/$name.version"
}

for peer in "${@:-all}"; do
    case $peer in
    telegraf | all)
        build telegraf github.com/influxdata/telegraf "$TELEGRAF" ./cmd/telegraf \
            -tags "$TELEGRAF_TAGS"
        ;;
    esac
    case $peer in
    blackbox_exporter | all)
        build blackbox_exporter github.com/prometheus/blackbox_exporter "$BLACKBOX" .
        ;;
    telegraf) ;;
    *)
        echo "peers.sh: no such peer: $peer" >&2
        exit 2
        ;;
    esac
done
