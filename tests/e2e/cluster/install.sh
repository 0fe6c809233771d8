#!/usr/bin/env bash
# Installs the driver into the cluster that is up, as its users do: the images that the
# manifests name, imported into every node, and `kubectl apply -k` of DIRECTORY (tests/e2e/deploy/default).
# The snapshot controller, which is a cluster's own, comes with its CRDs first.
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$root"
deploy=${1:-tests/e2e/deploy/default}
say() { printf '%4d s  %s\n' $SECONDS "$*"; }
make build
for image in $(kubectl kustomize "$deploy" | sed -n 's/^ *image: *//p' | sort -u); do
	name=${image##*/} program=${image##*/}
	program=${program%%:*}
	case $program in
	hostpath-csi) files=(bin/hostpath-csi +mkfs.btrfs +mkfs.xfs) ;;
	*) files=("$BIN/$program") ;;
	esac
	"$HERE/image.sh" "$image" "$RUN/images/$name.tar" "[\"/$program\"]" "${files[@]}"
done
jobs=()
for anchor in "$RUN"/pids/n*.anchor; do
	n=$(basename "$anchor" .anchor)
	"$HERE/node.sh" images "${n#n}" "$RUN"/images/*csi*.tar &
	jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
say "the images are on every node"

crds=$(cd tests/e2e/sidecars && go mod download github.com/kubernetes-csi/external-snapshotter/client/v8 && go list -m -f '{{.Dir}}' github.com/kubernetes-csi/external-snapshotter/client/v8)/config/crd
kubectl apply -f "$crds/snapshot.storage.k8s.io_volumesnapshotclasses.yaml" -f "$crds/snapshot.storage.k8s.io_volumesnapshotcontents.yaml" \
	-f "$crds/snapshot.storage.k8s.io_volumesnapshots.yaml" >/dev/null
kubectl wait --for=condition=Established customresourcedefinitions --all --timeout=60s >/dev/null
[ -e "$RUN/pids/snapshot-controller" ] || start snapshot-controller "$BIN/snapshot-controller" --kubeconfig="$RUN/admin.kubeconfig"
again=$(kubectl -n hostpath-csi get pods -o name 2>/dev/null || true)
kubectl apply -k "$deploy" >"$RUN/log/apply.log" 2>&1 || { cat "$RUN/log/apply.log" >&2; exit 1; }
# The images have the names that they had before: what was installed earlier is replaced.
[ -z "$again" ] || kubectl -n hostpath-csi rollout restart daemonset/hostpath-csi-node statefulset/hostpath-csi-controller >/dev/null
kubectl -n hostpath-csi rollout status daemonset/hostpath-csi-node --timeout=180s >/dev/null
kubectl -n hostpath-csi rollout status statefulset/hostpath-csi-controller --timeout=180s >/dev/null
say "the driver serves"
