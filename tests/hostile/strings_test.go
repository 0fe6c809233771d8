package hostile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// hostile are strings that mean something to a filesystem, a shell, a terminal, a log
// or a database. Those that the CSI spec forbids as a name are in forbidden.
var hostile = map[string]string{
	"the parent":              "../escape",
	"far up":                  "../../../../../../../../tmp/escape",
	"into another volume":     "../volumes/victim",
	"through itself":          "victim/../escape",
	"absolute":                "/etc/escape",
	"a dot":                   ".",
	"two dots":                "..",
	"a slash":                 "/",
	"a final slash":           "victim/",
	"two slashes":             "victim//x",
	"the victim's dot":        "victim/.",
	"backslashes":             `..\..\escape`,
	"percent":                 "%2e%2e%2fescape",
	"a newline":               "victim\nescape",
	"a final newline":         "victim\n",
	"a tab":                   "victim\tescape",
	"a carriage return":       "victim\rescape",
	"a space":                 "victim escape",
	"only a space":            " ",
	"a final space":           "victim ",
	"an option":               "-rf",
	"two hyphens":             "--help",
	"a shell's command":       "$(touch /tmp/escape)",
	"a shell's end":           "; touch /tmp/escape #",
	"backquotes":              "`touch /tmp/escape`",
	"a wildcard":              "*",
	"quotes":                  `'"`,
	"a format":                "%s%n%d",
	"a SQL end":               "'; DROP TABLE volumes; --",
	"a JSON end":              `"},{"id":"victim"`,
	"composed":                "\u00e9",
	"combining":               "e\u0301",
	"right to left":           "\u202emitciv",
	"an emoji":                "\U0001F642",
	"zero width":              "vic\u200btim",
	"Greek":                   "\u03b2\u03c3\u03c2",
	"fullwidth":               "\uff56\uff49\uff43\uff54\uff49\uff4d",
	"a noncharacter":          "\uffff",
	"capitals":                "VICTIM",
	"a capital":               "Victim",
	"a build's name":          "victim.tmp",
	"the build directory":     ".tmp",
	"the trash":               ".trash",
	"the volumes":             "volumes",
	"the marker":              ".hostpath-csi.json",
	"lost and found":          "lost+found",
	"hidden":                  ".hidden",
	"a final dot":             "victim.",
	"two inner dots":          "vic..tim",
	"a UID":                   "victim.0123456789abcdef0123456789abcdef",
	"the reserved prefix":     "hp-victim",
	"an ID that was reserved": "hp-" + strings.Repeat("0", 40),
	"63 bytes":                strings.Repeat("a", 63),
	"64 bytes":                strings.Repeat("a", 64),
	"128 bytes":               strings.Repeat("b", 128),
	"128 bytes of emoji":      strings.Repeat("\U0001F642", 32),
	"only digits":             "0",
	"a number":                "1e9",
	"an underscore":           "vic_tim",
	"a colon":                 "victim:1",
	"an at":                   "victim@1",
	"an equals":               "victim=1",
	"a comma":                 "victim,ro",
}

// forbidden are refused wherever a name or an ID is asked for.
var forbidden = map[string]string{
	"empty":     "",
	"129 bytes": strings.Repeat("a", 129),
	"100 kB":    strings.Repeat("../", 100<<10/3),
}

// control characters are refused in names; as IDs they name nothing.
var control = map[string]string{
	"NUL":            "victim\x00escape",
	"a final NUL":    "victim\x00",
	"escape":         "\x1b[2Jvictim",
	"a bell":         "victim\a",
	"delete":         "victim\x7f",
	"C1":             "victim\u0085",
	"a backspace":    "victim\b\b",
	"a vertical tab": "victim\v",
}

// names returns the keys in a fixed order.
func names(all map[string]string) []string { return slices.Sorted(maps.Keys(all)) }

