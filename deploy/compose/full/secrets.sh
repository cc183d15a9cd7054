#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the secrets of compose.yaml in secrets/, each once: what is there stays. The key of Prometheus is made by the image, so
# build that first; $SPLEETERD is a program to make it with instead.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

made() { [ -s "$1" ] || openssl rand -hex 24 | tr -d '\n' >"$1"; }
for name in database-password secret api-key grafana-password; do
    made "$name"
done
printf 'postgresql://spleeterd:%s@database/spleeterd' "$(cat database-password)" >database-url
if [ ! -s s3.env ]; then
    id=$(openssl rand -hex 10)
    key=$(openssl rand -hex 24)
    printf '%s=%s\n' ROOT_ACCESS_KEY "$id" ROOT_SECRET_KEY "$key" \
        SPLEETER_S3_ACCESS_KEY_ID "$id" SPLEETER_S3_SECRET_ACCESS_KEY "$key" >s3.env
fi
if [ ! -s metrics-key ]; then
    if [ -n "${SPLEETERD:-}" ]; then
        SPLEETER_DATA_DIR=$PWD "$SPLEETERD" keys add prometheus --role metrics >metrics-key
    else
        docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/keys" -e SPLEETER_DATA_DIR=/keys spleeterd keys add prometheus --role metrics >metrics-key
    fi
fi
# Compose binds these files into containers that run as other users; who may enter this folder is what keeps them.
chmod 0444 database-password database-url secret api-key grafana-password metrics-key keys.json
chmod 0711 .
