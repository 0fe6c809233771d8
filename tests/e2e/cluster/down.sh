#!/usr/bin/env bash
# Ends the cluster, by process ID, and takes all of it from the machine but out/e2e/log.
# It says what it could not remove, and fails then.
set -uo pipefail
. "$(dirname "$0")/env.sh"
for anchor in "$RUN"/pids/n*.anchor; do
	[ -f "$anchor" ] || continue
	name=$(basename "$anchor" .anchor)
	"$HERE/node.sh" kill "${name#n}" &
done
wait
pids=()
for name in snapshot-controller scheduler controller-manager apiserver etcd; do
	[ ! -f "$RUN/pids/$name" ] || pids+=("$(cat "$RUN/pids/$name")")
done
if [ ${#pids[@]} -gt 0 ]; then
	kill "${pids[@]}" 2>/dev/null
	for _ in $(seq 50); do
		kill -0 "${pids[@]}" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "${pids[@]}" 2>/dev/null
fi
[ ! -e "/run/netns/$NETNS" ] || ip netns delete "$NETNS"
[ ! -f "$RUN/sysctls" ] || sysctl -q -p "$RUN/sysctls"
# What is busy for a moment longer is waited for: a loop device goes with its last mount.
left() {
	losetup --noheadings --output NAME,BACK-FILE | grep -F "$RUN/"
	grep -F " $RUN/" /proc/self/mountinfo
	find /sys/fs/cgroup -maxdepth 2 -name "$CGROUP-*"
	[ ! -e "/run/netns/$NETNS" ] || echo "/run/netns/$NETNS"
}
for _ in $(seq 50); do
	found=$(left)
	[ -n "$found" ] || break
	sleep 0.2
done
[ -z "$found" ] || { printf 'the cluster leaves this behind:\n%s\n' "$found" >&2; exit 1; }
[ ! -d "$RUN" ] || find "$RUN" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} +
