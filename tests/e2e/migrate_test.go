package e2e

import (
	"fmt"
	"testing"
)

// migrant is a StatefulSet with volumeClaimTemplates of a class.
func migrant(class string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox:1.37.0
          command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 1; done']
          volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: %s
        resources: {requests: {storage: 32Mi}}
---
`, replicas, class)
}

// A StatefulSet whose volumes are directories that another provisioner made, such as
// local-path-provisioner, moves to this driver as docs/migrate.md says: its data stays where it
// is, and what it is given from then on comes from this driver.
func TestAStatefulSetMovesHereFromAnotherProvisioner(t *testing.T) {
	w := beside(t)
	const node, pool = "n1", "/var/lib/hostpath-csi/plain/"
	// As local-path-provisioner leaves it: a directory, and a volume of type local that is to be
	// deleted with its claim.
	dir, old := "pvc-0-"+w.ns+"-data-web-0", "old-"+w.ns
	w.at(node, `mkdir -m 777 "$0" && echo precious >"$0/file" && chown 1000:2000 "$0/file" && chmod 640 "$0/file"`, pool+dir)
	const inode = `stat -c '%u %g %a %i %w' "$0/file"`
	before := w.at(node, inode, pool+dir)
	w.apply(fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec:
  capacity: {storage: 32Mi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: local-path
  claimRef: {namespace: %s, name: data-web-0}
  local: {path: %s}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%s]}]
---
`, old, w.ns, pool+dir, node) + migrant("local-path", 1))
	w.running("web-0")
	w.inPod("web-0", "grep -q precious /data/file")

	w.kubectl("patch", "pv/"+old, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`)
	w.kubectl("delete", "statefulset/web", "--cascade=orphan")
	w.kubectl("delete", "pod/web-0", "pvc/data-web-0")
	w.kubectl("delete", "pv/"+old)
	class := w.class("Delete", "pool: plain")
	w.hostpath("adopt", "plain/"+dir, "--node", node, "--as", "data-web-0-"+w.ns, "--size", "32Mi", "--claim", w.ns+"/data-web-0", "--class", class, "--reclaim-policy", "Delete")
	w.apply(claimFrom("data-web-0", class, "32Mi", "volumeName: data-web-0-"+w.ns) + migrant(class, 2))

	w.running("web-0", "web-1")
	if got := w.inPod("web-0", "cat /data/file"); got != "precious" || w.nodeOf("web-0") != node {
		t.Errorf("on node %s, the pod reads %q", w.nodeOf("web-0"), got)
	}
	pv := w.volumeOf("data-web-0")
	if got := w.at(node, inode, pool+"volumes/"+pv.Spec.CSI.VolumeHandle); got != before {
		t.Errorf("the file is %s; it was %s", got, before)
	}
	if next := w.volumeOf("data-web-1"); next.Spec.CSI == nil || next.Spec.CSI.Driver != driverName {
		t.Errorf("the next pod's volume is %+v", next.Spec.PersistentVolumeSource)
	}
	w.kubectl("delete", "statefulset/web")
	w.kubectl("delete", "pvc", "--all")
	w.noVolume(pv.Name)
}
