#!/usr/bin/env bash
# Installs what the make targets need on Debian or Ubuntu, by purpose:
#
#	scripts/install-deps.sh [build|demo|test|bench|vm|image|e2e]...    (none: all)
#
# It asks for programs, not for packages: what is there, from wherever, stays as
# it is, and nothing is said. Only what is missing is installed with apt-get.
set -euo pipefail

# program:package
build="git:git update-ca-certificates:ca-certificates"
demo="mkfs.btrfs:btrfs-progs"
test="gcc:gcc tmux:tmux mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs mount:mount losetup:mount prometheus:prometheus promtool:prometheus"
bench="mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs mount:mount losetup:mount"
vm="linux.uml:user-mode-linux mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs gcc:gcc"
image="buildah:buildah busybox:busybox-static"
e2e="containerd:containerd runc:runc busybox:busybox-static ip:iproute2 openssl:openssl mkfs.btrfs:btrfs-progs sysctl:procps mount:mount losetup:mount promtool:prometheus"

say() { echo "install-deps: $*" >&2; }

# Programs for root lie in directories that a user's PATH may not name.
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin

[ $# -gt 0 ] || set -- build demo test bench vm image e2e
wanted=$build
for purpose in "$@"; do
	case $purpose in
	build) ;;
	demo) wanted+=" $demo" ;;
	test) wanted+=" $test" ;;
	bench) wanted+=" $bench" ;;
	vm) wanted+=" $vm" ;;
	image) wanted+=" $image" ;;
	e2e) wanted+=" $e2e" ;;
	*) say "no such purpose: $purpose (build, demo, test, bench, vm, image, e2e)"; exit 2 ;;
	esac
done

command -v go >/dev/null || {
	say "Go is missing. Install the version that go.mod names, or a later one: https://go.dev/dl/"
	exit 1
}

packages=()
for pair in $wanted; do
	command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
# The race detector, and a shim for the virtual machine, need the C library's headers,
# which gcc alone lacks.
case " $* " in *" test "* | *" vm "*)
	[ -e /usr/include/stdlib.h ] || packages+=(libc6-dev) ;;
esac
# Plugins are no programs on anybody's PATH.
case " $* " in *" e2e "*)
	[ -x /usr/lib/cni/bridge ] || packages+=(containernetworking-plugins) ;;
esac
[ ${#packages[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
	say "please install by hand (this is not Debian or Ubuntu): ${packages[*]}"
	exit 1
}
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { say "needs root to install: ${packages[*]}"; exit 1; }
	sudo=(sudo)
fi

say "installing ${packages[*]}"
install() {
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be fresh enough; they are fetched only if they are not.
if ! install >"$log" 2>&1; then
	"${sudo[@]}" apt-get update -qq >>"$log" 2>&1 || true
	install >>"$log" 2>&1 || { cat "$log" >&2; say "could not install ${packages[*]}"; exit 1; }
fi