// TestEveryNameIsRefusedOrGivesAVolumeOfItsOwn makes a volume under every hostile
// name, all at the same time.
func TestEveryNameIsRefusedOrGivesAVolumeOfItsOwn(t *testing.T) {
	w := start(t)
	for _, bad := range []map[string]string{forbidden, control} {
		for _, k := range names(bad) {
			_, err := w.Create(bad[k], size)
			want(t, "CreateVolume "+k, err, codes.InvalidArgument)
		}
	}
	byID := map[string]string{}
	for _, k := range append(names(hostile), "victim") {
		name := hostile[k]
		if k == "victim" {
			name = k
		}
		id, err := w.Create(name, size)
		if !want(t, "CreateVolume "+k, err, codes.OK) {
			continue
		}
		if other, taken := byID[id]; taken {
			t.Fatalf("%q and %q have one ID: %s", name, other, id)
		}
		byID[id] = name
		if len(id) > 128 || strings.ContainsAny(id, "/\x00\n") || id == "." || id == ".." {
			t.Errorf("%q has the ID %q", name, id)
		}
	}
	if err := process.SameNames(t, filepath.Join(w.PoolDir(), "volumes"), slices.Collect(maps.Keys(byID))...); err != nil {
		t.Error(err)
	}
	for id, name := range byID {
		again, err := w.Create(name, size)
		if err != nil || again != id {
			t.Errorf("%q made again has the ID %q, not %q: %v", name, again, id, err)
		}
		must(t, w.Publish(id, w.target(id)))
		wantEmpty(t, w.target(id))
		write(t, filepath.Join(w.target(id), "name"), name)
	}
	for id, name := range byID {
		wantContent(t, filepath.Join(w.target(id), "name"), name)
		must(t, w.Unpublish(id, w.target(id)))
		w.gone(t, id)
	}
	wantEmpty(t, filepath.Join(w.PoolDir(), "volumes"))
	wantEmpty(t, w.targets)
}

// TestAHashedNameCannotBeTakenByAskingForTheHash asks for a volume under the ID that
// another name was given.
func TestAHashedNameCannotBeTakenByAskingForTheHash(t *testing.T) {
	w := start(t)
	id := w.made(t, "Some/Name")
	other := w.made(t, id)
	if id == other {
		t.Fatalf("the names %q and %q have one ID", "Some/Name", id)
	}
	w.gone(t, other)
	if listed, err := w.List(); err != nil || len(listed) != 1 || listed[id] != size {
		t.Errorf("the first volume is to be left: %v, %v", listed, err)
	}
}

