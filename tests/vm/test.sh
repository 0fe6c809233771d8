#!/usr/bin/env bash
# Runs the tests of project quota, as root, in a virtual machine whose kernel has it:
#
#	tests/vm/test.sh [argument of go test]...
#
# They are behind the build tag quotavm, so that they are not run anywhere else. What
# is missing is installed (Debian, Ubuntu). The exit code is that of go test; a virtual
# machine that does not come up, or dies, fails the test that was to run in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin

[ "$(id -u)" = 0 ] || { echo "tests/vm/test.sh mounts filesystems and needs root" >&2; exit 1; }

scripts/install-deps.sh vm

vm=$(mktemp -d)
trap 'rm -rf "$vm"' EXIT
CGO_ENABLED=0 go build -o "$vm/vmrun" ./tests/vm/run
go test -count=1 -tags quotavm "$@" ./tests/vm/run # that a dead machine is noticed
# Each package has a virtual machine of one processor and 2 GiB to itself, two at a time.
# Without -race: the machine's address space has 39 bits, of which the race detector needs 47.
CGO_ENABLED=0 go build -o "$vm/hostpath-csi" ./cmd/hostpath-csi
HOSTPATH_CSI_TEST_BINARY=$vm/hostpath-csi \
	go test -count=1 -p 2 -timeout 20m -tags quotavm -exec "$vm/vmrun --" "$@" ./pkg/quota ./pkg/backend/projectquota ./tests/limits
