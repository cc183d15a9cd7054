#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the secrets of compose.yaml in secrets/ and keeps those that exist. The image makes the key of Prometheus, so build it
# first, or set $SPLEETERD to a program that makes the key.
set -eu
command -v openssl >/dev/null || { echo "$0 needs openssl to make secrets; install it" >&2; exit 1; }
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

made() { [ -s "$1" ] || openssl rand -hex 24 | tr -d '\n' >"$1"; }
for name in database-password secret api-key grafana-password; do
    made "$name"
done
rm -f database-url
printf 'postgresql://spleeterd:%s@database/spleeterd' "$(cat database-password)" >database-url

# The S3 server and the service have separate keys. The service's key opens only its bucket. Earlier releases had one key for both.
if grep -qs '^ROOT_' s3.env; then
    grep '^ROOT_' s3.env >s3-root.env
    rm s3.env
fi
account() { [ -s "$1" ] || printf '%s=%s\n' "$2" "$(openssl rand -hex 10)" "$3" "$(openssl rand -hex 24)" >"$1"; }
account s3-root.env ROOT_ACCESS_KEY ROOT_SECRET_KEY
account s3.env SPLEETER_S3_ACCESS_KEY_ID SPLEETER_S3_SECRET_ACCESS_KEY
if [ ! -s metrics-key ]; then
    if [ -n "${SPLEETERD:-}" ]; then
        SPLEETER_DATA_DIR=$PWD "$SPLEETERD" keys add prometheus --role metrics >metrics-key
    else
        docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/keys" -e SPLEETER_DATA_DIR=/keys spleeterd keys add prometheus --role metrics >metrics-key
    fi
fi
# Compose binds these files into containers, whose users must be able to read them. Other users of this host cannot enter the
# folder.
#
# The service accepts secrets only if root or its own user owns them, so root becomes the owner.
bound='database-password database-url secret api-key grafana-password metrics-key keys.json'
# shellcheck disable=SC2086
if [ "$(id -u)" = 0 ] || [ -n "${SPLEETERD:-}" ]; then
    chmod 0444 $bound
    [ "$(id -u)" != 0 ] || chown 0:0 $bound
else
    docker run --rm --user 0:0 --cap-drop ALL --cap-add CHOWN --cap-add FOWNER --cap-add DAC_OVERRIDE -v "$PWD:/secrets" -w /secrets --entrypoint /bin/sh spleeterd \
        -ec "chmod 0444 $bound && chown 0:0 $bound"
fi
chmod 0600 s3.env s3-root.env
chmod 0700 .
