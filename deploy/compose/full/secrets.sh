#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the secrets of compose.yaml in secrets/, each once: what is there stays. The key of Prometheus is made by the image, so
# build that first; $SPLEETERD is a program to make it with instead.
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

# The S3 server has a key of its own, the service another one that opens its bucket alone. They were one in earlier releases.
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
# Compose binds these files into containers, whose users are others than this one and must be able to read them. Nobody else on this host
# can enter the folder.
#
# The service accepts a secret from root or from its own user alone, so the files become root's.
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
