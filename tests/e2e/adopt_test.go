package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// estate fills a directory with what a program that ran there for years has left: files of
// several owners and modes, one with two names, links, and 8 MiB of data.
const estate = `mkdir -p "$0" && cd "$0"
head -c 8388608 /dev/urandom >data && chown 1000:1000 data && chmod 0600 data
echo 'of 26' >theirs && chown 26:27 theirs && chmod 0640 theirs
mkdir own && chown 1000:2000 own && chmod 2770 own
echo run >own/tool && chown 1000:2000 own/tool && chmod 4755 own/tool
ln -s ../data own/link && chown -h 5:6 own/link
ln data own/twin
mkdir tmp && chmod 1777 tmp
mkfifo pipe && chown 26:1000 pipe && chmod 0620 pipe
chown 1000:3000 . && chmod 0751 .`

// inventory tells of each file its name, owner, group, mode and inode.
const inventory = `cd "$0" && find . | LC_ALL=C sort | xargs stat -c '%n %u %g %a %i'`

// births tells in addition when each file came into being, which no copy has in common with
// it. busybox does not know it.
const births = `cd "$0" && find . | LC_ALL=C sort | xargs stat -c '%n %u %g %a %i %w'`

// A directory that lies in a pool becomes a volume where it is, with all that is in it, and
// with everything belonging to whom it belonged. From there on it is as other volumes are.
func TestADirectoryInAPoolBecomesAVolumeWhereItIs(t *testing.T) {
	t.Parallel()
	for pool, c := range map[string]struct{ dir, onDelete string }{
		"default": {"btrfs", "delete"}, // which holds volumes to their size, and adopts subvolumes alone
		"plain":   {"plain", "archive"},
	} {
		t.Run(pool, func(t *testing.T) {
			w := beside(t)
			const node = "n2"
			within, id := w.ns, "adopted-"+w.ns
			at := "/var/lib/hostpath-csi/" + c.dir + "/" + within
			w.tidies(node, at, at+".new")
			w.at(node, estate, at)
			class := w.class("Delete", "pool: "+pool)
			adopt := func(size string) (string, error) {
				return hostpath(t.Context(), "adopt", pool+"/"+within, "--node", node, "--as", id, "--size", size, "--claim", w.ns+"/data", "--class", class,
					"--reclaim-policy", "Delete", "--on-delete", c.onDelete)
			}
			if pool == "default" {
				within = w.madeASubvolume(node, at, adopt)
				at += ".new"
			}
			before := w.at(node, births, at)

			// What takes more than its size is left as it is, and nothing speaks of it.
			if out, err := adopt("4Mi"); err == nil || !containsAll(err.Error(), "already, and volume "+id+" is to have 4194304: ask for that, or more") {
				t.Errorf("8 MiB become a volume of 4 MiB: %v\n%s", err, out)
			}
			w.unadopted(id)
			if got := w.at(node, births, at); got != before {
				t.Errorf("refused, the directory is\n%s\nand was\n%s", got, before)
			}

			out, err := adopt("64Mi")
			if err != nil {
				t.Fatal(err)
			}
			t.Log(out)
			if _, err := onNode(t.Context(), node, "test", "!", "-e", at); err != nil {
				t.Errorf("it is still where it was: %v", err)
			}
			placed := "/var/lib/hostpath-csi/" + c.dir + "/volumes/" + id
			if got := w.at(node, births, placed); got != before {
				t.Errorf("the volume is\n%s\nand the directory was\n%s", got, before)
			}

			w.apply(claimFrom("data", class, "64Mi", "volumeName: "+id) + podWith("a", "data", "securityContext: {runAsUser: 1000, runAsGroup: 1000}"))
			w.running("a")
			if got := w.nodeOf("a"); got != node {
				t.Errorf("the pod is on node %s, and the volume on %s", got, node)
			}
			if got, want := w.inPod("a", strings.ReplaceAll(inventory, "$0", "/data")), w.at(node, inventory, placed); got != want {
				t.Errorf("in the pod there are\n%s\nand on the node\n%s", got, want)
			}
			if got, want := w.inPod("a", "sha256sum </data/own/link"), w.at(node, `sha256sum <"$0/data"`, placed); got != want {
				t.Errorf("the pod reads %s, and the node %s", got, want)
			}
			if out, err := w.tryInPod("a", "cat /data/theirs 2>&1"); err == nil || !strings.Contains(out, "Permission denied") {
				t.Errorf("user 1000 reads a file of user 26 alone: %q (%v)", out, err)
			}
			if pool == "default" {
				if taken := 8*mib + w.fill("a", "own/rest"); taken < 60*mib || taken > 68*mib {
					t.Errorf("a volume of 64 MiB took %d bytes, with those of before", taken)
				}
			}
			w.gone("a")
			w.kubectl("delete", "pvc/data")
			w.noVolume(id)
			w.noRecord(id)
			if _, err := onNode(t.Context(), node, "test", "!", "-e", placed); err != nil {
				t.Errorf("the deleted volume is there: %v", err)
			}
			if c.onDelete == "archive" {
				w.purged(id)
			}
		})
	}
}

// madeASubvolume does with a directory of btrfs as the refusal to adopt it says, word for word,
// and returns the path in the pool of what came of it.
func (w *world) madeASubvolume(node, at string, adopt func(size string) (string, error)) string {
	w.Helper()
	before := w.at(node, `cd "$0" && find . | LC_ALL=C sort | xargs stat -c '%n %u %g %a %h'`, at)
	out, err := adopt("64Mi")
	if err == nil {
		w.Fatalf("btrfs adopts what is no subvolume:\n%s", out)
	}
	_, advice, _ := strings.Cut(err.Error(), "which copies no data: ")
	advice, _, told := strings.Cut(advice, ", and adopt that")
	if !told {
		w.Fatalf("the refusal does not say what to do: %v", err)
	}
	w.at(node, advice)
	if got := w.at(node, `cd "$0" && find . | LC_ALL=C sort | xargs stat -c '%n %u %g %a %h'`, at+".new"); got != before {
		w.Errorf("what %s makes has\n%s\nand the directory\n%s", strconv.Quote(advice), got, before)
	}
	return w.ns + ".new"
}

// unadopted checks that nothing in the API speaks of a volume.
func (w *world) unadopted(id string) {
	w.Helper()
	w.noRecord(id)
	if _, err := kube.CoreV1().PersistentVolumes().Get(w.Context(), id, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		w.Errorf("there is a PersistentVolume of what was not adopted (%v)", err)
	}
}

// purged waits until a volume is in the archive, and has it purged.
func (w *world) purged(id string) {
	w.Helper()
	var name string
	w.eventually("volume "+id+" is in the archive", func(ctx context.Context) error {
		all, err := w.kept(ctx)
		if err == nil && (len(all) != 1 || all[0].VolumeID != id) {
			err = fmt.Errorf("there are %+v", all)
		}
		if err == nil {
			name = all[0].Name
		}
		return err
	})
	w.hostpath("archive", "purge", name)
}
