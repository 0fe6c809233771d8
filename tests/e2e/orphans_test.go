package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// orphans lists what kubectl hostpath finds on all nodes, each as NODE/POOL/PATH: WHY.
func (w *world) orphans() []string {
	w.Helper()
	out, err := hostpath(w.Context(), "orphans", "ls", "-o", "json")
	if err != nil {
		w.Fatal(err)
	}
	var list struct {
		Orphans []struct{ Node, Pool, Path, Why string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	var all []string
	for _, o := range list.Orphans {
		all = append(all, o.Node+"/"+o.Pool+"/"+o.Path+": "+o.Why)
	}
	return all
}

// orphansAre checks what kubectl hostpath finds, and waits until the node tells as many in its
// record and its metrics.
func (w *world) orphansAre(node string, want ...string) {
	w.Helper()
	slices.Sort(want)
	if got := w.orphans(); !slices.Equal(got, want) {
		w.Errorf("orphans are %q, want %q", got, want)
	}
	for _, pool := range []string{"default", "plain"} {
		count := 0
		for _, o := range want {
			if strings.HasPrefix(o, node+"/"+pool+"/") {
				count++
			}
		}
		w.eventually(fmt.Sprintf("node %s tells of %d orphans in pool %s", node, count, pool), func(ctx context.Context) error {
			return tellsOfOrphans(ctx, node, pool, count)
		})
	}
}

func tellsOfOrphans(ctx context.Context, node, pool string, count int) error {
	recorded, err := kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o", `jsonpath={.status.pools[?(@.name=="`+pool+`")].orphans}`)
	if err != nil {
		return err
	}
	if recorded == "" { // none
		recorded = "0"
	}
	metrics, err := askPlugin(ctx, node, "metrics")
	if err != nil {
		return err
	}
	told := strings.TrimSpace(lineWith(metrics, `hostpath_csi_pool_orphans{pool="`+pool+`"}`))
	if recorded != strconv.Itoa(count) || !strings.HasSuffix(told, " "+recorded) {
		return fmt.Errorf("its record tells of %s, its metrics: %s", recorded, told)
	}
	return nil
}

// What lies in a pool and no record speaks of is told and left alone: nobody is served it, and
// nothing removes it but whoever names it.
func TestWhatNoRecordSpeaksOfIsToldAndLeftToWhoeverDecides(t *testing.T) {
	w := alone(t)
	const node, carriesNone = "n2", ": it carries no record"
	w.apply(claim("data", "hostpath-csi-retain", "64Mi") + podWith("a", "data", on(node)))
	w.running("a")
	w.inPod("a", "echo precious >/data/file; sync")
	pv := w.volumeOf("data")
	w.gone("a")

	// Somebody put three directories there, and removed a record by force.
	stray := "volumes/stray-" + w.ns
	strays := []string{"btrfs/" + stray, "plain/" + stray, "plain/snapshots/stray-" + w.ns}
	for _, at := range strays {
		at = "/var/lib/hostpath-csi/" + at
		w.tidies(node, at)
		w.at(node, `mkdir "$0" && echo 'of nobody' >"$0/file"`, at)
	}
	id := pv.Spec.CSI.VolumeHandle
	w.kubectl("patch", "hostpathvolume/"+id, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	w.kubectl("delete", "hostpathvolume/"+id)
	plugin, err := nodePlugin(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	w.driver("delete", "pod/"+plugin.Name)
	w.eventually("the node plugin is there again", func(ctx context.Context) error {
		_, err := askPlugin(ctx, node, "readyz")
		return err
	})
	forgotten := node + "/default/volumes/" + id + ": the driver has no record of it"
	w.orphansAre(node, forgotten, node+"/default/"+stray+carriesNone, node+"/plain/"+stray+carriesNone, node+"/plain/snapshots/stray-"+w.ns+carriesNone)

	// One goes that is named, and then all that carry no record; that which carries one stays.
	w.hostpath("orphans", "remove", "--node", node, "default/"+stray, "--yes")
	w.orphansAre(node, forgotten, node+"/plain/"+stray+carriesNone, node+"/plain/snapshots/stray-"+w.ns+carriesNone)
	for _, at := range strays[1:] {
		if got := w.at(node, `cat "$0/file"`, "/var/lib/hostpath-csi/"+at); got != "of nobody" {
			t.Errorf("%s holds %q", at, got)
		}
	}
	w.hostpath("orphans", "remove", "--all", "--yes")
	w.orphansAre(node, forgotten)
	for _, at := range strays {
		w.at(node, `test ! -e "$0"`, "/var/lib/hostpath-csi/"+at)
	}
	if got := w.at(node, `cat "$0/file"`, w.directory(pv)); got != "precious" {
		t.Errorf("the volume without a record holds %q", got)
	}

	// Nobody is served it, though a claim and a PersistentVolume speak of it.
	w.apply(podWith("b", "data"))
	w.told("b", "code = NotFound")

	// Adopted under its name, it is what the PersistentVolume speaks of, and the pod has it.
	w.hostpath("orphans", "adopt", "default/volumes/"+id, "--node", node, "--as", id, "--size", "64Mi", "--claim", w.ns+"/data", "--class", "hostpath-csi-retain")
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "precious" {
		t.Errorf("the pod reads %q", got)
	}
	if taken := w.fill("b", "rest"); taken < 60*mib || taken > 68*mib {
		t.Errorf("an adopted volume of 64 MiB took %d bytes", taken)
	}
	w.orphansAre(node)
	out, err := hostpath(t.Context(), "orphans", "remove", "--node", node, "default/volumes/"+id, "--yes")
	if err == nil || !strings.Contains(err.Error(), "is no orphan: volume "+id+" has its place there") {
		t.Errorf("a volume is removed as an orphan: %v\n%s", err, out)
	}
	w.gone("b")
	w.kubectl("patch", "pv/"+pv.Name, "--type=merge", "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	w.kubectl("delete", "pvc/data")
	w.noVolume(pv.Name)
	w.noRecord(id)
}
