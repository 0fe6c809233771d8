#!/usr/bin/env bash
# Builds the Dockerfile without a registry and without a network, and looks at what
# came out. The base image is made here, of this machine's Go, the modules that
# go.mod names, and a static busybox for the shell of RUN.
#
#	tests/image/run.sh [SOURCE]    (SOURCE: the checkout; this one by default)
#
# Everything lies in a temporary directory of its own; nothing is left behind.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

[ "$(id -u)" = 0 ] || { echo "tests/image needs root (buildah's chroot isolation)" >&2; exit 1; }
for program in go buildah busybox; do
	command -v $program >/dev/null || { echo "tests/image needs $program: scripts/install-deps.sh image" >&2; exit 1; }
done

tmp=$(mktemp -d)
export TMPDIR=$tmp
bah() { command buildah --root "$tmp/root" --runroot "$tmp/run" --storage-driver vfs "$@"; }
clean_up() {
	bah rm --all >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap clean_up EXIT

fail() { echo "FAIL: $*" >&2; exit 1; }
want() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; echo "ok: $1 is $2"; }

version=v0.0.0-image-test
revision=0123456789abcdef

echo "== base image: Go, the modules, busybox"
# From the local cache where it has them; go.sum vouches for the contents either way.
GOFLAGS=-modcacherw GOMODCACHE=$tmp/mod GOSUMDB=off \
	GOPROXY=file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY) go mod download
base=$(bah from scratch)
bah copy --quiet "$base" "$(command -v busybox)" /bin/sh >/dev/null
mkdir "$tmp/tmp"
bah copy --quiet --chmod 1777 "$base" "$tmp/tmp" /tmp >/dev/null
for dir in bin pkg src; do # what compiling takes of GOROOT
	bah copy --quiet "$base" "$(go env GOROOT)/$dir" "/usr/local/go/$dir" >/dev/null
done
bah copy --quiet "$base" "$(go env GOROOT)/go.env" /usr/local/go/go.env >/dev/null
bah copy --quiet "$base" "$(go env GOROOT)/VERSION" /usr/local/go/VERSION >/dev/null
bah copy --quiet "$base" "$tmp/mod" /go/pkg/mod >/dev/null
bah config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go --env GOPROXY=off --env GOTOOLCHAIN=local \
	--env GOSUMDB=off --env GOCACHE=/go/cache "$base"
bah commit --quiet --rm "$base" go-local >/dev/null
rm -rf "$tmp/mod"

host=linux/$(go env GOHOSTARCH)
build() { # platform, tag
	# BUILDPLATFORM: older buildahs do not set it by themselves.
	# What this machine has compiled before need not be compiled again.
	bah bud --quiet --isolation chroot --pull-never --layers=false --platform "$1" \
		--volume "$(go env GOCACHE):/go/cache" \
		--build-arg BUILDPLATFORM="$host" \
		--build-arg GO_IMAGE=localhost/go-local --build-arg VERSION=$version --build-arg REVISION=$revision \
		--tag "$2" . >/dev/null
}
label() { bah inspect --type image --format "{{index .OCIv1.Config.Labels \"org.opencontainers.image.$2\"}}" "$1"; }

echo "== Dockerfile, for $host"
build "$host" hostpath-csi
want "label title" "$(label hostpath-csi title)" hostpath-csi
want "label licenses" "$(label hostpath-csi licenses)" Apache-2.0
want "label version" "$(label hostpath-csi version)" $version
want "label revision" "$(label hostpath-csi revision)" $revision
want "entrypoint" "$(bah inspect --type image --format '{{.OCIv1.Config.Entrypoint}}' hostpath-csi)" "[/hostpath-csi]"

container=$(bah from --pull-never localhost/hostpath-csi)
for user in 0:0 65532:65532; do
	told=$(bah run --isolation chroot --user $user "$container" -- /hostpath-csi version)
	[[ $told == *"$version"* ]] || fail "hostpath-csi version, as user $user, tells '$told', not $version"
	echo "ok: hostpath-csi version, as user $user, tells: $told"
done
# Directories made for RUN by buildah (dev, etc, proc, sys, run) are no files of the image.
files=$(cd "$(bah mount "$(bah from --pull-never localhost/hostpath-csi)")" && find . -type f | sort | tr '\n' ' ')
want "the list of its files" "$files" "./LICENSE ./hostpath-csi "

case $host in linux/amd64) other=arm64 elf=b7 ;; *) other=amd64 elf=3e ;; esac
echo "== Dockerfile, for linux/$other"
build "linux/$other" hostpath-csi-other
want "architecture" "$(bah inspect --type image --format '{{.OCIv1.Architecture}}' hostpath-csi-other)" $other
binary=$(bah mount "$(bah from --pull-never localhost/hostpath-csi-other)")/hostpath-csi
want "the binary's ELF machine" "$(od -An -tx1 -j18 -N1 "$binary" | tr -d ' ')" $elf
