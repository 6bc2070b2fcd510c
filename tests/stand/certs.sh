#!/bin/bash
# certs.sh DIR - make the certificates that the TLS tests need: a CA, and leaf certificates for
# localhost and 127.0.0.1 to 127.0.0.4. Each NAME is NAME.pem and NAME.key, all PEM.
#
#   ca          the authority
#   good        what a site should have, a year left
#   soon        ends in three days
#   expired     ended yesterday
#   wrong-host  for other.example
#   kafka-host, postgres-host
#               for hosts of these names
#   self-signed signed by itself
#   other-ca    an authority that nobody trusts
#   untrusted   signed by other-ca
#   client      a client's, signed by the CA
#   client-old  the same, ended yesterday
#   client-odd  a client's, signed by other-ca
set -euo pipefail
dir=${1:?usage: certs.sh DIR}
mkdir -p "$dir"
cd "$dir"

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null
}

authority() { # NAME SUBJECT
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 3650 -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

day() { # when, as `date -d` reads it
    date -u -d "$1" +%Y%m%d%H%M%SZ
}

# `openssl ca` is the one command of OpenSSL 3.0 that takes an end in the past.
leaf() { # NAME AUTHORITY ALT-NAMES USAGE START END
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    cat >"$1.cnf" <<END
[ca]
default_ca = default
[default]
new_certs_dir = .
database = $1.index
rand_serial = yes
default_md = sha256
policy = policy
x509_extensions = leaf
[policy]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectAltName = $3
extendedKeyUsage = $4
END
    : >"$1.index"
    openssl ca -batch -notext -config "$1.cnf" -cert "$2.pem" -keyfile "$2.key" \
        -startdate "$(day "$5")" -enddate "$(day "$6")" -in "$1.csr" -out "$1.pem" 2>"$1.log" ||
        { cat "$1.log" >&2; exit 1; }
}

here=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,IP:127.0.0.4,IP:::1
authority ca "Test authority"
authority other-ca "Other authority"
leaf good ca "$here" serverAuth '1 day ago' '365 days'
leaf soon ca "$here" serverAuth '1 day ago' '3 days'
leaf expired ca "$here" serverAuth '30 days ago' '1 day ago'
leaf wrong-host ca DNS:other.example serverAuth '1 day ago' '365 days'
leaf untrusted other-ca "$here" serverAuth '1 day ago' '365 days'
leaf kafka-host ca DNS:kafka serverAuth '1 day ago' '365 days'
leaf postgres-host ca DNS:postgres serverAuth '1 day ago' '365 days'
leaf client ca email:client@other.example clientAuth '1 day ago' '365 days'
leaf client-old ca email:client@other.example clientAuth '30 days ago' '1 day ago'
leaf client-odd other-ca email:client@other.example clientAuth '1 day ago' '365 days'
key self-signed
openssl req -x509 -new -key self-signed.key -subj /CN=localhost -days 365 -out self-signed.pem \
    -addext "subjectAltName=$here"
rm -f ./*.csr ./*.cnf ./*.index* ./*.log ./[0-9A-F]*.pem
chmod 644 ./*.pem ./*.key