// TestNoIDReachesAnythingButItsVolume calls everything that takes a volume ID with
// hostile ones, beside a volume that they aim at.
func TestNoIDReachesAnythingButItsVolume(t *testing.T) {
	w := start(t)
	victim, target := w.published(t, "victim")
	write(t, filepath.Join(target, "data"), "precious")
	all := maps.Clone(hostile)
	maps.Copy(all, control)
	all["no such volume"] = "nosuchvolume"
	check := func(what, id string, missing codes.Code, orOK bool, err error) {
		wanted := []codes.Code{missing}
		if _, no := forbidden[what]; no {
			wanted = []codes.Code{codes.InvalidArgument}
		} else if orOK {
			wanted = append(wanted, codes.OK)
		}
		want(t, fmt.Sprintf("ID %s", what), err, wanted...)
	}
	maps.Copy(all, forbidden)
	for _, k := range names(all) {
		id := all[k]
		c := ctx(t)
		check(k, id, codes.OK, true, w.Delete(id))
		check(k, id, codes.NotFound, false, w.Expand(id, 2*size))
		_, err := w.ControllerGetVolume(c, &csi.ControllerGetVolumeRequest{VolumeId: id})
		check(k, id, codes.NotFound, false, err)
		_, err = w.ControllerGetVolumeHealth(c, &csi.ControllerGetVolumeHealthRequest{VolumeId: id})
		check(k, id, codes.NotFound, false, err)
		_, err = w.NodeGetVolumeHealth(c, &csi.NodeGetVolumeHealthRequest{VolumeId: id})
		check(k, id, codes.NotFound, false, err)
		_, err = w.ValidateVolumeCapabilities(c, &csi.ValidateVolumeCapabilitiesRequest{VolumeId: id, VolumeCapabilities: []*csi.VolumeCapability{process.Capability(process.SingleWriter)}})
		check(k, id, codes.NotFound, false, err)
		_, err = w.NodeGetVolumeStats(c, &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
		check(k, id, codes.NotFound, false, err)
		check(k, id, codes.NotFound, false, w.Publish(id, w.target("other")))
		check(k, id, codes.NotFound, true, w.Unpublish(id, target))
		check(k, id, codes.NotFound, true, w.Unpublish(id, w.target("other")))
		wantNothingAt(t, w.target("other"))
	}
	wantContent(t, filepath.Join(target, "data"), "precious")
	if listed, err := w.List(); err != nil || len(listed) != 1 || listed[victim] != size {
		t.Errorf("the volume is to be as it was: %v, %v", listed, err)
	}
}

// TestEveryTargetPathIsRefusedOrGivesAMountThere publishes at hostile paths: those
// that are no clean absolute path are refused, and names that are merely odd work.
func TestEveryTargetPathIsRefusedOrGivesAMountThere(t *testing.T) {
	w := start(t)
	id := w.made(t, "volume")
	all := maps.Clone(hostile)
	maps.Copy(all, control)
	maps.Copy(all, forbidden)
	for _, k := range names(all) {
		name := all[k]
		// As it is. None of them is an absolute path that may be made, but one.
		if !filepath.IsAbs(name) || name == "/" {
			want(t, "target_path "+k, w.Publish(id, name), codes.InvalidArgument)
			want(t, "unpublish from target_path "+k, w.Unpublish(id, name), codes.InvalidArgument)
			_, err := w.NodeGetVolumeStats(ctx(t), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: name})
			want(t, "volume_path "+k, err, codes.NotFound, codes.InvalidArgument)
		}
		// Beneath a directory.
		target := w.targets + "/" + name
		if target != filepath.Clean(target) || strings.Contains(name, "\x00") || len(name) > 255 || name == "" {
			want(t, "target_path beneath a directory, "+k, w.Publish(id, target), codes.InvalidArgument)
			wantEmpty(t, w.targets)
			continue
		}
		if !want(t, "target_path beneath a directory, "+k, w.Publish(id, target), codes.OK) {
			continue
		}
		must(t, w.Publish(id, target))
		write(t, filepath.Join(w.PoolDir(), "volumes", id, "seen"), k)
		wantContent(t, filepath.Join(target, "seen"), k)
		_, err := w.NodeGetVolumeStats(ctx(t), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
		want(t, "volume_path beneath a directory, "+k, err, codes.OK)
		want(t, "DeleteVolume while published, "+k, w.Delete(id), codes.FailedPrecondition)
		must(t, w.Unpublish(id, target))
		wantNothingAt(t, target)
		must(t, os.RemoveAll(filepath.Join(w.targets, strings.Split(strings.Trim(name, "/"), "/")[0])))
	}
	wantEmpty(t, w.targets)
	w.gone(t, id)
}

// TestEveryParameterIsRefusedOrMeantSo gives hostile parameters and values.
func TestEveryParameterIsRefusedOrMeantSo(t *testing.T) {
	w := start(t)
	all := maps.Clone(hostile)
	maps.Copy(all, control)
	maps.Copy(all, forbidden)
	number := map[string]bool{"only digits": true} // 0 is a user, a group and a mode
	for _, k := range names(all) {
		request := process.CreateRequest("refused", size)
		refused := func(key, value string, wanted ...codes.Code) {
			request.Parameters = map[string]string{key: value}
			_, err := w.CreateVolume(ctx(t), request)
			want(t, fmt.Sprintf("parameter %.20q: %s", key, k), err, wanted...)
			_, err = w.GetCapacity(ctx(t), &csi.GetCapacityRequest{Parameters: request.GetParameters()})
			want(t, fmt.Sprintf("GetCapacity, parameter %.20q: %s", key, k), err, append(wanted, codes.OK)...)
		}
		refused(all[k], "value", codes.InvalidArgument)
		refused("pool", all[k], codes.InvalidArgument, codes.ResourceExhausted)
		refused("onDelete", all[k], codes.InvalidArgument)
		if all[k] != "" { // which is no template
			refused("pathTemplate", all[k], codes.InvalidArgument)
		}
		if !number[k] {
			refused("mode", all[k], codes.InvalidArgument)
			refused("uid", all[k], codes.InvalidArgument)
			refused("gid", all[k], codes.InvalidArgument)
		}
		// What a provisioner adds is kept with the record, and means nothing else.
		request = process.CreateRequest("claimed", size)
		request.Parameters = map[string]string{"csi.storage.k8s.io/pvc/name": all[k], "csi.storage.k8s.io/pvc/namespace": all[k], "csi.storage.k8s.io/pv/name": all[k]}
		resp, err := w.CreateVolume(ctx(t), request)
		if want(t, "a claim named "+k, err, codes.OK) {
			must(t, w.Delete(resp.GetVolume().GetVolumeId()))
		}
		// A directory that is named after the claim lies in claims/, and goes with the volume. Names
		// that are longer than any of Kubernetes are taken for none.
		request.Name = all[k] + "'s" // which is no plain ID
		request.Parameters["pathTemplate"] = "{{ .PVC.Namespace }}/{{ .PVC.Name }}/{{ .PV.Name }}-{{ .VolumeID }}"
		resp, err = w.CreateVolume(ctx(t), request)
		want(t, "a directory named after the claim "+k, err, codes.OK, codes.InvalidArgument)
		if err == nil {
			found, err := filepath.Glob(filepath.Join(w.PoolDir(), "claims", "*", "*", "*"+resp.GetVolume().GetVolumeId()))
			if err != nil || len(found) != 1 {
				t.Errorf("a directory named after the claim %s is at %q (%v)", k, found, err)
			}
			must(t, w.Delete(resp.GetVolume().GetVolumeId()))
		}
		if left, err := os.ReadDir(filepath.Join(w.PoolDir(), "claims")); err != nil || len(left) > 0 {
			t.Errorf("of the claim %s there is left %v (%v)", k, left, err)
		}
	}
	for key, value := range map[string]string{"mode": "10000", "uid": "-1", "gid": "4294967295", "onDelete": "keep", "pathTemplate": "{{ .PVC.Name }}", "Mode": "0770", "": ""} {
		request := process.CreateRequest("refused", size)
		request.Parameters = map[string]string{key: value}
		_, err := w.CreateVolume(ctx(t), request)
		want(t, "parameter "+key+"="+value, err, codes.InvalidArgument)
		wantWords(t, "parameter "+key+"="+value, err, key)
	}
	if listed, err := w.List(); err != nil || len(listed) != 0 {
		t.Errorf("nothing is to be left: %v, %v", listed, err)
	}
}

// TestNoTopologyLeadsToANodeThatIsNotThere asks for volumes on hostile nodes.
func TestNoTopologyLeadsToANodeThatIsNotThere(t *testing.T) {
	w := start(t)
	all := maps.Clone(hostile)
	maps.Copy(all, control)
	maps.Copy(all, forbidden)
	key := func() string {
		resp, err := w.NodeGetInfo(ctx(t), &csi.NodeGetInfoRequest{})
		must(t, err)
		for k := range resp.GetAccessibleTopology().GetSegments() {
			return k
		}
		t.Fatal("the node has no topology")
		return ""
	}()
	for _, k := range names(all) {
		for _, segments := range []map[string]string{{key: all[k]}, {all[k]: process.NodeID}, {key: process.NodeID, all[k]: all[k]}} {
			request := process.CreateRequest("nowhere", size)
			request.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{{Segments: segments}}}
			_, err := w.CreateVolume(ctx(t), request)
			want(t, "topology "+k, err, codes.ResourceExhausted, codes.InvalidArgument)
			resp, err := w.GetCapacity(ctx(t), &csi.GetCapacityRequest{AccessibleTopology: &csi.Topology{Segments: segments}})
			if want(t, "GetCapacity, topology "+k, err, codes.OK, codes.InvalidArgument) && resp.GetAvailableCapacity() != 0 {
				t.Errorf("topology %s has a capacity", k)
			}
		}
	}
}

// TestNoTokenIsTakenThatWasNotGiven lists from hostile tokens.
func TestNoTokenIsTakenThatWasNotGiven(t *testing.T) {
	w := start(t)
	w.made(t, "volume")
	all := maps.Clone(hostile)
	maps.Copy(all, control)
	maps.Copy(all, forbidden)
	delete(all, "empty")
	for _, k := range names(all) {
		_, err := w.ListVolumes(ctx(t), &csi.ListVolumesRequest{StartingToken: all[k]})
		want(t, "starting_token "+k, err, codes.Aborted)
		_, err = w.ControllerListVolumeHealth(ctx(t), &csi.ControllerListVolumeHealthRequest{StartingToken: all[k]})
		want(t, "starting_token of the healths "+k, err, codes.Aborted)
	}
	_, err := w.ListVolumes(ctx(t), &csi.ListVolumesRequest{MaxEntries: -1})
	want(t, "max_entries -1", err, codes.InvalidArgument)
}
