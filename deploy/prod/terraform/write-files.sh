#!/bin/bash
# write-files.sh DIRECTORY - write what `tofu apply` made: DIRECTORY/.env, and in DIRECTORY/certificates
# the files that it names. All are readable by their owner alone. TOFU names another program, as terraform.
set -euo pipefail

directory=${1:?usage: write-files.sh DIRECTORY}
directory=$(cd "$directory" && pwd)
cd "$(dirname "$0")"

umask 077
mkdir -p "$directory/certificates/kafka" "$directory/certificates/postgres"
# Into a file beside it first: a failure leaves the old one.
write() {
    "${TOFU:-tofu}" output -raw "$1" >"$directory/$2.new"
    mv "$directory/$2.new" "$directory/$2"
    echo "$directory/$2"
}
write env .env
write kafka_ca certificates/kafka/ca.pem
write kafka_cert certificates/kafka/service.cert
write kafka_key certificates/kafka/service.key
write postgres_ca certificates/postgres/ca.pem
