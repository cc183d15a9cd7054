#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs the programs that check deploy/ and .github/ and that no Debian release has, at fixed
# versions, into $SPLEETERD_TOOLS (~/.cache/spleeterd-tests/tools). Installed ones stay.
#
#     tests/deploy/install.sh               # two minutes on two CPUs the first time
#     tests/deploy/install.sh apiserver     # kube-apiserver and etcd, for test_apiserver.py: ten minutes more
#
# Needs Go 1.26 and Python's venv.
set -euo pipefail
cd "$(dirname "$0")"
tools=${SPLEETERD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/spleeterd-tests/tools}
mkdir -p "$tools"
command -v go >/dev/null || { echo "$0: Go is not installed; it builds the checkers" >&2; exit 1; }
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

# tool NAME PACKAGE VERSION: builds a Go program as NAME, unless that version is installed.
tool() {
    [ -e "$tools/$1-$3" ] && return
    echo "$0: $1 $3"
    GOBIN=$tools/aside go install -trimpath -ldflags='-s -w' "$2@$3"
    mv "$tools/aside/$(basename "$2")" "$tools/$1-$3"
    ln -sf "$1-$3" "$tools/$1"
}
tool actionlint github.com/rhysd/actionlint/cmd/actionlint v1.7.12
tool compose-go github.com/compose-spec/compose-go/v2/cmd v2.16.2
tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform v0.8.0
tool helm helm.sh/helm/v3/cmd/helm v3.22.0

if ! cmp -s requirements.txt "$tools/python/requirements.txt"; then
    echo "$0: $(tr '\n' ' ' <requirements.txt)"
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$tools/python"
fi
ln -sf python/bin/checkov python/bin/zizmor "$tools"

if [ "${1:-}" = apiserver ]; then
    version=$(sed -n 's/^require k8s.io\/kubernetes //p' apiserver/go.mod)
    if [ ! -e "$tools/kube-apiserver-$version" ]; then
        echo "$0: kube-apiserver $version"
        (cd apiserver && go build -mod=mod -trimpath -ldflags='-s -w' -o "$tools/kube-apiserver-$version" k8s.io/kubernetes/cmd/kube-apiserver)
        ln -sf "kube-apiserver-$version" "$tools/kube-apiserver"
    fi
    command -v etcd >/dev/null || ../../tools/install-packages.sh etcd-server
fi
