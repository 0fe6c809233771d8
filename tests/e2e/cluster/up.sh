#!/usr/bin/env bash
# Brings the cluster up: etcd and the control plane in a network namespace of their own, then
# NODES (3) nodes. Nothing of the host's network is touched. Logs: out/e2e/log. down.sh ends it.
set -euo pipefail
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || { echo "a cluster makes namespaces and mounts, and needs root" >&2; exit 1; }
[ -d /sys/fs/cgroup/cpuset ] || { echo "the nodes of this cluster need the cgroup v1 controllers in /sys/fs/cgroup" >&2; exit 1; }
[ ! -e "$RUN/pids" ] && [ ! -e "/run/netns/$NETNS" ] || { echo "a cluster is up already: make cluster-down" >&2; exit 1; }
"$HERE/build.sh" >/dev/null
rm -rf "$RUN"
mkdir -p "$RUN"/{log,pids,images}
say() { printf '%4d s  %s\n' $SECONDS "$*"; }
# The kubelet sets these for the whole machine; down.sh puts them back.
sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops \
	kernel.keys.root_maxkeys kernel.keys.root_maxbytes >"$RUN/sysctls"
"$HERE/certs.sh"

ip netns add "$NETNS"
ip -n "$NETNS" link set lo up
# A fixed address: a bridge otherwise takes the lowest of its ports, and when that node goes, the others lose it.
ip -n "$NETNS" link add "$BR" address 02:00:0a:58:00:01 type bridge
ip -n "$NETNS" address add "$NET.1/24" dev "$BR"
ip -n "$NETNS" address add "$SVC/32" dev "$BR"
ip -n "$NETNS" link set "$BR" up
in_network sysctl -qw net.ipv4.ip_forward=1

P=$RUN/pki
start etcd "$KUBE" etcd --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
	--initial-cluster default=http://127.0.0.1:2380
"$HERE/apiserver.sh"
say "the API server is ready"
"$HERE/controller-manager.sh"
start scheduler "$KUBE" kube-scheduler --kubeconfig="$RUN/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 \
	--authentication-kubeconfig="$RUN/scheduler.kubeconfig" --authorization-kubeconfig="$RUN/scheduler.kubeconfig"

"$HERE/image.sh" hostpath-csi.test/pause:1 "$RUN/images/pause.tar" '["/bin/busybox","sleep","infinity"]'
"$HERE/image.sh" docker.io/library/busybox:1.37.0 "$RUN/images/busybox.tar" '["/bin/sh"]'
jobs=()
for i in $(seq "$NODES"); do
	"$HERE/node.sh" start "$i" &
	jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
for i in $(seq "$NODES"); do
	kubectl wait --for=create "node/n$i" --timeout=180s >/dev/null
	kubectl wait --for=condition=Ready "node/n$i" --timeout=180s >/dev/null
done
say "$NODES nodes are Ready"
kubectl wait --for=create serviceaccount/default --timeout=60s >/dev/null
