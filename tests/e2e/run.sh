#!/usr/bin/env bash
# The driver in a real cluster: up, installed from deploy/, tested, down, with nothing left
# behind. Arguments go to the tests: tests/e2e/run.sh -test.run StatefulSet
# Or it is measured: tests/e2e/run.sh --bench --claims 100
#
#	KEEP=1   leaves the cluster up if a test fails
set -euo pipefail
. "$(dirname "$0")/cluster/env.sh"
end() {
	status=$?
	trap - EXIT
	if [ $status != 0 ] && [ -e "$RUN/pids" ]; then
		kubectl get nodes,pods,pvc,pv,volumesnapshots,volumesnapshotcontents,hostpath-csi,events -A -o wide >"$RUN/log/objects.txt" 2>&1 || true
		for pod in $(kubectl -n hostpath-csi get pods -o name); do
			kubectl -n hostpath-csi logs "$pod" --all-containers --prefix >"$RUN/log/${pod##*/}.log" 2>&1 || true
			# Of what was started again, what came before; that there is none is said there, too.
			kubectl -n hostpath-csi logs "$pod" --all-containers --prefix --previous >"$RUN/log/${pod##*/}.previous.log" 2>&1 || true
		done
		echo "failed; all logs are in $RUN/log" >&2
		[ -z "${KEEP:-}" ] || exit $status
	fi
	"$HERE/down.sh" || status=1
	exit $status
}
trap end EXIT
bench=
if [ "${1:-}" = --bench ]; then
	bench=1
	shift
fi
cd "$root/tests/e2e"
go test -c -o "$root/bin/e2e.test" .
if [ -n "$bench" ]; then
	go build -o "$root/bin/bench-cluster" ./bench
else
	make -C "$root" helm
fi
"$HERE/up.sh"
"$HERE/install.sh"
# The API server is reached in the cluster's own network.
tests() { in_network "$root/bin/e2e.test" -test.v -test.parallel 4 -test.timeout 40m "$@"; }
if [ -z "$bench" ]; then
	tests "$@"
	exit
fi
measure() { # NAME FLAGS...: into log/NAME.json
	local name=$1
	shift
	printf '\n\n'
	in_network "$root/bin/bench-cluster" --kubeconfig "$RUN/admin.kubeconfig" --json "$RUN/log/$name.json" "$@"
}
measure bench "$@"
# Once more while the API server writes down who asks it for what, which costs it time: that tells whose hands a claim
# is in, and who asks how often.
AUDIT=1 "$HERE/apiserver.sh"
audit=(--audit-log "$RUN/log/audit.log")
measure bench-audited "${audit[@]}" "$@"
# And with a controller manager that may ask as often as it can: what is slow then is something else,
# and no goal is meant for it.
"$HERE/controller-manager.sh" --kube-api-qps=1000 --kube-api-burst=2000
measure bench-unlimited "${audit[@]}" --goals=false "$@"
tests -test.run '^$' # nothing is left
