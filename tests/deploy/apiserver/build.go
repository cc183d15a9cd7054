// SPDX-License-Identifier: MIT

// Package apiserver has no code. It imports the program that install.sh builds, so that go.mod and
// go.sum fix the versions.
package apiserver

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
