#!/usr/bin/env bash
# Builds Kubernetes (tests/e2e/kube: one binary) and the CSI sidecars (tests/e2e/sidecars, whose own
# client libraries are newer) into a cache directory, unless they are there. Cold that takes 5 to 8 minutes on two cores, and 650 MB of modules.
#
# It prints the path of that binary.
#
# All with the same tags: with others, whatever imports gRPC would be compiled again.
set -euo pipefail
. "$(dirname "$0")/env.sh"
[ ! -e "$BIN/done" ] || { echo "$KUBE"; exit 0; }
cd "$root/tests/e2e/kube"
export CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
p=k8s.io/component-base/version
flags="-s -w -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$(echo "$version" | cut -d. -f2)"
flags+=" -X $p.gitTreeState=clean -X $p.buildDate=2026-01-01T00:00:00Z"
echo "building Kubernetes $version and the CSI sidecars into $BIN: minutes, once" >&2
mkdir -p "$BIN"
go build -tags grpcnotrace -ldflags "$flags" -o "$BIN/kube" .
cd "$root/tests/e2e/sidecars"
sidecars=(external-provisioner/v6/cmd/csi-provisioner external-resizer/v2/cmd/csi-resizer
	external-snapshotter/v8/cmd/csi-snapshotter external-snapshotter/v8/cmd/snapshot-controller)
go build -tags grpcnotrace -ldflags "-s -w" -o "$BIN/" "${sidecars[@]/#/github.com/kubernetes-csi/}"
touch "$BIN/done"
echo "$KUBE"
