// SPDX-License-Identifier: MIT

// Package apiserver has no code: it names what install.sh builds, so that go.mod and go.sum fix its versions.
package apiserver

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
