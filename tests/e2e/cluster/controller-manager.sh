#!/usr/bin/env bash
# Starts the controller manager with more flags, if any are given, instead of the one that runs, if one
# does, and waits until it serves.
set -euo pipefail
. "$(dirname "$0")/env.sh"
stop controller-manager
P=$RUN/pki
start controller-manager "$KUBE" kube-controller-manager --kubeconfig="$RUN/kcm.kubeconfig" --leader-elect=false \
	--authentication-kubeconfig="$RUN/kcm.kubeconfig" --authorization-kubeconfig="$RUN/kcm.kubeconfig" \
	--bind-address=127.0.0.1 --service-account-private-key-file="$P/sa.key" --root-ca-file="$P/ca.crt" \
	--use-service-account-credentials=true --cluster-signing-cert-file="$P/ca.crt" --cluster-signing-key-file="$P/ca.key" \
	--node-monitor-grace-period=20s "$@"
limit=$((SECONDS + 60))
until in_network bash -c '</dev/tcp/127.0.0.1/10257' 2>/dev/null; do
	kill -0 "$(cat "$RUN/pids/controller-manager")" 2>/dev/null && [ $SECONDS -lt $limit ] ||
		{ tail -n 20 "$RUN/log/controller-manager.log" >&2; exit 1; }
	sleep 0.2
done
