# Settings that the scripts of the cluster share; each reads this file first.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin
HERE=$root/tests/e2e/cluster
RUN=$root/out/e2e             # all that the cluster writes; logs in log/
NODES=${NODES:-3}
NETNS=hostpath-csi-e2e        # the control plane and the bridge live in here
BR=br0
NET=10.88.0                   # the bridge is .1, node i is .(10+i)
SVC=10.96.0.1                 # the address of the Service "kubernetes": on the bridge, so no kube-proxy is needed
API=https://$SVC:443
POD=10.244                    # node i's pods: 10.244.i.0/24
CGROUP=hostpath-csi-e2e       # node i's cgroup: this name, a dash and its own
# What is built is kept outside of the checkout, by all that goes into it: a fresh clone need not build again.
BIN=${XDG_CACHE_HOME:-$HOME/.cache}/hostpath-csi/kube-$(cat "$root"/tests/e2e/kube/{go.mod,go.sum,main.go} "$root"/tests/e2e/sidecars/{go.mod,go.sum} "$HERE/build.sh" | sha256sum | cut -c1-16)
KUBE=$BIN/kube
in_network() { nsenter --net="/run/netns/$NETNS" -- "$@"; }
kubectl() { KUBECONFIG="$RUN/admin.kubeconfig" in_network "$KUBE" kubectl "$@"; }
stop() { # NAME: ends what start has started, if anything
	local pid
	pid=$(cat "$RUN/pids/$1" 2>/dev/null) || return 0
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
	rm "$RUN/pids/$1"
}
start() { # NAME COMMAND...: in the control plane's network. nsenter and setsid exec what follows, so that $! is the daemon itself
	local name=$1
	shift
	# A control plane keeps gigabytes, and collects its garbage seldom. This one keeps little, and would do so all the time.
	GOGC=400 setsid nsenter --net="/run/netns/$NETNS" -- "$@" >>"$RUN/log/$name.log" 2>&1 </dev/null &
	echo $! >"$RUN/pids/$name"
}
