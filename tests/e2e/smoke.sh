#!/usr/bin/env bash
# The cluster by itself, before any driver: up, three nodes Ready, a StatefulSet of three Running on three
# nodes, a command in each pod, a power cut of one node and its return; down, with nothing left behind.
set -euo pipefail
. "$(dirname "$0")/cluster/env.sh"
end() {
	status=$?
	trap - EXIT
	if [ $status != 0 ] && [ -e "$RUN/pids" ]; then
		kubectl get nodes,pods,events -A -o wide >"$RUN/log/objects.txt" 2>&1 || true
		echo "failed; all logs are in $RUN/log" >&2
	fi
	"$HERE/down.sh" || status=1
	exit $status
}
trap end EXIT
"$HERE/up.sh"
kubectl apply -f "$root/tests/e2e/smoke.yaml"
kubectl rollout status statefulset/smoke --timeout=180s
nodes=$(kubectl get pods -l app=smoke -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u | wc -l)
[ "$nodes" = 3 ] || { echo "3 pods lie on $nodes nodes instead of 3" >&2; exit 1; }
for i in 0 1 2; do
	host=$(kubectl exec "smoke-$i" -- hostname)
	[ "$host" = "smoke-$i" ] || { echo "the host name in smoke-$i is $host" >&2; exit 1; }
done
# Each node has a btrfs of its own, for a pool whose limits hold.
for i in 1 2 3; do
	type=$("$HERE/node.sh" exec "$i" findmnt -rno FSTYPE /var/lib/hostpath-csi/btrfs)
	[ "$type" = btrfs ] || { echo "n$i has a pool on $type instead of btrfs" >&2; exit 1; }
	"$HERE/node.sh" exec "$i" sh -c "echo n$i >/var/lib/hostpath-csi/btrfs/name && sync -f /var/lib/hostpath-csi/btrfs/name"
done
"$HERE/node.sh" kill 2
kubectl wait --for=condition=Ready=Unknown node/n2 --timeout=120s
"$HERE/node.sh" start 2
kubectl wait --for=condition=Ready node/n2 --timeout=120s
name=$("$HERE/node.sh" exec 2 cat /var/lib/hostpath-csi/btrfs/name)
[ "$name" = n2 ] || { echo "the btrfs of n2 holds the file of $name" >&2; exit 1; }
echo "the cluster works"
