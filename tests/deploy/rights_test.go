package deploy

import (
	"slices"
	"strings"
	"testing"
)

// rights are all that the accounts may do, as the code of the driver, and that of the sidecars
// with the flags they have here, calls the API. Whoever needs more of it adds a line.
var rights = map[string]string{
	"hostpath-csi-controller": `
		hostpathvolumes hostpathsnapshots: get list watch create patch delete
		hostpathnodes: get list watch patch delete
		nodes: get list watch
		persistentvolumes: get list watch update
		events: create patch
		namespaces kube-system: get
		/readyz: get
		leases: list watch delete
		configmaps hostpath-csi: get`,
	"hostpath-csi-node": `
		hostpathvolumes hostpathsnapshots hostpathnodes: get list watch
		hostpathvolumes/status hostpathsnapshots/status hostpathnodes/status: patch
		hostpathvolumes: create
		hostpathvolumes hostpathsnapshots: patch delete
		hostpathnodes: create patch
		nodes: list watch
		namespaces kube-system: get
		/readyz: get
		leases: get create update
		configmaps hostpath-csi: get
		events: create patch`,
	"hostpath-csi-provisioner": `
		persistentvolumes: get list watch create patch delete
		persistentvolumeclaims: get list watch update
		nodes: get list watch
		events: create patch
		storageclasses csinodes: get list watch
		volumesnapshots: get list watch update
		volumesnapshotcontents: get
		csistoragecapacities: get list watch create update patch delete
		pods: get`,
	"hostpath-csi-resizer": `
		persistentvolumes: get list watch patch
		persistentvolumeclaims: get list watch
		persistentvolumeclaims/status: patch
		events: create patch
		volumeattributesclasses: get list watch`,
	"hostpath-csi-snapshotter": `
		events: create patch
		volumesnapshotclasses: get list watch
		volumesnapshotcontents: get list watch update patch
		volumesnapshotcontents/status: update patch`,
	"hostpath-csi-leader-election": `
		leases: get create update`,
}

// One look at the table shows what a stolen token can do.
func TestEachAccountMayDoThisAndNoMore(t *testing.T) {
	seen := map[string]bool{}
	for name, objects := range everything(t) {
		got := map[string][]string{}
		for _, role := range byKind(objects, "ClusterRole", "Role") {
			for _, rule := range list(role, "rules") {
				what := slices.Concat(texts(rule, "resources"), texts(rule, "nonResourceURLs"), texts(rule, "resourceNames"))
				got[role.name()] = append(got[role.name()], strings.Join(what, " ")+": "+strings.Join(texts(rule, "verbs"), " "))
			}
		}
		for role, rules := range got {
			seen[role] = true
			var want []string
			for line := range strings.Lines(strings.TrimSpace(rights[role])) {
				want = append(want, strings.TrimSpace(line))
			}
			slices.Sort(rules)
			slices.Sort(want)
			if !slices.Equal(rules, want) {
				t.Errorf("%s: %s may\n\t%s\nand is to\n\t%s", name, role, strings.Join(rules, "\n\t"), strings.Join(want, "\n\t"))
			}
		}
	}
	if len(seen) != len(rights) {
		t.Errorf("of the roles, only %v are there", seen)
	}
}
