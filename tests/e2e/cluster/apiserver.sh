#!/usr/bin/env bash
# Starts the API server with more flags, if any are given, instead of the one that runs, if one does, and
# waits until it serves.
#
#	AUDIT=1  it writes down who asked it for what, in out/e2e/log/audit.log
set -euo pipefail
. "$(dirname "$0")/env.sh"
stop apiserver
P=$RUN/pki
[ -z "${AUDIT:-}" ] || set -- --audit-policy-file="$HERE/audit.yaml" --audit-log-path="$RUN/log/audit.log" "$@"
start apiserver "$KUBE" kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
	--bind-address="$SVC" --secure-port=443 --advertise-address="$SVC" --service-cluster-ip-range=10.96.0.0/16 \
	--tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" --client-ca-file="$P/ca.crt" \
	--kubelet-client-certificate="$P/apiserver-kubelet-client.crt" --kubelet-client-key="$P/apiserver-kubelet-client.key" \
	--kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc \
	--service-account-key-file="$P/sa.pub" --service-account-signing-key-file="$P/sa.key" \
	--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false "$@"
limit=$((SECONDS + 300))
until kubectl get --raw /readyz >/dev/null 2>&1; do
	kill -0 "$(cat "$RUN/pids/apiserver")" 2>/dev/null && [ $SECONDS -lt $limit ] ||
		{ tail -n 20 "$RUN/log/etcd.log" "$RUN/log/apiserver.log" >&2; exit 1; }
	sleep 0.2
done
